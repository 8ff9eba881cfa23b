// health(), and the check in the background: what a pool says of itself and of its server, in good times and bad.

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import type { PoolHealth } from '@moorings/core'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { startCluster } from '../support/cluster.js'
import { refusesWrongPasswords } from '../support/passwords.js'
import { childrenOf, signal } from '../support/processes.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { giveBackAll, holdSeveral } from './held.js'
import { backendOf, type Orm, orms, type ResilienceOptions } from './orms.js'
import { useScene, within } from './scene.js'

const scene = useScene()
const timeoutMs = 400
/** Far beyond the limit of a check, and far below every other limit of the pools here. */
const patience = 4_000
/** No limit but the check's own is short. */
const unhurried = {
  ...{ min: 0, max: 2, overflow: 0, acquireTimeoutMs: 30_000, connectTimeoutMs: 20_000 },
  ...{ validationTimeoutMs: 10_000, closeTimeoutMs: 500 },
}
const onDemand = { everyMs: 0, timeoutMs }

function open(pool: ResilienceOptions['pool'] = {}, url = scene.url): PostgresPool {
  return scene.closing(createPool(url, { resilience: { pool: { ...unhurried, ...pool }, health: onDemand } }))
}

/** Of a living server: one that is slow to answer, as on a busy machine, is asked again. */
async function healthOfLiving(pool: PostgresPool): Promise<PoolHealth> {
  let health = await healthOf(pool)
  for (let again = 0; again < 10 && /^the database took/.test(health.reasons.join()); again++)
    health = await healthOf(pool)
  return health
}

/** Bounded by its own limit. */
async function healthOf(pool: PostgresPool): Promise<PoolHealth> {
  return within(patience, pool.health())
}

function expectHealthy(health: PoolHealth): void {
  expect(health).toMatchObject({ status: 'healthy', reasons: [], recommendations: [], stats: { health: 'healthy' } })
  expect(health.error).toBeUndefined()
  expect(health.latencyMs).toBeGreaterThan(0)
}

function expectUnhealthy(health: PoolHealth, reason: RegExp): void {
  expect(health).toMatchObject({ status: 'unhealthy', stats: { health: 'unhealthy' } })
  expect(health.reasons.join('\n')).toMatch(reason)
  expect(health.recommendations.length).toBeGreaterThan(0)
  expect(health.latencyMs).toBeUndefined()
  expect(health.error).toHaveProperty('kind')
}

async function untilHealthy(pool: PostgresPool): Promise<void> {
  await until(async () => (await healthOf(pool)).status === 'healthy', { what: 'the pool to be healthy' })
  expectHealthy(await healthOf(pool))
}

describe('health()', () => {
  it('is healthy on a living server: new, used and busy, and leaves its connections as they are', async () => {
    const pool = open()
    expectHealthy(await healthOfLiving(pool))
    expect(pool.stats()).toMatchObject({ idle: 1, created: 1 })
    const lease = await pool.acquire()
    expectHealthy(await healthOfLiving(pool))
    lease.release()
    for (let i = 0; i < 5; i++) expectHealthy(await healthOfLiving(pool))
    expect(pool.stats()).toMatchObject({ idle: 2, created: 2, health: 'healthy' })
    expect(await scene.backends()).toHaveLength(2)
  })

  it('is unhealthy within its time when the network swallows everything, and healthy once it does not', async () => {
    const pool = open({ min: 2, validationTimeoutMs: 1_500, connectTimeoutMs: 300 })
    await pool.start()
    scene.proxy.swallow()
    const startedAt = performance.now()
    expectUnhealthy(await healthOf(pool), /did not answer/)
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(timeoutMs - 1)
    await scene.proxy.restore()
    await untilHealthy(pool)
  })

  it('is unhealthy while nobody listens, and healthy once somebody does', async () => {
    const pool = open()
    await pool.start()
    scene.proxy.refuse()
    scene.proxy.resetAll()
    await until(() => pool.stats().idle === 0, { what: 'the connection to be gone' })
    const health = await healthOf(pool)
    expectUnhealthy(health, /did not answer.*ECONNREFUSED/)
    expect(health.recommendations.join()).toMatch(/server runs and can be reached/)
    await scene.proxy.restore()
    await untilHealthy(pool)
  })

  it('is unhealthy with a wrong password, says so, and shows none', async () => {
    if (!(await refusesWrongPasswords(scene.directUrl))) return
    const url = new URL(scene.url)
    url.password = 'certainly-wrong'
    const health = await healthOf(open({}, url.href))
    expectUnhealthy(health, /did not answer/)
    expect(health.recommendations.join()).toMatch(/user, password and database/)
    expect(JSON.stringify(health)).not.toContain('certainly-wrong')
  })

  it('is unhealthy within its time while the server stands still, and healthy on the same connections when it goes on', async () => {
    const cluster = await startCluster()
    const pool = open({ min: 2 }, cluster.url)
    try {
      await pool.start()
      expectHealthy(await healthOf(pool))
      const processes = [cluster.pid ?? 0, ...(await childrenOf(cluster.pid ?? 0))]
      for (const pid of processes) signal(pid, 'SIGSTOP')
      try {
        expectUnhealthy(await healthOf(pool), /did not answer/)
      } finally {
        for (const pid of processes) signal(pid, 'SIGCONT')
      }
      await untilHealthy(pool)
      await until(() => pool.stats().idle === 2, { what: 'both to rest again' })
      expect(pool.stats()).toMatchObject({ created: 2, lost: 0 })
    } finally {
      await pool.close()
      await cluster.stop()
    }
  })

  it('tells of a suspended pool and of a closed one without asking the server', async () => {
    const pool = open()
    await pool.start()
    const sent = scene.proxy.statements.length
    pool.suspend()
    expect(await healthOf(pool)).toMatchObject({ status: 'degraded', reasons: [expect.stringMatching(/suspended/)] })
    pool.resume()
    expect(scene.proxy.statements.length).toBe(sent)
    expectHealthy(await healthOf(pool))
    await pool.close()
    expect(await healthOf(pool)).toMatchObject({ status: 'unhealthy', reasons: [expect.stringMatching(/closed/)] })
  })

  it('is slow, not dead: a server that takes more than half of its time is degraded', async () => {
    const pool = open()
    await pool.start()
    scene.proxy.delay(130)
    const health = await healthOf(pool)
    expect(health).toMatchObject({ status: 'degraded', reasons: [expect.stringMatching(/took \d+ ms to answer/)] })
    expect(health.latencyMs).toBeGreaterThanOrEqual(2 * 130 - 2)
    scene.proxy.delay(0)
    expectHealthy(await healthOf(pool))
  })
})

describe.each(orms)('$name', (orm: Orm) => {
  it('an exhausted pool is degraded, not dead, and healthy once connections come back', async () => {
    const db = scene.open(orm, { pool: unhurried, health: onDemand })
    const held = await holdSeveral(db, 2)
    const waiting = db.query('select 1 as n')
    await until(() => db.pool.stats().waiting === 1, { what: 'a caller to wait' })
    const health = await healthOf(db.pool)
    expect(health.status).toBe('degraded')
    expect(health.reasons.join('\n')).toMatch(/no connection came free/)
    expect(health.reasons.join('\n')).toMatch(/all 2 connections are lent and 1 callers wait/)
    expect(health.recommendations.join('\n')).toMatch(/resilience\.pool\.max/)
    await giveBackAll(held)
    expect(await waiting).toEqual([{ n: 1 }])
    await untilHealthy(db.pool)
  })

  it('a full queue is degraded as well: nobody is let in to ask', async () => {
    const db = scene.open(orm, { pool: { ...unhurried, maxWaiters: 0 }, health: onDemand })
    const held = await holdSeveral(db, 2)
    const health = await healthOf(db.pool)
    expect(health).toMatchObject({ status: 'degraded', error: { name: 'QueueFullError' } })
    await giveBackAll(held)
    await untilHealthy(db.pool)
  })

  it('the background check finds a server that is down, and one that is back, with nobody asking', async () => {
    const health = { everyMs: 60, timeoutMs }
    const db = scene.open(orm, { pool: { ...unhurried, min: 2 }, health })
    const changes = eventsOf(scene, db.pool, 'moorings:health:changed')
    expect(db.pool.stats().health).toBeUndefined()
    const pid = await backendOf(db)
    await until(() => db.pool.stats().health === 'healthy', { what: 'the first check' })
    expect(changes).toMatchObject([{ to: 'healthy', reasons: [] }])
    expect(changes[0]?.from).toBeUndefined()
    scene.proxy.refuse()
    scene.proxy.resetAll()
    await until(() => changes.some(({ to }) => to !== 'healthy'), { what: 'it to be found' })
    expect(changes[1]?.from).toBe('healthy')
    // Once only: it is not well again between two of the pool's attempts.
    await pause(8 * health.everyMs)
    expect(changes.slice(2).map(({ to }) => to)).not.toContain('healthy')
    expect(changes.at(-1)?.reasons.join()).toMatch(/ECONNREFUSED/)
    await scene.proxy.restore()
    await until(() => db.pool.stats().idle === 2 && db.pool.stats().health === 'healthy', {
      what: 'it to be well again',
    })
    expect(await backendOf(db)).not.toBe(pid)
    const known = changes.length
    await pause(5 * health.everyMs)
    expect(changes).toHaveLength(known)
  })

  it('the background check opens nothing and takes nothing: an unused pool stays unused, a busy one busy', async () => {
    const health = { everyMs: 30, timeoutMs }
    const db = scene.open(orm, { pool: unhurried, health })
    const held = await holdSeveral(db, 2)
    const checked = eventsOf(scene, db.pool, 'moorings:connection:checked')
    await until(() => db.pool.stats().health !== undefined, { what: 'a check' })
    expect(db.pool.stats()).toMatchObject({ acquired: 2, waiting: 0, timeouts: 0 })
    expect(checked).toEqual([])
    await giveBackAll(held)
    await until(() => checked.length >= 3, { what: 'checks by way of what rests' })
    expect(db.pool.stats()).toMatchObject({ acquired: 2, created: 2 })
    db.pool.evict()
    const { accepted } = scene.proxy
    await pause(5 * health.everyMs)
    expect(scene.proxy.accepted).toBe(accepted)
    expect(db.pool.stats()).toMatchObject({ idle: 0, created: 2 })
  })
})
