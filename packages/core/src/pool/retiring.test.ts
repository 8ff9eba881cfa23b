// Replacing connections: one by its id, those that lead to an endpoint, or all; between two uses, or at once.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, fixture, take } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const a = { host: 'a.test', port: 5432, role: 'primary' } as const
const b = { host: 'b.test', port: 5432, role: 'standby' } as const

/** Connections 1 and 2 lead to a, 3 and 4 to b; 1 and 3 are lent. */
async function twoEndpoints(options = {}) {
  const setup = fixture({ max: 4, overflow: 0, ...options })
  setup.driver.endpoint = a
  const [first, second] = await take(setup.pool, 2)
  setup.driver.endpoint = b
  const [third, fourth] = await take(setup.pool, 2)
  second?.release()
  fourth?.release()
  if (first === undefined || third === undefined) throw new Error('no leases')
  const ended = () => setup.driver.connections.map((connection) => connection.ended)
  return { ...setup, first, third, ended }
}

describe('invalidate', () => {
  it('of one by its id retires that one alone: now if it rests', async () => {
    const { pool, ended } = await twoEndpoints()
    expect(pool.invalidate({ id: 2 })).toBe(1)
    await settled()
    expect(ended()).toEqual([undefined, 'closed', undefined, undefined])
    expect(pool.stats()).toMatchObject({ epoch: 0, closedBy: { epoch: 1 } })
  })

  it('of one by its id retires it at its return if it is lent', async () => {
    const { pool, ended, first } = await twoEndpoints()
    expect(pool.invalidate({ id: 1 })).toBe(1)
    await first.connection.statement()
    expect(ended()).toEqual([undefined, undefined, undefined, undefined])
    first.release()
    await settled()
    expect(ended()).toEqual(['closed', undefined, undefined, undefined])
  })

  it('of an id that is nobody’s does nothing', async () => {
    const { pool, ended } = await twoEndpoints()
    expect(pool.invalidate({ id: 99 })).toBe(0)
    await settled()
    expect(ended()).toEqual([undefined, undefined, undefined, undefined])
  })

  it('of an endpoint retires what leads there, and nothing else', async () => {
    const { pool, ended, first, third } = await twoEndpoints()
    expect(pool.invalidate({ endpoint: { host: 'b.test', port: 5432 } })).toBe(2)
    first.release()
    third.release()
    await settled()
    expect(ended()).toEqual([undefined, undefined, 'closed', 'closed'])
    expect(pool.stats().epoch).toBe(1)
  })

  it('of an endpoint that has only the host or only the port of another does not mean that', async () => {
    const { pool } = await twoEndpoints()
    expect(pool.invalidate({ endpoint: { host: 'a.test', port: 5433 } })).toBe(0)
    expect(pool.invalidate({ endpoint: { host: 'c.test', port: 5432 } })).toBe(0)
    expect(counts(pool)).toEqual({ ...empty, idle: 2, leased: 2 })
  })

  it('of an endpoint retires on arrival what was connecting to it, and keeps what arrives elsewhere', async () => {
    const { pool, driver } = fixture({ max: 2, overflow: 0 })
    driver.connects = 'deaf'
    const [, second] = await ask(pool, 2)
    pool.invalidate({ endpoint: b })
    driver.connects = 'ok'
    driver.endpoint = b
    const old = driver.attempt(1).succeed()
    driver.endpoint = a
    const kept = driver.attempt(2).succeed()
    await settled()
    expect(old.ended).toBe('closed')
    expect(kept).toMatchObject({ epoch: 0, ended: undefined })
    // In its place the next was made, of the new epoch.
    expect(second?.value.connection).toMatchObject({ id: 3, epoch: 1 })
  })

  it('of an endpoint does not mean what begins to connect to it afterwards', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    driver.endpoint = b
    await take(pool, 1)
    pool.evict({ endpoint: b })
    pool.invalidate({ endpoint: a })
    const [next] = await take(pool, 1)
    next?.release()
    expect(driver.connection(2)).toMatchObject({ endpoint: b, epoch: 2, ended: undefined })
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('of all means also what was connecting to an endpoint invalidated before', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    driver.connects = 'deaf'
    pool.invalidate({ endpoint: a })
    await ask(pool, 1)
    pool.invalidate()
    driver.endpoint = a
    const old = driver.attempt(1).succeed()
    await settled()
    expect(old.ended).toBe('closed')
  })

  it('of all tells how many, and raises the epoch by one', async () => {
    const { pool } = await twoEndpoints()
    expect(pool.invalidate()).toBe(4)
    expect(pool.stats().epoch).toBe(1)
    expect(pool.invalidate()).toBe(2)
    expect(pool.stats().epoch).toBe(2)
  })

  it('serves who waits with a connection of the new epoch', async () => {
    const { pool, first } = await twoEndpoints()
    const [, , waiting] = await ask(pool, 3)
    pool.invalidate({ endpoint: a })
    await settled()
    expect(waiting?.state).toBe('pending')
    first.release()
    await settled()
    expect(waiting?.value.connection).toMatchObject({ id: 5, epoch: 1 })
  })

  it('while suspended opens nothing before resume()', async () => {
    const { pool, driver } = fixture({ min: 2 })
    await pool.start()
    pool.suspend()
    pool.invalidate()
    await settled()
    expect(counts(pool)).toEqual(empty)
    pool.resume()
    await settled()
    expect(driver.open.map(({ epoch }) => epoch)).toEqual([1, 1])
  })

  it.each([
    ['all', undefined, { connections: 4 }],
    ['an endpoint', { endpoint: b }, { connections: 2, endpoint: 'b.test:5432' }],
    ['one', { id: 4 }, { connections: 1, id: 4 }],
  ] as const)('and evict tell what was meant: %s', async (_, selector, told) => {
    const { pool } = await twoEndpoints()
    const events = await eventsOf('moorings:pool:invalidated', () => {
      pool.invalidate(selector)
      pool.evict({ id: 99 })
    })
    expect(events).toEqual([
      { ...pool.identity, how: 'invalidate', ...told },
      { ...pool.identity, how: 'evict', connections: 0, id: 99 },
    ])
  })
})

describe('evict', () => {
  it('of one by its id destroys it though it is lent: what runs on it rejects, and the server is told to stop', async () => {
    const { pool, driver, first } = await twoEndpoints()
    const { connection } = first
    connection.next('statement', 'held')
    const running = watch(connection.statement())
    expect(pool.evict({ id: 1 })).toBe(1)
    await settled()
    expect(running.error).toBeInstanceOf(ConnectionLostError)
    expect(String(running.error)).toContain('evicted')
    expect(() => first.connection).toThrow(ConnectionLostError)
    expect(connection.sent).toEqual(['statement', 'cancel'])
    expect(driver.connections.map(({ ended }) => ended)).toEqual(['destroyed', undefined, undefined, undefined])
    expect(pool.stats()).toMatchObject({ epoch: 0, leased: 1, idle: 2, closedBy: { evicted: 1 } })
  })

  it('leaves the late holder nothing to harm: its release is no return', async () => {
    const { pool, first } = await twoEndpoints()
    pool.evict({ id: 1 })
    first.release()
    first.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 2 })
  })

  it('of an endpoint destroys what leads there, and nothing else', async () => {
    const { pool, ended, third } = await twoEndpoints()
    expect(pool.evict({ endpoint: b })).toBe(2)
    expect(ended()).toEqual([undefined, undefined, 'destroyed', 'destroyed'])
    expect(third.lost).toBe(true)
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 1 })
    expect(pool.stats().epoch).toBe(1)
  })

  it('of an endpoint retires on arrival what was connecting to it', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    driver.connects = 'deaf'
    const [waiting] = await ask(pool, 1)
    pool.evict({ endpoint: b })
    driver.endpoint = b
    driver.connects = 'ok'
    driver.attempt(1).succeed()
    await settled()
    expect(driver.connection(1).ended).toBe('closed')
    expect(waiting?.value.connection).toMatchObject({ id: 2, epoch: 1 })
  })

  it('of all frees every place at once: who waits is served by the new epoch, and min is filled', async () => {
    const { pool, driver } = fixture({ min: 2, max: 2, overflow: 0 })
    await take(pool, 2)
    const [waiting] = await ask(pool, 1)
    expect(pool.evict()).toBe(2)
    await settled()
    expect(waiting?.value.connection).toMatchObject({ id: 3, epoch: 1 })
    expect(driver.open.map(({ epoch }) => epoch)).toEqual([1, 1])
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 1 })
  })

  it('destroys what is being checked or reset; whoever waited for it gets another', async () => {
    const { pool, driver } = fixture({ max: 2, overflow: 0, validateAfterIdleMs: 0 })
    const [first, second] = await take(pool, 2)
    first?.release()
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    await second?.connection.begin()
    driver.connection(2).next('reset', 'held')
    second?.release()
    expect(pool.evict()).toBe(2)
    await settled()
    expect(driver.connections.map(({ ended }) => ended)).toEqual(['destroyed', 'destroyed', undefined])
    expect(waiting?.value.connection).toMatchObject({ id: 3, epoch: 1 })
    expect(pool.stats()).toMatchObject({ created: 3, closed: 2, closedBy: { evicted: 2 } })
  })

  it('of a closing pool ends what it still waits for', async () => {
    const { pool, first, third } = await twoEndpoints()
    const closed = watch(pool.close())
    await settled()
    expect(closed.state).toBe('pending')
    expect(pool.evict()).toBe(2)
    await settled()
    expect(closed.state).toBe('resolved')
    expect([first.lost, third.lost]).toEqual([true, true])
  })
})
