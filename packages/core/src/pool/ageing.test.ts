// Growing old: lifetime, idleness, and retiring a whole generation.

import { describe, expect, it } from '@jest/globals'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'
import { seeded } from '../testing/seeded.js'

const minute = 60_000
const hour = 60 * minute
/** So that only what a test is about happens. */
const patient = { validateAfterIdleMs: hour * 24, idleTimeoutMs: 0 }

describe('maxLifetimeMs', () => {
  // One used a moment ago is lent at once, another after a look; the reaper looks a second later at the earliest.
  it.each([10, 500])('is checked at the borrow of a connection given back %d ms ago', async (ms) => {
    const { pool, driver, clock } = fixture({ ...patient, maxLifetimeMs: hour })
    const lease = await takeOne(pool)
    await clock.advance(hour - ms)
    lease.release()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    await clock.advance(ms)
    expect((await takeOne(pool)).connection.id).toBe(2)
    expect(driver.connection(1).ended).toBe('closed')
  })

  it('is checked at the return, and never ends a connection in use', async () => {
    const { pool, driver, clock } = fixture({ ...patient, maxLifetimeMs: hour })
    const lease = await takeOne(pool)
    await clock.advance(5 * hour)
    expect(lease.connection.open).toBe(true)
    const events = await eventsOf('moorings:connection:closed', async () => {
      lease.release()
      await settled()
    })
    expect(driver.connection(1).ended).toBe('closed')
    const { endpoint } = driver.connection(1)
    expect(events).toEqual([
      { ...pool.identity, id: 1, endpoint, reason: 'lifetime', ageMs: 5 * hour, uses: 1, error: undefined },
    ])
    expect(pool.stats()).toMatchObject({ closed: 1, lost: 0 })
  })

  it('is checked before a connection is handed to who waits, who gets a new one', async () => {
    const { pool, clock } = fixture({
      ...patient,
      max: 1,
      overflow: 0,
      maxLifetimeMs: hour,
      acquireTimeoutMs: 3 * hour,
    })
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    await clock.advance(hour)
    lease.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('ends what lies idle, and min is filled with new ones', async () => {
    const { pool, driver, clock } = fixture({ ...patient, min: 2, maxLifetimeMs: hour })
    await pool.start()
    await clock.advance(hour)
    expect(driver.connections.map(({ ended }) => ended)).toEqual(['closed', 'closed', undefined, undefined])
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
  })

  it('is shortened by lifetimeJitter, differently for each connection', async () => {
    const random = seeded(11)
    const { pool, clock } = fixture({ ...patient, min: 8, max: 8, maxLifetimeMs: hour, lifetimeJitter: 0.5 }, random)
    await pool.start()
    const born = clock.now()
    const ages: number[] = []
    const events = await eventsOf('moorings:connection:closed', async (seen) => {
      while (seen.length < 8) {
        const before = seen.length
        await clock.advance(minute / 2)
        for (let more = seen.length - before; more > 0; more--) ages.push(clock.now() - born)
      }
    })
    expect(events.every(({ reason }) => reason === 'lifetime')).toBe(true)
    for (const age of ages) expect(age).toBeGreaterThanOrEqual(hour / 2)
    expect(Math.max(...ages)).toBeLessThanOrEqual(hour + minute)
    expect(new Set(ages).size).toBeGreaterThan(5)
  })

  it.each([
    ['the whole of it', 0, 1],
    ['nine tenths of it', 1 - Number.EPSILON, 2],
  ])('lasts, by chance, as long as %s', async (_, random, next) => {
    const { pool, clock } = fixture({ ...patient, maxLifetimeMs: hour, lifetimeJitter: 0.1 }, () => random)
    const lease = await takeOne(pool)
    await clock.advance(0.9 * hour)
    lease.release()
    expect((await takeOne(pool)).connection.id).toBe(next)
  })

  it('is never longer than was set', async () => {
    const { pool, clock } = fixture({ ...patient, maxLifetimeMs: hour, lifetimeJitter: 0 }, () => 1 - Number.EPSILON)
    const lease = await takeOne(pool)
    await clock.advance(hour)
    lease.release()
    expect(counts(pool)).toEqual(empty)
  })

  it('of 0 means for ever', async () => {
    const { pool, clock } = fixture({ ...patient, validateAfterIdleMs: 2 ** 31 - 1, maxLifetimeMs: 0 })
    const lease = await takeOne(pool)
    lease.release()
    await clock.advance(24 * 24 * hour)
    expect(clock.pending).toBe(0)
    expect((await takeOne(pool)).connection.id).toBe(1)
  })
})

describe('idleTimeoutMs', () => {
  it('closes what nobody has needed, and stops at min', async () => {
    const { pool, driver, clock } = fixture({ min: 2, max: 5, idleTimeoutMs: 10 * minute })
    for (const lease of await take(pool, 5)) lease.release()
    const events = await eventsOf('moorings:connection:closed', async () => {
      await clock.advance(10 * minute - 1)
      expect(counts(pool)).toEqual({ ...empty, idle: 5 })
      await clock.advance(1)
    })
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    expect(events.map(({ reason }) => reason)).toEqual(['idle', 'idle', 'idle'])
    // The oldest go: those at the bottom.
    expect(driver.open.map(({ id }) => id)).toEqual([4, 5])
    await clock.advance(40 * minute)
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
  })

  it('counts from the last return', async () => {
    const { pool, clock } = fixture({ idleTimeoutMs: 10 * minute, validateAfterIdleMs: hour })
    const first = await takeOne(pool)
    first.release()
    await clock.advance(9 * minute)
    const again = await takeOne(pool)
    again.release()
    await clock.advance(9 * minute)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    await clock.advance(minute + 1_000)
    expect(counts(pool)).toEqual(empty)
  })

  it('never closes a connection in use', async () => {
    const { pool, clock } = fixture({ idleTimeoutMs: minute })
    const [used, spare] = await take(pool, 2)
    spare?.release()
    await clock.advance(10 * minute)
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
    expect(used?.connection.open).toBe(true)
  })

  it('of 0 keeps them', async () => {
    const { pool, clock } = fixture({ idleTimeoutMs: 0, maxLifetimeMs: 0 })
    const lease = await takeOne(pool)
    lease.release()
    await clock.advance(24 * hour)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('keeps no process alive', async () => {
    const { pool, clock } = fixture({ min: 2, idleTimeoutMs: minute })
    await pool.start()
    await clock.advance(0)
    expect(clock.pending).toBeGreaterThan(0)
    expect(clock.holding).toBe(0)
    await clock.advance(5 * minute)
    expect(clock.holding).toBe(0)
  })

  it('wakes nobody up while all there is belongs to min', async () => {
    const { pool, clock } = fixture({ min: 2, idleTimeoutMs: 10 * minute, maxLifetimeMs: 0 })
    await pool.start()
    await clock.advance(11 * minute)
    const before = clock.fired
    await clock.advance(10 * minute)
    // Once per timeout is enough to look; every second is not.
    expect(clock.fired - before).toBeLessThanOrEqual(2)
  })
})

describe('invalidate', () => {
  it('retires idle connections at once', async () => {
    const { pool, driver } = fixture()
    for (const lease of await take(pool, 3)) lease.release()
    const events = await eventsOf('moorings:connection:closed', async () => {
      pool.invalidate()
      expect(counts(pool)).toEqual(empty)
      await settled()
    })
    expect(events.map(({ reason }) => reason)).toEqual(['epoch', 'epoch', 'epoch'])
    expect(driver.open).toHaveLength(0)
    expect(pool.stats().epoch).toBe(1)
  })

  it('retires leased connections at their return, not before', async () => {
    const { pool, driver } = fixture()
    const lease = await takeOne(pool)
    pool.invalidate()
    await settled()
    expect(lease.connection.open).toBe(true)
    lease.release()
    await settled()
    expect(driver.connection(1).ended).toBe('closed')
    expect(counts(pool)).toEqual(empty)
  })

  it('retires on arrival what was connecting; who waits is served by the new epoch', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    driver.connects = 'deaf'
    const [waiting] = await ask(pool, 1)
    pool.invalidate()
    driver.connects = 'ok'
    const old = driver.attempt(1).succeed()
    await settled()
    expect(old.ended).toBe('closed')
    expect(waiting?.value.connection).toMatchObject({ id: 2, epoch: 1 })
  })

  it('retires what is being checked or reset as well', async () => {
    const { pool, driver } = fixture({ max: 2, overflow: 0, validateAfterIdleMs: 0 })
    const [first, second] = await take(pool, 2)
    driver.always('ping', 'ok')
    first?.release()
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    await second?.connection.begin()
    driver.connection(2).next('reset', 'held')
    second?.release()
    pool.invalidate()
    driver.connection(1).held('ping').ok()
    driver.connection(2).held('reset').ok()
    await settled()
    expect(driver.connection(1).ended).toBe('closed')
    expect(driver.connection(2).ended).toBe('closed')
    expect(waiting?.value.connection).toMatchObject({ epoch: 1 })
  })

  it('fills min with connections of the new epoch', async () => {
    const { pool, driver } = fixture({ min: 2 })
    await pool.start()
    pool.invalidate()
    await settled()
    expect(driver.open.map(({ epoch }) => epoch)).toEqual([1, 1])
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
  })

  it('serves who waits for a full pool with a new connection as soon as an old one comes back', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    pool.invalidate()
    await settled()
    expect(driver.attempts).toHaveLength(1)
    lease.release()
    await settled()
    expect(waiting?.value.connection).toMatchObject({ id: 2, epoch: 1 })
  })

  it('before first use opens nothing', async () => {
    const { pool, driver } = fixture({ min: 2 })
    pool.invalidate()
    await settled()
    expect(driver.attempts).toHaveLength(0)
    expect((await takeOne(pool)).connection.epoch).toBe(1)
  })
})
