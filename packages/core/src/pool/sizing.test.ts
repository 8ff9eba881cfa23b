// How many connections there are, how often each is lent, and whether the process stays alive for them.

import { describe, expect, it } from '@jest/globals'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'

const minute = 60_000

describe('minIdle', () => {
  it('keeps so many idle beside those that are lent', async () => {
    const { pool } = fixture({ minIdle: 2, max: 10 })
    await take(pool, 3)
    expect(counts(pool)).toEqual({ ...empty, leased: 3, idle: 2 })
  })

  it('makes up at once for one that was taken without waiting', async () => {
    const { pool } = fixture({ minIdle: 1, max: 10 })
    const lease = await takeOne(pool)
    lease.release()
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    pool.tryAcquire()
    pool.tryAcquire()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 2, idle: 1 })
  })

  it('is filled before anybody has taken one', async () => {
    const { pool } = fixture({ min: 1, minIdle: 3 })
    await pool.start()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
  })

  it('stops at max, of which overflow is no part', async () => {
    const { pool } = fixture({ minIdle: 3, max: 4, overflow: 5 })
    const leases = await take(pool, 2)
    expect(counts(pool)).toEqual({ ...empty, leased: 2, idle: 2 })
    leases.push(...(await take(pool, 2)))
    expect(counts(pool)).toEqual({ ...empty, leased: 4 })
    await take(pool, 2)
    expect(counts(pool)).toEqual({ ...empty, leased: 6 })
  })

  it.each([
    [5, 2, { leased: 1, idle: 4 }],
    [2, 5, { leased: 1, idle: 5 }],
  ])('beside a min of %d: with a minIdle of %d the larger need counts', async (min, minIdle, wanted) => {
    const { pool } = fixture({ min, minIdle, max: 10 })
    await takeOne(pool)
    expect(counts(pool)).toEqual({ ...empty, ...wanted })
  })

  it('is made up when an idle one is lost', async () => {
    const { pool, driver, clock } = fixture({ minIdle: 2 })
    await takeOne(pool)
    await clock.advance(minute)
    driver.connection(3).lose()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 2 })
  })

  it('is what idleTimeoutMs leaves when the burst is over', async () => {
    const { pool, clock } = fixture({ min: 1, minIdle: 2, max: 10, idleTimeoutMs: 10 * minute })
    const leases = await take(pool, 4)
    expect(counts(pool)).toEqual({ ...empty, leased: 4, idle: 2 })
    for (const lease of leases) lease.release()
    await clock.advance(12 * minute)
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
  })

  it('counts one that is being cleaned as in use', async () => {
    const { pool, driver } = fixture({ minIdle: 1 })
    const lease = await takeOne(pool)
    await lease.connection.begin()
    driver.connection(1).next('reset', 'held')
    lease.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 1 })
  })
})

describe('overflow', () => {
  it('is for a burst: closed at the return when nobody waits, handed on when somebody does', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 1 })
    const [first, second] = await take(pool, 2)
    const [waiting] = await ask(pool, 1)
    expect(pool.stats()).toMatchObject({ overflowing: 1, utilisation: 2 })
    second?.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
    const closed = await eventsOf('moorings:connection:closed', async () => {
      first?.release()
      await settled()
    })
    expect(closed).toMatchObject([{ id: 1, reason: 'overflow', error: undefined }])
    expect(driver.connection(1).ended).toBe('closed')
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
  })

  it('is never filled for its own sake', async () => {
    const { pool } = fixture({ min: 2, minIdle: 2, max: 2, overflow: 4 })
    await take(pool, 2)
    expect(counts(pool)).toEqual({ ...empty, leased: 2 })
  })
})

describe('maxUses', () => {
  it('replaces a connection that was lent so often, at its return', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0, maxUses: 3 })
    const ids: number[] = []
    const closed = await eventsOf('moorings:connection:closed', async () => {
      for (let turn = 0; turn < 7; turn++) {
        const lease = await takeOne(pool)
        ids.push(lease.connection.id)
        lease.release()
        await settled()
      }
    })
    expect(ids).toEqual([1, 1, 1, 2, 2, 2, 3])
    expect(closed).toMatchObject([
      { id: 1, reason: 'uses', uses: 3, error: undefined },
      { id: 2, reason: 'uses', uses: 3 },
    ])
    expect(driver.connection(1).ended).toBe('closed')
  })

  it('gives whoever waits a new connection at that moment', async () => {
    const { pool } = fixture({ max: 1, overflow: 0, maxUses: 1 })
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('of 0 means any number of times', async () => {
    const { pool } = fixture({ max: 1, overflow: 0, maxUses: 0 })
    for (let turn = 0; turn < 100; turn++) (await takeOne(pool)).release()
    expect(pool.stats()).toMatchObject({ created: 1, connections: [{ uses: 100 }] })
  })

  it('fills min again', async () => {
    const { pool } = fixture({ min: 1, maxUses: 1 })
    const lease = await takeOne(pool)
    lease.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(pool.stats()).toMatchObject({ created: 2 })
  })
})

describe('allowExitOnIdle', () => {
  it('lets the process end while connections rest, and not while they are lent', async () => {
    const { pool, driver, clock } = fixture({ min: 2, max: 2, allowExitOnIdle: true })
    const referenced = () => driver.connections.map(({ referenced }) => referenced)
    await pool.start()
    expect(referenced()).toEqual([false, false])
    const lease = await takeOne(pool)
    const { id } = lease.connection
    expect(driver.connection(id).referenced).toBe(true)
    expect(driver.open.filter(({ referenced }) => referenced)).toHaveLength(1)
    lease.release()
    expect(referenced()).toEqual([false, false])
    // After a rest it is asked for a sign of life first.
    await clock.advance(minute)
    const [next] = await ask(pool, 1)
    expect(next?.value.connection.referenced).toBe(true)
    expect(clock.holding).toBe(0)
  })

  it('keeps it alive for one that is being cleaned, until it rests', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0, allowExitOnIdle: true })
    const lease = await takeOne(pool)
    await lease.connection.begin()
    driver.connection(1).next('reset', 'held')
    lease.release()
    expect(driver.connection(1).referenced).toBe(true)
    driver.connection(1).held('reset').ok()
    await settled()
    expect(driver.connection(1).referenced).toBe(false)
  })

  it('keeps it alive for one that is handed from caller to caller', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0, allowExitOnIdle: true })
    const lease = await takeOne(pool)
    await ask(pool, 1)
    lease.release()
    expect(driver.connection(1).referenced).toBe(true)
  })

  it('is off unless asked for: the process stays alive for an open pool', async () => {
    const { pool, driver } = fixture({ min: 1 })
    await pool.start()
    const lease = await takeOne(pool)
    lease.release()
    expect(driver.connection(1).referenced).toBe(true)
  })
})

describe('lease.invalidate', () => {
  it('has the connection replaced at its return, not before', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    const closed = await eventsOf('moorings:connection:closed', async () => {
      lease.invalidate()
      await settled()
      expect(lease.connection.open).toBe(true)
      lease.release()
      await settled()
    })
    expect(closed).toMatchObject([{ id: 1, reason: 'epoch', error: undefined }])
    expect(driver.connection(1).ended).toBe('closed')
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('is about this one only: the pool’s others stay, and its epoch, too', async () => {
    const { pool, driver } = fixture({ max: 2, overflow: 0 })
    const [first, second] = await take(pool, 2)
    first?.invalidate()
    first?.release()
    second?.release()
    await settled()
    expect(driver.open.map(({ id }) => id)).toEqual([2])
    expect(pool.stats().epoch).toBe(0)
  })

  it('after the return does nothing: the connection may be somebody else’s', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    lease.release()
    const next = await takeOne(pool)
    lease.invalidate()
    next.release()
    await settled()
    expect(driver.connection(1).open).toBe(true)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })
})
