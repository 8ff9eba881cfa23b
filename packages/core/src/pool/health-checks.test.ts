// Checking a pool, asked for or in the background, harms nothing: it is bounded, never rejects, and takes nothing.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 }
const half = 30_000
/** Nothing but checks goes on in the background. */
const checked = (options = {}) =>
  fixture({ ...one, idleTimeoutMs: 0, maxLifetimeMs: 0, ...options }, () => 0, { health: { everyMs: half } })

describe('health()', () => {
  it('of a pool never used begins to use it', async () => {
    const { pool, driver } = fixture({ min: 2 })
    const health = watch(pool.health())
    await settled()
    expect(health.value.status).toBe('healthy')
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    expect(driver.connections.flatMap(({ sent }) => sent)).toEqual(['ping'])
  })

  it('of a closed pool opens nothing', async () => {
    const setup = fixture()
    await setup.pool.close()
    await setup.pool.health()
    expect(setup.driver.attempts).toEqual([])
    await expectNothingLeft(setup)
  })

  it('twice at once on one connection asks through that connection, and both are answered', async () => {
    const { pool, driver } = fixture(one)
    ;(await takeOne(pool)).release()
    const both = [watch(pool.health()), watch(pool.health())]
    await settled()
    expect(both.map(({ value }) => value.status)).toEqual(['healthy', 'healthy'])
    expect(driver.connections).toHaveLength(1)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it.each([
    ['nothing answers and nothing connects', 'deaf', 2_000],
    ['nothing answers and every connect fails', refusal(), 2_000],
    ['nothing answers on any connection', 'ok', 2_000],
    ['what rests has longer than that to answer', 'ok', 9_000],
  ] as const)('takes no longer than health.timeoutMs though %s', async (_, connects, validationTimeoutMs) => {
    const others = { health: { everyMs: 0, timeoutMs: 3_000 } }
    const setup = fixture({ min: 1, ...one, validationTimeoutMs }, () => 0, others)
    setup.driver.always('ping', 'held')
    await setup.pool.start()
    setup.driver.connects = connects
    const health = watch(setup.pool.health())
    await setup.clock.advance(3_000)
    expect(health.value.status).not.toBe('healthy')
    expect(health.value.error).toBeInstanceOf(Error)
  })

  it('ends when the pool is closed meanwhile', async () => {
    const setup = fixture(one)
    setup.driver.connects = 'deaf'
    const health = watch(setup.pool.health())
    await settled()
    await setup.pool.close()
    await settled()
    expect(health.value).toMatchObject({ status: 'unhealthy', error: { name: 'PoolClosedError' } })
    await expectNothingLeft(setup)
  })

  it('gives the connection back when it does not answer in time', async () => {
    const setup = fixture(one)
    setup.driver.always('ping', 'held')
    const health = watch(setup.pool.health())
    await setup.clock.advance(5_000)
    expect(health.value.status).toBe('unhealthy')
    expect(counts(setup.pool)).toEqual(empty)
    expect(setup.driver.open).toEqual([])
  })

  it('leaves no timer', async () => {
    const { pool, clock } = fixture({ ...one, idleTimeoutMs: 0, maxLifetimeMs: 0 })
    await pool.health()
    expect(clock.holding).toBe(0)
    await clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })
})

describe('the background check', () => {
  it('asks every health.everyMs, and stats() show its verdict', async () => {
    const { pool, clock, driver } = checked()
    ;(await takeOne(pool)).release()
    await clock.advance(half - 1)
    expect(pool.stats().health).toBeUndefined()
    await clock.advance(1)
    expect(pool.stats().health).toBe('healthy')
    await clock.advance(9 * half)
    expect(driver.connection(1).sent).toHaveLength(10)
  })

  it('of 0 never asks', async () => {
    const { pool, clock, driver } = fixture({ ...one, idleTimeoutMs: 0, maxLifetimeMs: 0 })
    ;(await takeOne(pool)).release()
    await clock.advance(100 * half)
    expect(pool.stats().health).toBeUndefined()
    expect(driver.connection(1).sent).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('begins with the first use', async () => {
    const { clock } = checked()
    await clock.advance(10 * half)
    expect([clock.pending, clock.fired]).toEqual([0, 0])
  })

  it('tells a verdict only when it is another than the last one, with the reasons', async () => {
    const { pool, clock } = checked({ max: 2, leakAfterMs: 100_000 })
    const events = await eventsOf('moorings:health:changed', async () => {
      const [lease, other] = await take(pool, 2)
      other?.release()
      await clock.advance(3 * half)
      // A leak by now, and for as long as it lasts.
      await clock.advance(4 * half)
      lease?.release()
      await clock.advance(3 * half)
    })
    expect(events).toEqual([
      { ...pool.identity, from: undefined, to: 'healthy', reasons: [] },
      {
        ...pool.identity,
        from: 'healthy',
        to: 'degraded',
        reasons: ['1 leases are held for longer than 100000 ms'],
      },
      { ...pool.identity, from: 'degraded', to: 'healthy', reasons: [] },
    ])
  })

  it('shares its last verdict with health()', async () => {
    const { pool, clock } = checked()
    const events = await eventsOf('moorings:health:changed', async () => {
      await pool.health()
      await clock.advance(2 * half)
      pool.suspend({ refuseAfterMs: 10 * half })
      await pool.health()
      await clock.advance(2 * half)
    })
    expect(events.map(({ to }) => to)).toEqual(['healthy', 'degraded'])
  })

  it('opens no connection where there is none, and says nothing of a pool nobody uses', async () => {
    const { pool, clock, driver } = checked({ idleTimeoutMs: 10_000 })
    ;(await takeOne(pool)).release()
    await clock.advance(20_000)
    expect(counts(pool)).toEqual(empty)
    await clock.advance(10 * half)
    expect(driver.attempts).toHaveLength(1)
    expect(pool.stats().health).toBeUndefined()
  })

  it('makes no connection younger: what nobody needs is closed after idleTimeoutMs', async () => {
    const { pool, clock } = checked({ idleTimeoutMs: 4 * half })
    ;(await takeOne(pool)).release()
    await clock.advance(4 * half - 2_000)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    await clock.advance(4_000)
    expect(counts(pool)).toEqual(empty)
    expect(pool.stats().closedBy.idle).toBe(1)
  })

  it('takes no connection from a caller, and does not wait for one', async () => {
    const { pool, clock, driver } = checked({ acquireTimeoutMs: 100 * half })
    await takeOne(pool)
    await ask(pool, 1)
    const queued = await eventsOf('moorings:acquire:queued', () => clock.advance(5 * half))
    expect(queued).toEqual([])
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 1 })
    expect(driver.connection(1).sent).toEqual([])
    expect(pool.stats().health).toBe('degraded')
  })

  it('finds a dead connection, which is replaced', async () => {
    const { pool, clock, driver } = checked({ min: 1 })
    await pool.start()
    driver.connection(1).always('ping', new ConnectionLostError('gone'))
    await clock.advance(half + 1_000)
    expect(driver.connections.map(({ ended }) => ended)).toEqual(['destroyed', undefined])
  })

  it('asks nobody while the pool is suspended, which it tells', async () => {
    const { pool, clock, driver } = checked({ min: 1 })
    await pool.start()
    pool.suspend()
    await clock.advance(half)
    expect(driver.connection(1).sent).toEqual([])
    expect(pool.stats().health).toBe('degraded')
  })

  it('keeps no process alive, and ends with the pool', async () => {
    const setup = checked({ max: 2 })
    const [lease, other] = await take(setup.pool, 2)
    other?.release()
    await setup.clock.advance(2 * half)
    expect([setup.clock.pending, setup.clock.holding]).toEqual([1, 0])
    setup.driver.connection(2).always('ping', 'held')
    await setup.clock.advance(half)
    const events = await eventsOf('moorings:health:changed', async () => {
      // In the middle of a check, and with a lease that is still out when that ends.
      void setup.pool.close({ timeoutMs: half })
      await setup.clock.advance(half / 2)
      lease?.release()
      await setup.clock.advance(10 * half)
    })
    expect(events).toEqual([])
    await expectNothingLeft(setup)
  })
})
