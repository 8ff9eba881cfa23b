// Signs of life from connections that rest: dead ones are found and replaced before anybody needs them.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type FakePool, fixture, take, takeOne } from '../testing/fixture.js'

const minute = 60_000
/** So that only keepalive happens: a borrow asks nothing, and nothing ages. */
const quiet = { keepaliveMs: 2 * minute, validateAfterIdleMs: 1_000 * minute, idleTimeoutMs: 0, maxLifetimeMs: 0 }

/** Connections 1 to `count`, idle; the last one was given back last, each a second after the one before. */
async function resting(count: number, options = {}) {
  const setup = fixture({ max: count, overflow: 0, ...quiet, ...options })
  const leases = await take(setup.pool, count)
  for (const lease of leases) {
    await setup.clock.advance(1_000)
    lease.release()
  }
  const pings = () => setup.driver.connections.map(({ sent }) => sent.filter((what) => what === 'ping').length)
  return { ...setup, pings }
}

/** In which order the pool lends them. */
async function order(pool: FakePool): Promise<number[]> {
  const leases = await take(pool, pool.stats().idle)
  return leases.map(({ connection }) => connection.id)
}

describe('keepalive', () => {
  it('asks each connection that has rested for keepaliveMs, and again after that', async () => {
    const { clock, pings } = await resting(2)
    await clock.advance(2 * minute - 1_001)
    expect(pings()).toEqual([0, 0])
    await clock.advance(1_001)
    expect(pings()).toEqual([1, 1])
    await clock.advance(2 * minute + 1_000)
    expect(pings()).toEqual([2, 2])
    await clock.advance(20 * minute)
    expect(Math.min(...pings())).toBeGreaterThanOrEqual(11)
    expect(Math.max(...pings())).toBeLessThanOrEqual(12)
  })

  it('counts from when a connection was last known to live: its return, or another sign of life', async () => {
    const { pool, clock, pings } = await resting(1)
    await clock.advance(minute)
    const lease = await takeOne(pool)
    lease.release()
    await clock.advance(2 * minute - 1_000)
    expect(pings()).toEqual([0])
    await clock.advance(1_000)
    expect(pings()).toEqual([1])
  })

  it('of 0 asks nobody', async () => {
    const { clock, pings } = await resting(2, { keepaliveMs: 0 })
    await clock.advance(1_000 * minute)
    expect(pings()).toEqual([0, 0])
    expect(clock.pending).toBe(0)
  })

  it('does not touch a connection that is lent', async () => {
    const { pool, clock, driver } = await resting(1)
    const lease = await takeOne(pool)
    await clock.advance(20 * minute)
    expect(driver.connection(1).sent).toEqual([])
    lease.release()
  })

  it('tells what it asked, why, and how long that took', async () => {
    const { pool, clock, driver } = await resting(2)
    const silent = new ConnectionLostError('nobody there')
    driver.connection(1).next('ping', 'held')
    driver.connection(2).next('ping', silent)
    const events = await eventsOf('moorings:connection:checked', async () => {
      await clock.advance(2 * minute)
      await clock.advance(70)
      driver.connection(1).held('ping').ok()
      await settled()
    })
    expect(events).toContainEqual({ ...pool.identity, id: 2, why: 'keepalive', tookMs: 0, error: silent })
    expect(events.find(({ id }) => id === 1)).toMatchObject({ why: 'keepalive', error: undefined })
    expect(events.find(({ id }) => id === 1)?.tookMs).toBeGreaterThanOrEqual(70)
  })

  it('keeps no process alive between two rounds', async () => {
    const { clock } = await resting(2)
    await clock.advance(minute)
    expect([clock.pending, clock.holding]).toEqual([1, 0])
    await clock.advance(10 * minute)
    expect([clock.pending, clock.holding]).toEqual([1, 0])
  })
})

describe('a dead connection found by keepalive', () => {
  it('is replaced where min wants it, before anybody needs it', async () => {
    const { pool, clock, driver } = await resting(2, { min: 2 })
    driver.connection(1).always('ping', 'held')
    while (driver.connection(1).waiting.length === 0) await clock.advanceToNext()
    driver.connection(1).held('ping').fail(new ConnectionLostError('gone'))
    await settled()
    expect(driver.connections.map(({ ended }) => ended)).toEqual(['destroyed', undefined, undefined])
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    expect(pool.stats().closedBy.invalid).toBe(1)
  })

  it('is not replaced above min', async () => {
    const { pool, clock, driver } = await resting(2, { min: 1 })
    driver.connection(1).always('ping', new ConnectionLostError('gone'))
    await clock.advance(3 * minute)
    expect(driver.attempts).toHaveLength(2)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('that hangs is given up after validationTimeoutMs', async () => {
    const { clock, driver, pool } = await resting(1, { validationTimeoutMs: 300 })
    driver.connection(1).always('ping', 'held')
    while (driver.connection(1).waiting.length === 0) await clock.advanceToNext()
    const { signal } = driver.connection(1).held('ping')
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    await clock.advance(299)
    expect([driver.connection(1).ended, signal?.aborted]).toEqual([undefined, false])
    await clock.advance(1)
    expect([driver.connection(1).ended, signal?.aborted]).toEqual(['destroyed', true])
    expect(counts(pool)).toEqual(empty)
  })

  it('has all that rest beside it asked at once, whenever they were seen last', async () => {
    const { pool, clock, driver, pings } = await resting(3, { min: 1 })
    await clock.advance(minute + 57_000)
    // The first falls due now; the others were used a moment ago.
    const leases = await take(pool, 2)
    await clock.advance(500)
    for (const lease of leases) lease.release()
    driver.connection(1).always('ping', new ConnectionLostError('gone'))
    driver.connection(3).always('ping', new ConnectionLostError('gone'))
    expect(pings()).toEqual([0, 0, 0])
    await clock.advance(1_000)
    expect(pings()).toEqual([1, 1, 1])
    expect(driver.open.map(({ id }) => id)).toEqual([2])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('that is lost while it is asked is told once, as lost', async () => {
    const { clock, driver, pool } = await resting(1)
    driver.connection(1).always('ping', 'held')
    while (driver.connection(1).waiting.length === 0) await clock.advanceToNext()
    driver.connection(1).lose()
    await settled()
    expect(pool.stats()).toMatchObject({ closed: 1, closedBy: { lost: 1, invalid: 0 } })
    expect(counts(pool)).toEqual(empty)
  })
})

describe('a connection that gave a sign of life', () => {
  it('keeps its place: the one used last is lent first', async () => {
    const { pool, clock, driver, pings } = await resting(4, { validationTimeoutMs: minute })
    for (const connection of driver.connections) connection.always('ping', 'held')
    await clock.advance(2 * minute)
    // They answer in another order than they were used in.
    for (const id of [3, 1, 4, 2]) {
      driver.connection(id).held('ping').ok()
      await settled()
    }
    expect(pings()).toEqual([1, 1, 1, 1])
    expect(await order(pool)).toEqual([4, 3, 2, 1])
  })

  it('is no younger for it: what nobody needs is closed after idleTimeoutMs all the same', async () => {
    const { pool, clock, pings } = await resting(3, { min: 1, idleTimeoutMs: 10 * minute, keepaliveMs: minute })
    await clock.advance(10 * minute - 4_000)
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
    await clock.advance(6_000)
    expect(Math.min(...pings())).toBeGreaterThanOrEqual(8)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(await order(pool)).toEqual([3])
  })

  it('is lent without being asked again', async () => {
    const { pool, clock, driver } = await resting(1, { validateAfterIdleMs: minute, keepaliveMs: 2 * minute })
    await clock.advance(2 * minute)
    expect(driver.connection(1).sent).toEqual(['ping'])
    await clock.advance(minute / 2)
    await takeOne(pool)
    expect(driver.connection(1).sent).toEqual(['ping'])
  })

  it('goes to a caller that came meanwhile', async () => {
    const { pool, clock, driver } = await resting(1)
    driver.connection(1).next('ping', 'held')
    while (driver.connection(1).waiting.length === 0) await clock.advanceToNext()
    const [waiting] = await ask(pool, 1)
    expect(waiting?.state).toBe('pending')
    driver.connection(1).held('ping').ok()
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('goes to nobody whom the beforeAcquire hook would refuse it', async () => {
    const beforeAcquire = () => ({ fail: new Error('not now'), connection: 'keep' }) as const
    const options = { ...quiet, min: 1, max: 1, overflow: 0 }
    const { pool, clock, driver } = fixture(options, () => 0, { hooks: { beforeAcquire } })
    await pool.start()
    driver.connection(1).next('ping', 'held')
    while (driver.connection(1).waiting.length === 0) await clock.advanceToNext()
    const [waiting] = await ask(pool, 1)
    driver.connection(1).held('ping').ok()
    await settled()
    expect(waiting?.error).toMatchObject({ name: 'HookError' })
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is retired after it if it had its day meanwhile', async () => {
    const { pool, clock, driver } = await resting(1)
    driver.connection(1).next('ping', 'held')
    while (driver.connection(1).waiting.length === 0) await clock.advanceToNext()
    pool.invalidate()
    driver.connection(1).held('ping').ok()
    await settled()
    expect(driver.connection(1).ended).toBe('closed')
    expect(counts(pool)).toEqual(empty)
  })

  it('does not count as used', async () => {
    const { pool, clock } = await resting(1, { maxUses: 2 })
    await clock.advance(20 * minute)
    expect(pool.stats().connections).toMatchObject([{ uses: 1 }])
    expect((await takeOne(pool)).connection.id).toBe(1)
  })
})
