// The size of a living pool, changed in both directions, with leases out, idle connections and callers waiting.

import { afterEach, describe, expect, it } from '@jest/globals'
import { InvalidOptionsError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type FakePool, fixture, take, takeOne } from '../testing/fixture.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { watch } from '../testing/watch.js'
import type { PoolSize } from './setup.js'

const minute = 60_000

function sizeOf(pool: FakePool): PoolSize {
  const { min, minIdle, max, overflow } = pool.stats()
  return { min, minIdle, max, overflow }
}

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('a pool made larger', () => {
  it('serves those who wait at once, as far as it goes', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    await takeOne(pool)
    const asked = await ask(pool, 4)
    pool.resize({ max: 3 })
    await settled()
    expect(asked.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'pending', 'pending'])
    pool.resize({ overflow: 1 })
    await settled()
    expect(asked.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved', 'pending'])
    expect(driver.attempts).toHaveLength(4)
  })

  it('keeps what used to be overflow', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 2 })
    const leases = await take(pool, 3)
    pool.resize({ max: 3 })
    for (const lease of leases) lease.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
    expect(driver.open).toHaveLength(3)
  })

  it('fills a larger min, and a larger minIdle, at once', async () => {
    const { pool } = fixture({ min: 1, max: 10 })
    await takeOne(pool)
    pool.resize({ min: 3 })
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 2 })
    pool.resize({ minIdle: 4 })
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 4 })
  })

  it('opens nothing before its first use', async () => {
    const { pool, driver } = fixture({ min: 0 })
    pool.resize({ min: 3 })
    await settled()
    expect(driver.attempts).toHaveLength(0)
    await pool.start()
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
  })

  it('while it is suspended serves those who wait when it is resumed', async () => {
    const { pool } = fixture({ max: 1, overflow: 0 })
    await takeOne(pool)
    pool.suspend()
    const asked = await ask(pool, 2)
    pool.resize({ max: 3 })
    await settled()
    expect(asked.map(({ state }) => state)).toEqual(['pending', 'pending'])
    pool.resume()
    await settled()
    expect(asked.map(({ state }) => state)).toEqual(['resolved', 'resolved'])
  })
})

describe('a pool made smaller', () => {
  it('closes idle connections at once, the longest unused first', async () => {
    const { pool, driver } = fixture({ max: 5, overflow: 0 })
    for (const lease of await take(pool, 5)) lease.release()
    const closed = await eventsOf('moorings:connection:closed', async () => {
      pool.resize({ max: 2 })
      expect(counts(pool)).toEqual({ ...empty, idle: 2 })
      await settled()
    })
    expect(closed.map(({ id, reason, error }) => ({ id, reason, error }))).toEqual(
      [1, 2, 3].map((id) => ({ id, reason: 'overflow', error: undefined })),
    )
    expect(driver.open.map(({ id }) => id)).toEqual([4, 5])
  })

  it('lets leased connections be, and closes them at their return as far as they are too many', async () => {
    const { pool, driver } = fixture({ max: 4, overflow: 0 })
    const leases = await take(pool, 4)
    pool.resize({ max: 2 })
    await settled()
    expect(driver.open).toHaveLength(4)
    for (const lease of leases) lease.release()
    await settled()
    expect(driver.connections.map(({ ended }) => ended)).toEqual(['closed', 'closed', undefined, undefined])
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
  })

  it('shrinks with the returns although callers wait, who are served again from then on', async () => {
    const { pool } = fixture({ max: 3, overflow: 0 })
    const [first, second, third] = await take(pool, 3)
    const asked = await ask(pool, 2)
    pool.resize({ max: 1 })
    first?.release()
    second?.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 2 })
    third?.release()
    await settled()
    expect(asked.map(({ state }) => state)).toEqual(['resolved', 'pending'])
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 1 })
  })

  it('counts those that are lent: idle ones go first', async () => {
    const { pool, driver } = fixture({ max: 4, overflow: 0 })
    const leases = await take(pool, 4)
    leases[2]?.release()
    leases[3]?.release()
    pool.resize({ max: 2 })
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 2 })
    expect(driver.open.map(({ id }) => id)).toEqual([1, 2])
  })

  it('closes what is connecting on its arrival, unless somebody waits for it', async () => {
    const { pool, driver, clock } = fixture({ max: 4, overflow: 0, acquireTimeoutMs: 100 })
    driver.connects = 'deaf'
    await ask(pool, 4)
    await clock.advance(100)
    pool.resize({ max: 1 })
    for (const attempt of driver.pending) attempt.succeed()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(driver.open).toHaveLength(1)
  })

  it('closes what is being checked or cleaned when that is over', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0, validateAfterIdleMs: 0, acquireTimeoutMs: 100 })
    const [first, second] = await take(pool, 2)
    first?.release()
    driver.connection(1).next('ping', 'held')
    await ask(pool, 1)
    await clock.advance(100)
    await second?.connection.begin()
    driver.connection(2).next('reset', 'held')
    second?.release()
    pool.resize({ max: 1 })
    driver.connection(1).held('ping').ok()
    driver.connection(2).held('reset').ok()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('opens no more than the new size allows, whoever waits', async () => {
    const { pool, driver } = fixture({ max: 3, overflow: 1 })
    const lease = await takeOne(pool)
    pool.resize({ max: 1, overflow: 0 })
    await ask(pool, 5)
    lease.release()
    await settled()
    expect(driver.attempts).toHaveLength(1)
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 4 })
  })
})

describe('resize', () => {
  it('changes what is given, keeps the rest, and tells the whole', async () => {
    const { pool } = fixture({ min: 1, minIdle: 1, max: 4, overflow: 3 })
    const events = await eventsOf('moorings:pool:resized', () => {
      pool.resize({ max: 6 })
      pool.resize({ min: 2, minIdle: 0, overflow: undefined })
      pool.resize({})
    })
    expect(sizeOf(pool)).toEqual({ min: 2, minIdle: 0, max: 6, overflow: 3 })
    expect(events).toEqual(
      [
        { min: 1, minIdle: 1, max: 6, overflow: 3 },
        { min: 2, minIdle: 0, max: 6, overflow: 3 },
        { min: 2, minIdle: 0, max: 6, overflow: 3 },
      ].map((size) => ({ ...pool.identity, ...size })),
    )
  })

  it('shows in what a caller is told that waits in vain', async () => {
    const { pool, clock } = fixture({ max: 5, overflow: 5, acquireTimeoutMs: 100 })
    await takeOne(pool)
    pool.resize({ max: 1, overflow: 0 })
    const [waiting] = await ask(pool, 1)
    await clock.advance(100)
    expect(waiting?.error).toMatchObject({ pool: { max: 1, overflow: 0 } })
  })

  it.each<[string, object, string[]]>([
    ['a max of 0', { min: 0, max: 0 }, ['size.max']],
    ['half a connection', { overflow: 1.5 }, ['size.overflow']],
    ['less than nothing', { min: -1, minIdle: -1 }, ['size.min', 'size.minIdle']],
    ['a min above the max of now', { min: 5 }, ['size.min']],
    ['a max below the min of now', { max: 1 }, ['size.min']],
    ['what is no number', { max: '8' }, ['size.max']],
    ['what has no size', { acquireTimeoutMs: 5 }, ['size.acquireTimeoutMs']],
    ['several at once, one of them right', { min: 3, max: Number.NaN, idle: 1 }, ['size.idle', 'size.max']],
  ])('refuses %s, says what is wrong, and changes nothing', async (_, size, paths) => {
    const { pool, driver } = fixture({ min: 2, max: 4, overflow: 0 })
    await pool.start()
    const events = await eventsOf('moorings:pool:resized', () => {
      let thrown: unknown
      try {
        pool.resize(size)
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBeInstanceOf(InvalidOptionsError)
      expect(thrown).toMatchObject({ problems: paths.map((path) => expect.objectContaining({ path })) })
    })
    await settled()
    expect(events).toEqual([])
    expect(sizeOf(pool)).toEqual({ min: 2, minIdle: 0, max: 4, overflow: 0 })
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    expect(driver.attempts).toHaveLength(2)
  })

  it('of a pool that is closed afterwards leaves nothing', async () => {
    const setup = fixture({ min: 1, max: 2, overflow: 0 })
    const leases = await take(setup.pool, 2)
    setup.pool.resize({ max: 1 })
    setup.pool.resize({ min: 3, max: 3 })
    await ask(setup.pool, 1)
    const closed = watch(setup.pool.close())
    for (const lease of leases) lease.release()
    await setup.clock.advance(10_000)
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })
})

describe('scaling in a pool of another size', () => {
  const scaling = { everyMs: minute }
  const still = { idleTimeoutMs: 0, maxLifetimeMs: 0 }

  it('grows no further than the new max', async () => {
    const { pool, clock } = fixture({ min: 2, max: 10, overflow: 0, scaling, ...still })
    await take(pool, 4)
    pool.resize({ max: 4 })
    await clock.advance(10 * minute)
    expect(pool.stats().warm).toBe(4)
  })

  it('comes down to the new max at once', async () => {
    const { pool, clock } = fixture({ min: 2, max: 10, overflow: 0, scaling, ...still })
    const leases = await take(pool, 10)
    await clock.advance(5 * minute)
    expect(pool.stats().warm).toBe(7)
    pool.resize({ max: 5 })
    expect(pool.stats().warm).toBe(5)
    for (const lease of leases) lease.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 5 })
  })

  it('starts from the new min, and shrinks no further', async () => {
    const { pool, clock } = fixture({ min: 2, max: 10, overflow: 0, scaling, ...still })
    await pool.start()
    pool.resize({ min: 6 })
    expect(pool.stats().warm).toBe(6)
    await clock.advance(10 * minute)
    expect(pool.stats().warm).toBe(6)
    expect(counts(pool)).toEqual({ ...empty, idle: 6 })
  })

  it('shrinks step by step to a smaller min', async () => {
    const { pool, clock } = fixture({ min: 6, max: 10, overflow: 0, scaling, ...still, idleTimeoutMs: minute })
    await pool.start()
    pool.resize({ min: 1 })
    await clock.advance(10 * minute)
    expect(pool.stats().warm).toBe(1)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })
})
