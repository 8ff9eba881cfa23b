// Taking a connection and giving it back: counts, leases, order of reuse.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, LeaseReleasedError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'

describe('the counts', () => {
  it('are all zero, and nothing is opened, before the first use', async () => {
    const { pool, driver, clock } = fixture({ min: 2 })
    await clock.advance(60_000)
    expect(counts(pool)).toEqual(empty)
    expect(driver.attempts).toHaveLength(0)
    expect(clock.pending).toBe(0)
  })

  it('follow each borrow and each return', async () => {
    const { pool } = fixture({ max: 3, overflow: 0 })
    const [a, b] = await take(pool, 2)
    expect(counts(pool)).toEqual({ ...empty, leased: 2 })
    a?.release()
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 1 })
    b?.release()
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    await take(pool, 3)
    expect(counts(pool)).toEqual({ ...empty, leased: 3 })
    expect(pool.stats()).toMatchObject({ created: 3, closed: 0, lost: 0, epoch: 0, max: 3, overflow: 0 })
  })

  it('show who connects and who waits', async () => {
    const { pool, driver } = fixture({ max: 2, overflow: 1 })
    driver.connects = 'deaf'
    await ask(pool, 5)
    expect(counts(pool)).toEqual({ ...empty, connecting: 3, waiting: 5 })
    driver.attempt(2).succeed()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, connecting: 2, leased: 1, waiting: 4 })
  })

  it('never exceed max + overflow, however many callers come at once', async () => {
    const { pool, driver, clock } = fixture({ max: 3, overflow: 2 })
    let inUse = 0
    let most = 0
    const borrower = async (turn: number) => {
      const lease = await pool.acquire()
      most = Math.max(most, ++inUse)
      const { idle, leased, connecting } = pool.stats()
      expect(idle + leased + connecting).toBeLessThanOrEqual(5)
      expect(driver.open.length).toBeLessThanOrEqual(5)
      for (let pause = turn % 4; pause > 0; pause--) await settled()
      inUse--
      lease.release()
    }
    await Promise.all(Array.from({ length: 60 }, (_, turn) => borrower(turn)))
    expect(most).toBe(5)
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
    await clock.advance(0)
    expect(driver.open).toHaveLength(3)
  })

  it('come back to rest after a thousand borrowers on ten connections, each served once', async () => {
    const { pool, driver } = fixture({ max: 10, overflow: 0 })
    const holders = new Set<number>()
    let served = 0
    const borrower = async () => {
      const lease = await pool.acquire()
      const { id } = lease.connection
      expect(holders.has(id)).toBe(false)
      holders.add(id)
      await lease.connection.statement()
      holders.delete(id)
      served++
      lease.release()
    }
    await Promise.all(Array.from({ length: 1_000 }, borrower))
    expect(served).toBe(1_000)
    expect(driver.attempts).toHaveLength(10)
    expect(counts(pool)).toEqual({ ...empty, idle: 10 })
  })
})

describe('overflow', () => {
  it('is used when max is taken, and closed on its return', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 1 })
    const [first, second] = await take(pool, 2)
    second?.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
    expect(driver.connection(2)).toMatchObject({ ended: 'closed' })
    first?.release()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(driver.connection(1).open).toBe(true)
  })

  it('is handed to whoever waits, rather than closed', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 1 })
    const [, second] = await take(pool, 2)
    const [waiting] = await ask(pool, 1)
    second?.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
    expect(driver.attempts).toHaveLength(2)
  })

  it('that arrives when nobody waits any more is closed at once', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 1 })
    const lease = await takeOne(pool)
    driver.connects = 'deaf'
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
    driver.attempt(2).succeed()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
    expect(driver.connection(2).ended).toBe('closed')
  })
})

describe('a lease', () => {
  it('released twice gives its connection back once', async () => {
    const { pool } = fixture({ max: 2, overflow: 0 })
    const lease = await takeOne(pool)
    lease.release()
    lease.release()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    const [a, b] = await take(pool, 2)
    expect(a?.connection).not.toBe(b?.connection)
  })

  it('released again while somebody else has the connection takes nothing from them', async () => {
    const { pool } = fixture({ max: 1, overflow: 0 })
    const first = await takeOne(pool)
    first.release()
    const second = await takeOne(pool)
    first.release()
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
    expect(second.connection.id).toBe(1)
    const [third] = await ask(pool, 1)
    expect(third?.state).toBe('pending')
  })

  it('rejects every use after its release', async () => {
    const { pool, driver } = fixture()
    const lease = await takeOne(pool)
    lease.release()
    expect(lease.released).toBe(true)
    expect(() => lease.connection).toThrow(LeaseReleasedError)
    await takeOne(pool)
    expect(() => lease.connection).toThrow(LeaseReleasedError)
    expect(driver.connection(1).sent).toEqual([])
  })

  it('whose connection is lost rejects every use with the reason, for ever', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    await clock.advance(60_000)
    const reason = new ConnectionLostError('terminating connection due to administrator command', { code: '57P01' })
    driver.connection(1).lose(reason)
    const next = await takeOne(pool)
    expect(next.connection.id).toBe(2)
    for (let use = 0; use < 2; use++) {
      expect(() => lease.connection).toThrow(ConnectionLostError)
      expect(() => lease.connection).toThrow(
        expect.objectContaining({ code: '57P01', message: expect.stringContaining('administrator'), cause: reason }),
      )
    }
    expect(lease).toMatchObject({ lost: true, released: false })
  })

  it('whose connection is lost frees its place at that moment, and only once', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    await clock.advance(60_000)
    driver.connection(1).lose()
    expect(counts(pool)).toEqual(empty)
    await takeOne(pool)
    lease.release()
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
    expect(pool.stats()).toMatchObject({ created: 2, closed: 1, lost: 1 })
  })

  it('is given back at the end of a `using` block', async () => {
    const { pool } = fixture()
    {
      using lease = await takeOne(pool)
      expect(lease.released).toBe(false)
    }
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })
})

describe('reuse', () => {
  it('is last in, first out: what is not needed grows old', async () => {
    const { pool } = fixture({ max: 3, overflow: 0 })
    const [a, b, c] = await take(pool, 3)
    b?.release()
    c?.release()
    a?.release()
    expect((await takeOne(pool)).connection.id).toBe(1)
    expect((await takeOne(pool)).connection.id).toBe(3)
    expect((await takeOne(pool)).connection.id).toBe(2)
  })

  it('needs no new connection for callers one after the other', async () => {
    const { pool, driver } = fixture()
    for (let turn = 0; turn < 20; turn++) (await takeOne(pool)).release()
    expect(driver.attempts).toHaveLength(1)
  })

  it('is tried without waiting by tryAcquire, which opens nothing', async () => {
    const { pool, driver } = fixture()
    expect(pool.tryAcquire()).toBeUndefined()
    expect(driver.attempts).toHaveLength(0)
    const lease = await takeOne(pool)
    expect(pool.tryAcquire()).toBeUndefined()
    lease.release()
    expect(pool.tryAcquire()?.connection.id).toBe(1)
  })
})
