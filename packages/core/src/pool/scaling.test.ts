// The number of connections kept warm follows the load: up by a fifth above 80 per cent, down by a fifth below 50.

import { describe, expect, it } from '@jest/globals'
import { eventsOf } from '../testing/events.js'
import { counts, empty, type FakePool, fixture, take } from '../testing/fixture.js'

const minute = 60_000
/** Nothing ages, so that only scaling happens. */
const scaled = { scaling: {}, overflow: 0, idleTimeoutMs: 0, maxLifetimeMs: 0, validateAfterIdleMs: 1_000 * minute }

type Setup = ReturnType<typeof fixture>

/** The warm number after each of so many minutes. */
async function warmAfterEach({ pool, clock }: Setup, minutes: number): Promise<number[]> {
  const seen: number[] = []
  for (let turn = 0; turn < minutes; turn++) {
    await clock.advance(minute)
    seen.push(pool.stats().warm)
  }
  return seen
}

/** `count` connections are lent for `ms`. */
async function use(pool: FakePool, clock: Setup['clock'], count: number, ms: number): Promise<void> {
  const leases = await take(pool, count)
  await clock.advance(ms)
  for (const lease of leases) lease.release()
}

describe('scaling', () => {
  it('grows by a fifth, at least by one, each minute in which more than 80 % were in use, as far as max', async () => {
    const setup = fixture({ ...scaled, min: 2, max: 12 })
    await setup.pool.start()
    await take(setup.pool, 12)
    expect(await warmAfterEach(setup, 12)).toEqual([3, 4, 5, 6, 7, 8, 10, 12, 12, 12, 12, 12])
  })

  it('shrinks by a fifth, at least by one, each minute in which fewer than 50 % were in use, as far as min', async () => {
    const setup = fixture({ ...scaled, min: 2, max: 20 })
    const leases = await take(setup.pool, 20)
    await setup.clock.advance(60 * minute)
    expect(setup.pool.stats().warm).toBe(20)
    for (const lease of leases) lease.release()
    expect(await warmAfterEach(setup, 11)).toEqual([16, 13, 10, 8, 6, 5, 4, 3, 2, 2, 2])
  })

  it('stays where it is in between', async () => {
    const setup = fixture({ ...scaled, min: 2, max: 20 })
    await take(setup.pool, 5)
    await setup.clock.advance(60 * minute)
    // Five of seven: 71 %.
    expect(setup.pool.stats().warm).toBe(7)
    expect(await warmAfterEach(setup, 3)).toEqual([7, 7, 7])
  })

  it('opens what it wants at once, though nobody waits', async () => {
    const { pool, clock, driver } = fixture({ ...scaled, min: 2, max: 10 })
    await take(pool, 2)
    await clock.advance(minute)
    expect(counts(pool)).toEqual({ ...empty, leased: 2, idle: 1 })
    expect(driver.connections).toHaveLength(3)
  })

  it('keeps so many, and lets what is above go when it has been idle for long', async () => {
    const setup = fixture({ ...scaled, min: 1, max: 10, idleTimeoutMs: 2 * minute })
    const leases = await take(setup.pool, 10)
    await setup.clock.advance(10 * minute)
    expect(setup.pool.stats().warm).toBe(10)
    for (const lease of leases) lease.release()
    await setup.clock.advance(minute)
    expect(counts(setup.pool)).toMatchObject({ idle: 10 })
    const warm = await warmAfterEach(setup, 3)
    expect(warm).toEqual([6, 5, 4])
    expect(counts(setup.pool).idle).toBeLessThanOrEqual(5)
    expect(counts(setup.pool).idle).toBeGreaterThanOrEqual(4)
    await setup.clock.advance(20 * minute)
    expect(counts(setup.pool)).toMatchObject({ idle: 1 })
  })

  it('measures once a minute, however often the pool looks after other things', async () => {
    const setup = fixture({ ...scaled, min: 2, max: 10, keepaliveMs: 1_000 })
    const times: number[] = []
    const events = await eventsOf('moorings:pool:scaled', async (seen) => {
      await setup.pool.start()
      const startedAt = setup.clock.now()
      await take(setup.pool, 2)
      while (setup.clock.now() < startedAt + 5 * minute) {
        const before = seen.length
        await setup.clock.advanceToNext()
        if (seen.length > before) times.push(setup.clock.now() - startedAt)
      }
    })
    // Two of two: 100 %; two of three: 67 %.
    expect(events).toHaveLength(1)
    expect(times[0]).toBeGreaterThanOrEqual(minute)
    expect(times[0]).toBeLessThan(minute + 2_000)
  })

  it('tells of each change, and of nothing else', async () => {
    const { pool, clock } = fixture({ ...scaled, min: 2, max: 3 })
    const events = await eventsOf('moorings:pool:scaled', async () => {
      const leases = await take(pool, 3)
      await clock.advance(3 * minute)
      for (const lease of leases) lease.release()
      await clock.advance(3 * minute)
    })
    expect(events).toEqual([
      { ...pool.identity, from: 2, to: 3, utilisation: 1.5 },
      { ...pool.identity, from: 3, to: 2, utilisation: 0 },
    ])
  })

  it('false leaves the number at min', async () => {
    const setup = fixture({ ...scaled, min: 2, max: 10, scaling: false })
    await take(setup.pool, 10)
    expect(await warmAfterEach(setup, 3)).toEqual([2, 2, 2])
    expect(setup.clock.pending).toBe(0)
  })

  it('keeps no process alive', async () => {
    const { pool, clock } = fixture({ ...scaled, min: 2 })
    await pool.start()
    await clock.advance(10 * minute)
    expect([clock.pending, clock.holding]).toEqual([1, 0])
  })

  it('takes other bounds, another step and another rhythm', async () => {
    const scaling = { up: 0.3, down: 0.1, step: 0.5, everyMs: 5_000 }
    const { pool, clock } = fixture({ ...scaled, min: 4, max: 20, scaling })
    const warm: number[] = []
    const leases = await take(pool, 5)
    for (let turn = 0; turn < 6; turn++) {
      if (turn === 3) for (const lease of leases) lease.release()
      await clock.advance(5_000)
      warm.push(pool.stats().warm)
    }
    // 5 of 4, 5 of 6, 5 of 9: 56 %; then 5 of 14: 36 % is over, none of 14, none of 7.
    expect(warm).toEqual([6, 9, 14, 7, 4, 4])
  })
})

describe('the share in use', () => {
  it('counts what is lent right now, and each lease for the time it was lent only', async () => {
    const { pool, clock } = fixture({ ...scaled, min: 5, max: 10 })
    await pool.start()
    const events = await eventsOf('moorings:pool:scaled', async () => {
      // 5 × 30 s + 3 × 20 s of 5 × 60 s, and nothing is lent at the moment of measuring.
      await use(pool, clock, 5, 30_000)
      await use(pool, clock, 3, 20_000)
      await clock.advance(10_000)
      expect(pool.stats().warm).toBe(5)
      // One lease over three minutes, beside four that end in the first of them.
      await use(pool, clock, 5, minute)
    })
    expect(events).toEqual([{ ...pool.identity, from: 5, to: 6, utilisation: 1 }])
  })

  it('counts a lease that lasts for several measures in each of them, for its part', async () => {
    const { pool, clock } = fixture({ ...scaled, min: 1, max: 9, scaling: { up: 0.2, down: 0.1 } })
    const events = await eventsOf('moorings:pool:scaled', async () => {
      const [lease] = await take(pool, 1)
      await clock.advance(150_000)
      lease?.release()
      await clock.advance(90_000)
    })
    // The whole of two minutes, half of the third, nothing of the fourth.
    expect(events.map(({ from, to, utilisation }) => [from, to, utilisation])).toEqual([
      [1, 2, 1],
      [2, 3, 0.5],
      [3, 2, 0],
    ])
  })

  it('of a pool that keeps none warm is taken as of one', async () => {
    const { pool, clock } = fixture({ ...scaled, min: 0, max: 3 })
    const events = await eventsOf('moorings:pool:scaled', async () => {
      await take(pool, 1)
      await clock.advance(minute)
    })
    expect(events).toEqual([{ ...pool.identity, from: 0, to: 1, utilisation: 1 }])
  })
})

describe('the warm number', () => {
  it('follows resize(): never below the new min, never above the new max', async () => {
    const { pool } = fixture({ ...scaled, min: 2, max: 10 })
    await pool.start()
    pool.resize({ min: 4 })
    expect(pool.stats().warm).toBe(4)
    pool.resize({ min: 0, max: 3 })
    expect(pool.stats().warm).toBe(3)
  })

  it('grows no further than a max that was lowered', async () => {
    const setup = fixture({ ...scaled, min: 2, max: 10 })
    await take(setup.pool, 10)
    await setup.clock.advance(2 * minute)
    setup.pool.resize({ max: 5 })
    expect(await warmAfterEach(setup, 3)).toEqual([5, 5, 5])
  })
})
