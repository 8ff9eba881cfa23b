// P12: filling the pool, at its start and after losses, and how a start can fail.

import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, AuthenticationError, ConnectError, PoolClosedError } from '@moorings/core'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { refusesWrongPasswords } from '../support/passwords.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { giveBackAll, holdSeveral } from './held.js'
import { type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const patience = 5_000

function open(pool: NonNullable<ResilienceOptions['pool']>, url = scene.url): PostgresPool {
  return scene.closing(createPool(url, { resilience: { pool } }))
}

function changed(change: (url: URL) => void): string {
  const url = new URL(scene.url)
  change(url)
  return url.href
}

async function backendsToBe(count: number): Promise<number[]> {
  let pids: number[] = []
  await until(
    async () => {
      pids = (await scene.backends()).map(({ pid }) => pid)
      return pids.length === count
    },
    { what: `${count} backends` },
  )
  return pids
}

/** How many backends there are at most until the work is over. */
async function mostBackendsDuring(work: Promise<unknown>): Promise<number> {
  let over = false
  const settled = work.finally(() => {
    over = true
  })
  settled.catch(() => {})
  let most = 0
  while (!over) most = Math.max(most, (await scene.backends()).length)
  await settled
  return most
}

describe('start()', () => {
  it('P12: resolves when min connections are there, and opens no more', async () => {
    const pool = open({ min: 4, max: 6 })
    expect(await scene.backends()).toHaveLength(0)
    await pool.start()
    expect(await scene.backends()).toHaveLength(4)
    expect(pool.stats()).toMatchObject({ idle: 4, connecting: 0, created: 4 })
    await Promise.all([pool.start(), pool.start()])
    expect(scene.proxy.accepted).toBe(4)
  })

  it('P12: opens one connection where min is 0', async () => {
    const pool = open({ min: 0, max: 6 })
    await pool.start()
    expect(await scene.backends()).toHaveLength(1)
    expect(pool.stats()).toMatchObject({ idle: 1, created: 1 })
  })

  it.each(['closed', 'reset', 'fin'] as const)('P12: waits for a server that comes back (%s)', async (how) => {
    const pool = open({ min: 3, max: 3 })
    const failures = eventsOf(scene, pool, 'moorings:connect:failed')
    scene.proxy.refuse(how)
    const started = outcome(pool.start())
    await until(() => failures.length >= 3, { what: 'several failing connects' })
    expect(pool.stats()).toMatchObject({ idle: 0, created: 0 })
    await scene.proxy.restore()
    expect(await within(patience, started)).toEqual({ value: undefined })
    expect(await scene.backends()).toHaveLength(3)
  })

  it('P12: rejects at its own limit, with the last failure, and the pool can be used once the server is back', async () => {
    const pool = open({ min: 2, max: 2 })
    scene.proxy.refuse()
    const startedAt = performance.now()
    const error = await within(patience, errorOf(pool.start({ timeoutMs: 300 })))
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(299)
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ waitedMs: 300, cause: { name: 'ConnectError', code: 'ECONNREFUSED' } })
    await scene.proxy.restore()
    await within(patience, pool.start())
    expect(await scene.backends()).toHaveLength(2)
  })

  it('P12: rejects when the pool is closed meanwhile, and ever after', async () => {
    const pool = open({ min: 2, max: 2 })
    scene.proxy.refuse('silent')
    const started = errorOf(pool.start())
    await until(() => scene.proxy.accepted > 0, { what: 'a connect' })
    await within(patience, pool.close())
    expect(await started).toBeInstanceOf(PoolClosedError)
    expect(await errorOf(pool.start())).toBeInstanceOf(PoolClosedError)
  })
})

describe('start({ failFast: true })', () => {
  it.each([0, 2])('P12: rejects at once where nobody listens (min %i), and can be asked again', async (min) => {
    const pool = open({ min, max: 3 })
    scene.proxy.refuse()
    const error = await within(patience, errorOf(pool.start({ failFast: true })))
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({ code: 'ECONNREFUSED', retry: 'reconnect' })
    await scene.proxy.restore()
    await until(() => pool.stats().connecting === 0, { what: 'the other one of the connects to fail' })
    await within(patience, pool.start({ failFast: true }))
    expect((await scene.backends()).length).toBeGreaterThanOrEqual(Math.max(1, min))
  })

  it.each([false, true])('P12: rejects at once on a wrong password (failFast: %s)', async (failFast) => {
    if (!(await refusesWrongPasswords(scene.url))) return
    const wrong = changed((url) => {
      url.password = 'not-the-password'
    })
    const pool = open({ min: 2, max: 3 }, wrong)
    const error = await within(patience, errorOf(pool.start({ failFast })))
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error).toMatchObject({ code: '28P01', retry: 'never' })
    await backendsToBe(0)
  })

  it.each([false, true])('P12: rejects at once on an unknown database (failFast: %s)', async (failFast) => {
    const unknown = changed((url) => {
      url.pathname = '/no_such_database'
    })
    const pool = open({ min: 2, max: 3 }, unknown)
    const error = await within(patience, errorOf(pool.start({ failFast })))
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({ code: '3D000', retry: 'never' })
  })

  it('P12: resolves where all is well', async () => {
    const pool = open({ min: 3, max: 3 })
    await pool.start({ failFast: true })
    expect(await scene.backends()).toHaveLength(3)
  })
})

describe("start: 'eager'", () => {
  it('P12: fills the pool when it is made, with nobody calling', async () => {
    const pool = open({ min: 3, max: 6, start: 'eager' })
    await backendsToBe(3)
    await until(() => pool.stats().idle === 3, { what: 'them to be idle' })
    expect(pool.stats()).toMatchObject({ state: 'running', acquired: 0 })
  })

  it('P12: a server that is down is tried until it is back, and nothing is thrown meanwhile', async () => {
    scene.proxy.refuse()
    const pool = open({ min: 2, max: 2, start: 'eager' })
    const failures = eventsOf(scene, pool, 'moorings:connect:failed')
    await until(() => failures.length >= 3, { what: 'several failing connects' })
    await scene.proxy.restore()
    await backendsToBe(2)
  })
})

describe.each(orms)('$name', (orm: Orm) => {
  it('P12: the first statement fills min as well', async () => {
    const db = scene.open(orm, { pool: { min: 4, max: 6 } })
    await db.query('select 1')
    await backendsToBe(4)
    expect(db.pool.stats()).toMatchObject({ min: 4, warm: 4 })
  })

  it('P12: min is filled again after evictions, kills, invalidation and refused connects, with nobody calling', async () => {
    const db = scene.open(orm, { pool: { min: 3, max: 3, overflow: 0 } })
    await db.pool.start()
    const losses: [string, () => unknown][] = [
      ['evict', () => db.pool.evict()],
      ['invalidate', () => db.pool.invalidate()],
      ['kill', () => scene.killAll()],
      ['reset', () => scene.proxy.resetAll()],
    ]
    for (const [name, lose] of losses) {
      const before = await backendsToBe(3)
      await lose()
      await until(
        async () => {
          const now = (await scene.backends()).map(({ pid }) => pid)
          return now.length === 3 && now.every((pid) => !before.includes(pid))
        },
        { what: `three new backends after ${name}` },
      )
      await until(() => db.pool.stats().idle === 3, { what: 'them to be idle' })
    }
    expect(db.pool.stats()).toMatchObject({ created: 15, acquired: 0 })
  })

  it('P12: a burst on slow connects does not overshoot max and overflow', async () => {
    const db = scene.open(orm, { pool: { min: 2, max: 4, overflow: 2 } })
    scene.proxy.delay(60)
    const callers = Array.from({ length: 80 }, (_, i) =>
      i % 2 === 0 ? db.insert('mark') : db.transaction((tx) => tx.insert('mark')),
    )
    const most = await within(50_000, mostBackendsDuring(Promise.all(callers)))
    expect(most).toBeGreaterThan(2)
    expect(most).toBeLessThanOrEqual(6)
    // Not one connect more than was needed, either: a caller served meanwhile leaves none behind that grows the pool.
    expect(scene.proxy.connections.filter(({ state }) => state.cancels === undefined).length).toBe(
      db.pool.stats().created,
    )
    scene.proxy.delay(0)
    await until(() => db.pool.stats().connecting === 0, { what: 'the last connect' })
    const { idle, leased } = db.pool.stats()
    expect({ leased, few: idle <= 4 }).toEqual({ leased: 0, few: true })
    await backendsToBe(idle)
    expect(await scene.marks()).toHaveLength(80)
  })

  it('P12: minIdle keeps so many ready beside those that are lent, as far as max allows', async () => {
    const db = scene.open(orm, { pool: { min: 1, minIdle: 2, max: 5, overflow: 0 } })
    const held = await holdSeveral(db, 2)
    await until(() => db.pool.stats().idle === 2, { what: 'two idle beside the two' })
    await backendsToBe(4)
    held.push(...(await holdSeveral(db, 2)))
    await until(() => db.pool.stats().idle === 1, { what: 'one idle beside the four' })
    await backendsToBe(5)
    await giveBackAll(held)
  })
})
