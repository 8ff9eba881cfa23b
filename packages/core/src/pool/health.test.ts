// The verdict on a pool: what makes it degraded or unhealthy, and what to do about it.

import { describe, expect, it } from '@jest/globals'
import { AuthenticationError, ConnectError, ConnectionLostError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'
import type { PoolHealth } from './setup.js'

const one = { max: 1, overflow: 0 }

/** What `health()` says, `afterMs` at the latest. */
async function healthOf({ pool, clock }: Fixture, afterMs = 0): Promise<PoolHealth> {
  const health = watch(pool.health())
  await clock.advance(afterMs)
  return health.value
}

/** A pool with `count` connections that rest. */
async function resting(count: number, options = {}): Promise<Fixture> {
  const setup = fixture({ max: count, overflow: 0, ...options })
  for (const lease of await take(setup.pool, count)) lease.release()
  return setup
}

describe('a pool that does its work', () => {
  it('is healthy, and tells how long the database took to answer', async () => {
    const setup = await resting(1)
    setup.driver.connection(1).next('ping', 'held')
    const health = watch(setup.pool.health())
    await setup.clock.advance(70)
    setup.driver.connection(1).held('ping').ok()
    await settled()
    expect(health.value).toMatchObject({
      status: 'healthy',
      reasons: [],
      recommendations: [],
      latencyMs: 70,
      error: undefined,
      stats: { health: 'healthy', idle: 1 },
    })
    expect(setup.pool.stats().health).toBe('healthy')
  })

  it('is asked through a connection that rests, which counts as used no more than before', async () => {
    const setup = await resting(3)
    await healthOf(setup)
    expect(setup.driver.connections.flatMap(({ sent }) => sent)).toEqual(['ping'])
    expect(setup.pool.stats().connections.map(({ uses }) => uses)).toEqual([1, 1, 1])
    const leases = await take(setup.pool, 3)
    expect(leases.map(({ connection }) => connection.id)).toEqual([3, 2, 1])
  })

  it('is healthy though the connection that was asked was dead, if another answers', async () => {
    const setup = await resting(1)
    setup.driver.connection(1).next('ping', new ConnectionLostError('gone'))
    expect(await healthOf(setup, 25)).toMatchObject({ status: 'healthy', error: undefined })
    expect(setup.pool.stats()).toMatchObject({ created: 2, closedBy: { invalid: 1 } })
  })
})

describe('a pool is unhealthy', () => {
  it('when it is closed', async () => {
    const setup = fixture()
    const lease = await takeOne(setup.pool)
    void setup.pool.close()
    for (const state of ['closing', 'closed']) {
      const health = await healthOf(setup)
      expect(health).toMatchObject({ status: 'unhealthy', reasons: ['the pool is closed'], latencyMs: undefined })
      expect(health.stats.state).toBe(state)
      lease.release()
      await settled()
    }
  })

  it('when the database cannot be reached', async () => {
    const setup = fixture(one)
    setup.driver.connects = refusal()
    const health = await healthOf(setup, 5_000)
    expect(health).toMatchObject({
      status: 'unhealthy',
      reasons: [expect.stringMatching(/^the database did not answer: .*ECONNREFUSED/), ...health.reasons.slice(1)],
      recommendations: ['check that the server runs and can be reached from here'],
      latencyMs: undefined,
      error: { cause: setup.driver.connects },
    })
  })

  it('when it refuses the password: at once', async () => {
    const setup = fixture(one)
    setup.driver.connects = new AuthenticationError('password authentication failed', { code: '28P01' })
    expect(await healthOf(setup)).toMatchObject({
      status: 'unhealthy',
      reasons: ['the database did not answer: password authentication failed'],
      recommendations: ['check user, password and database of the connection'],
      error: setup.driver.connects,
    })
  })

  it('when it is connected to and does not answer', async () => {
    const setup = fixture(one)
    setup.driver.always('ping', 'held')
    expect(await healthOf(setup, 5_000)).toMatchObject({
      status: 'unhealthy',
      reasons: ['the database did not answer: The connection did not answer in time'],
      recommendations: ['look at the server: it took the connection but did not answer'],
      error: expect.any(ConnectionLostError),
    })
  })
})

describe('a pool is degraded', () => {
  it('while it is suspended, and nobody is asked', async () => {
    const setup = await resting(1)
    setup.pool.suspend()
    await ask(setup.pool, 1)
    expect(await healthOf(setup)).toMatchObject({
      status: 'degraded',
      reasons: ['the pool is suspended'],
      recommendations: ['call resume() when the work is done'],
      latencyMs: undefined,
      error: undefined,
    })
    expect(setup.driver.connection(1).sent).toEqual([])
  })

  it('when the database takes more than half of the time it has', async () => {
    const setup = fixture({ ...one, validationTimeoutMs: 5_000 }, () => 0, { health: { everyMs: 0, timeoutMs: 1_000 } })
    ;(await takeOne(setup.pool)).release()
    for (const [latencyMs, status] of [
      [500, 'healthy'],
      [501, 'degraded'],
    ] as const) {
      setup.driver.connection(1).next('ping', 'held')
      const health = watch(setup.pool.health())
      await setup.clock.advance(latencyMs)
      setup.driver.connection(1).held('ping').ok()
      await settled()
      expect(health.value).toMatchObject({ status, latencyMs })
    }
    setup.driver.connection(1).next('ping', 'held')
    const health = watch(setup.pool.health())
    await setup.clock.advance(700)
    setup.driver.connection(1).held('ping').ok()
    await settled()
    expect(health.value).toMatchObject({
      reasons: ['the database took 700 ms to answer'],
      recommendations: ['look at the load of the server and of the network between'],
    })
  })

  it('when no connection comes free to ask: the database may be well', async () => {
    const setup = fixture(one)
    await takeOne(setup.pool)
    const { status, reasons, recommendations, error } = await healthOf(setup, 5_000)
    expect(status).toBe('degraded')
    expect(reasons[0]).toMatch(/^no connection came free within \d+ ms to ask the database$/)
    expect(recommendations).toContain('raise resilience.pool.max, or shorten what holds connections')
    expect(error).toMatchObject({ name: 'AcquireTimeoutError' })
  })

  it('when all connections are lent and callers wait', async () => {
    const setup = fixture({ max: 2, overflow: 1 })
    const leases = await take(setup.pool, 3)
    expect((await healthOf(setup, 5_000)).reasons.join()).not.toContain('callers wait')
    await ask(setup.pool, 2)
    const { status, reasons, recommendations } = await healthOf(setup, 5_000)
    expect(status).toBe('degraded')
    expect(reasons).toContain('all 3 connections are lent and 2 callers wait')
    expect(recommendations).toContain('raise resilience.pool.max, or shorten what holds connections')
    for (const lease of leases) lease.release()
    await settled()
    expect((await healthOf(setup)).reasons.join()).not.toContain('callers wait')
  })

  it('when callers got no connection in time, or were refused, since the last check', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: 50, maxWaiters: 2 })
    const lease = await takeOne(setup.pool)
    await ask(setup.pool, 5)
    await setup.clock.advance(50)
    lease.release()
    expect(await healthOf(setup)).toMatchObject({
      status: 'degraded',
      reasons: expect.arrayContaining([
        '2 callers got no connection in time since the last check',
        '3 callers were refused since the last check',
      ]),
    })
    expect(await healthOf(setup)).toMatchObject({ status: 'healthy', reasons: [] })
  })

  it('when one caller of twenty waits for more than half of acquireTimeoutMs', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: 1_000 })
    for (const [waitMs, status] of [
      [500, 'healthy'],
      [600, 'degraded'],
    ] as const) {
      const lease = await takeOne(setup.pool)
      const [waiting] = await ask(setup.pool, 1)
      await setup.clock.advance(waitMs)
      lease.release()
      await settled()
      waiting?.value.release()
      const health = await healthOf(setup)
      expect(health.status).toBe(status)
      if (status === 'degraded') expect(health.reasons).toEqual(['of twenty callers one waits 600 ms for a connection'])
    }
    await setup.clock.advance(180_000)
    expect((await healthOf(setup)).status).toBe('healthy')
  })

  it('while leases are held for longer than leakAfterMs', async () => {
    const setup = fixture({ max: 5, leakAfterMs: 60_000 })
    const [first, second, third] = await take(setup.pool, 3)
    third?.release()
    await setup.clock.advance(60_000)
    expect(await healthOf(setup)).toMatchObject({
      status: 'degraded',
      reasons: ['2 leases are held for longer than 60000 ms'],
      recommendations: ['subscribe to moorings:leak:found, or set a logger: it tells where they were taken'],
    })
    first?.release()
    second?.release()
    expect((await healthOf(setup)).status).toBe('healthy')
  })

  it('when connects have failed since the last check, though what is there answers', async () => {
    const setup = await resting(2, { min: 2 })
    await setup.clock.advance(60_000)
    setup.driver.connects = new ConnectError('too many clients already', { code: '53300' })
    setup.driver.connection(2).lose()
    await settled()
    const failures = setup.pool.stats().connectFailures
    expect(failures).toBeGreaterThan(0)
    expect(await healthOf(setup)).toMatchObject({
      status: 'degraded',
      reasons: [`${failures} connects failed since the last check: too many clients already`],
      recommendations: ['check that the server runs, and that it allows so many connections'],
      error: undefined,
    })
    await setup.clock.advance(1_000)
    setup.driver.connects = 'ok'
    await setup.clock.advance(1_000)
    expect(setup.pool.stats().connectFailures).toBeGreaterThan(failures)
    expect((await healthOf(setup)).status).toBe('healthy')
  })

  it('for several reasons at once, each with what to do about it', async () => {
    const setup = fixture({ max: 2, overflow: 0, leakAfterMs: 60_000 })
    await takeOne(setup.pool)
    await setup.clock.advance(60_000)
    setup.pool.suspend()
    const { reasons, recommendations } = await healthOf(setup)
    expect(reasons).toEqual(['the pool is suspended', '1 leases are held for longer than 60000 ms'])
    expect(recommendations).toEqual([
      'call resume() when the work is done',
      'subscribe to moorings:leak:found, or set a logger: it tells where they were taken',
    ])
  })
})
