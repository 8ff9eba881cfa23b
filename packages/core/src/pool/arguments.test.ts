// What a pool's methods refuse, and what a listener may do while one is at work.

import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError } from '../errors.js'
import { listening } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { counts, empty, fixture, take, takeOne } from '../testing/fixture.js'

const wrong = [Number.NaN, Number.POSITIVE_INFINITY, -1, 2 ** 40]

describe('a limit that is none', () => {
  it.each(wrong)('(%d) is refused by acquire, start, drain and close, which would never end', async (timeoutMs) => {
    const { pool } = fixture()
    await expect(pool.acquire({ timeoutMs })).rejects.toBeInstanceOf(InvalidOptionsError)
    await expect(pool.start({ timeoutMs })).rejects.toBeInstanceOf(InvalidOptionsError)
    await expect(pool.drain({ timeoutMs })).rejects.toBeInstanceOf(InvalidOptionsError)
    expect(() => pool.close({ timeoutMs })).toThrow(InvalidOptionsError)
    expect(pool.stats()).toMatchObject({ state: 'new', waiting: 0 })
  })

  it('is told with what was given and what is allowed', async () => {
    const { pool } = fixture()
    await expect(pool.acquire({ timeoutMs: Number.NaN })).rejects.toMatchObject({
      problems: [{ path: 'timeoutMs', given: 'NaN', allowed: 'a number >= 0 and <= 2147483647 (milliseconds)' }],
    })
  })
})

describe('a selector that selects nothing', () => {
  it.each<[string, object]>([
    ['an empty object', {}],
    ['a misspelt name', { ids: [1] }],
    ['an id that is text', { id: '1' }],
    ['an endpoint that is text', { endpoint: 'db.test:5432' }],
    ['both', { id: 1, endpoint: { host: 'db.test', port: 5432 } }],
  ])('(%s) is refused, rather than taken for all', async (_, selector) => {
    const { pool } = fixture()
    await take(pool, 3)
    // As it comes from code without types.
    const given: Parameters<typeof pool.evict>[0] = Object.assign(Object.create(null), selector)
    expect(() => pool.evict(given)).toThrow(InvalidOptionsError)
    expect(() => pool.invalidate(given)).toThrow(InvalidOptionsError)
    expect(counts(pool)).toEqual({ ...empty, leased: 3 })
  })
})

describe('a listener', () => {
  it('that evicts what is being given back leaves nothing dead behind', async () => {
    const { pool } = fixture()
    const lease = await takeOne(pool)
    await listening(
      'moorings:lease:returned',
      ({ id }) => void pool.evict({ id }),
      () => lease.release(),
    )
    expect(counts(pool)).toEqual(empty)
    expect((await takeOne(pool)).lost).toBe(false)
  })

  it('that gives back what has just been found leaked costs nobody else a connection', async () => {
    const { pool, clock } = fixture({ max: 1, overflow: 0, leakAfterMs: 1_000, reclaimLeaks: true })
    const lease = await takeOne(pool)
    await listening(
      'moorings:leak:found',
      () => lease.release(),
      () => clock.advance(2_000),
    )
    await settled()
    expect(pool.stats()).toMatchObject({ idle: 1, leaks: { found: 1, reclaimed: 0 } })
  })
})
