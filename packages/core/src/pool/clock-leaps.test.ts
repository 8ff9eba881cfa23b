// Time that does not go as it should: a wall clock that leaps changes nothing, and a process that stood still does not
// take what it slept through for what never came.

import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { systemClock } from '../clock.js'
import { AcquireTimeoutError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type FakeLease, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { type Watched, watch } from '../testing/watch.js'

const minute = 60_000
const one = { max: 1, overflow: 0 }
const year = 365 * 24 * 60 * minute

/** Everything but the wall clock stays real. */
const notTheDate = [
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
] as const

afterEach(() => {
  jest.useRealTimers()
})

/**
 * The process stood still for so long. Its timers go off before it looks at what has come in on its sockets.
 *
 * @param arrived what lay there
 */
async function standStill({ clock }: Fixture, ms: number, arrived: () => void = () => {}): Promise<void> {
  clock.stall(ms)
  const over = clock.advance(0)
  // Behind the timers, which `advance` lets run one turn from now.
  setImmediate(arrived)
  await over
  await settled()
}

describe('a wall clock that leaps', () => {
  /** A life in which every kind of limit is reached, and what was told of it. */
  async function life(leap: () => void): Promise<unknown[]> {
    const setup = fixture({
      ...{ min: 1, max: 3, overflow: 0, acquireTimeoutMs: 500, idleTimeoutMs: 5 * minute, maxLifetimeMs: 20 * minute },
      ...{ keepaliveMs: minute, leakAfterMs: 2 * minute, scaling: {}, closeTimeoutMs: 100 },
    })
    const { pool, clock } = setup
    const told: unknown[] = []
    const events = await eventsOf('moorings:connection:closed', async () => {
      const leases = await take(pool, 3)
      leap()
      const [late] = await ask(pool, 1)
      await clock.advance(499)
      told.push(late?.state)
      await clock.advance(1)
      told.push(late?.state)
      leap()
      await clock.advance(3 * minute)
      told.push(pool.stats())
      for (const lease of leases) lease.release()
      leap()
      await clock.advance(4 * minute)
      told.push(counts(pool))
      leap()
      await clock.advance(30 * minute)
      told.push(pool.stats())
      leap()
      const lease = await takeOne(pool)
      const closed = watch(pool.close())
      await clock.advance(100)
      told.push(closed.state, lease.lost)
    })
    // Which pool it was differs.
    told.push(...events.map((event) => ({ ...event, poolId: 0 })))
    return told
  }

  it.each([
    ['years ahead', 10 * year],
    ['years back', -10 * year],
  ])('%s changes nothing of what a pool does, nor when', async (_, byMs) => {
    const usual = await life(() => {})
    const today = Date.now()
    jest.useFakeTimers({ doNotFake: [...notTheDate] })
    const leaping = await life(() => jest.setSystemTime(Date.now() + byMs))
    expect(Math.abs(Date.now() - today)).toBeGreaterThan(year)
    expect(leaping).toEqual(usual)
  })

  it('is not what the pool reads', () => {
    const before = systemClock.now()
    jest.useFakeTimers({ doNotFake: [...notTheDate] })
    jest.setSystemTime(Date.now() + 10 * year)
    const after = systemClock.now()
    expect(after).toBeGreaterThanOrEqual(before)
    expect(after - before).toBeLessThan(year)
  })
})

describe('a process that stood still', () => {
  it('gives a caller the connection that came meanwhile, though its time was over', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: 500 })
    setup.driver.connects = 'deaf'
    const [waiting] = await ask(setup.pool, 1)
    await standStill(setup, 5_000, () => setup.driver.attempt(1).succeed())
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('does not give up a connect that was answered meanwhile', async () => {
    const setup = fixture({ ...one, connectTimeoutMs: 1_000 })
    setup.driver.connects = 'deaf'
    const [waiting] = await ask(setup.pool, 1)
    await standStill(setup, 5_000, () => setup.driver.attempt(1).succeed())
    expect(waiting?.state).toBe('resolved')
    expect(setup.pool.stats().connectFailures).toBe(0)
  })

  it('does not take a connection for dead whose sign of life came meanwhile', async () => {
    const setup = fixture({ ...one, min: 1, keepaliveMs: minute, validationTimeoutMs: 500 })
    await setup.pool.start()
    const connection = setup.driver.connection(1)
    connection.next('ping', 'held')
    while (connection.waiting.length === 0) await setup.clock.advanceToNext()
    await standStill(setup, 10_000, () => connection.held('ping').ok())
    expect(connection.ended).toBeUndefined()
    expect(counts(setup.pool)).toEqual({ ...empty, idle: 1 })
  })

  it('does not take a connection for unfit that was undone meanwhile', async () => {
    const setup = fixture(one)
    const lease = await takeOne(setup.pool)
    const { connection } = lease
    await connection.begin()
    connection.next('reset', 'held')
    lease.release()
    await settled()
    await standStill(setup, 60_000, () => connection.held('reset').ok())
    expect(connection.ended).toBeUndefined()
    expect(counts(setup.pool)).toEqual({ ...empty, idle: 1 })
  })

  it('rejects a caller for whom nothing had come', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: 500 })
    await takeOne(setup.pool)
    const [waiting] = await ask(setup.pool, 1)
    await standStill(setup, 5_000)
    expect(waiting?.error).toBeInstanceOf(AcquireTimeoutError)
  })

  it('lends nobody what the server has ended meanwhile', async () => {
    const setup = fixture({ max: 2, overflow: 0 })
    setup.driver.always('ping', 'held')
    for (const lease of await take(setup.pool, 2)) lease.release()
    setup.clock.stall(60_000)
    const waiting = watch(setup.pool.acquire())
    setImmediate(() => {
      for (const connection of setup.driver.open) connection.lose()
    })
    await setup.clock.advance(25)
    expect(waiting.value.connection.id).toBe(3)
  })

  it('keeps min, whatever it slept through, and replaces what is too old', async () => {
    const setup = fixture({ min: 2, max: 5, idleTimeoutMs: minute, maxLifetimeMs: 60 * minute })
    for (const lease of await take(setup.pool, 5)) lease.release()
    await standStill(setup, 30 * minute)
    expect(counts(setup.pool)).toEqual({ ...empty, idle: 2 })
    expect(setup.driver.connections).toHaveLength(5)
    await standStill(setup, 60 * minute)
    expect(counts(setup.pool)).toEqual({ ...empty, idle: 2 })
    expect(setup.pool.stats().closedBy).toMatchObject({ idle: 3, lifetime: 2 })
  })

  it('catches up with what it does from time to time once, not once for each time it has missed', async () => {
    const options = { ...one, min: 1, idleTimeoutMs: 0, maxLifetimeMs: 0, keepaliveMs: 10_000 }
    const setup = fixture(options, () => 0, { health: { everyMs: minute } })
    await setup.pool.start()
    await setup.clock.advance(10_000)
    const events = await eventsOf('moorings:connection:checked', async () => {
      await standStill(setup, 600 * minute)
      await setup.clock.advance(9_000)
    })
    // By the round that was due, and perhaps by the health check besides.
    expect(events.length).toBeGreaterThanOrEqual(1)
    expect(events.length).toBeLessThanOrEqual(2)
  })

  it('measures its load over the whole time as one', async () => {
    const options = { min: 5, max: 5, idleTimeoutMs: 0, maxLifetimeMs: 0, scaling: {}, keepaliveMs: 1_000 }
    const setup = fixture({ ...options, overflow: 0 })
    await setup.pool.start()
    setup.pool.resize({ min: 1 })
    const events = await eventsOf('moorings:pool:scaled', async () => {
      await standStill(setup, 600 * minute)
      await setup.clock.advance(minute / 2)
    })
    expect(events.map(({ from, to }) => [from, to])).toEqual([[5, 4]])
  })

  it('tells each leak once', async () => {
    const setup = fixture({ leakAfterMs: minute })
    await take(setup.pool, 2)
    const events = await eventsOf('moorings:leak:found', async () => {
      await standStill(setup, 600 * minute)
      await setup.clock.advance(5 * minute)
    })
    expect(events.map(({ id }) => id)).toEqual([1, 2])
  })

  it('does not take a holder that got an answer meanwhile for one that waits for itself', async () => {
    const setup = fixture(one)
    let side: Watched<FakeLease> | undefined
    const result = watch(
      setup.pool.transaction(async ({ connection }) => {
        side = watch(setup.pool.acquire())
        connection.next('statement', 'held', 'held')
        await connection.statement()
        await connection.statement()
        return 'done'
      }),
    )
    await settled()
    const connection = setup.driver.connection(1)
    await standStill(setup, 5_000, () => connection.held('statement').ok())
    expect(side?.state).toBe('pending')
    connection.held('statement').ok()
    await settled()
    expect(result.value).toBe('done')
    expect(side?.state).toBe('resolved')
  })
})
