// Telling living connections from dead ones, without the caller noticing.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'

/** A pool with `count` connections that have been idle for `idleMs`. */
async function rested(count: number, idleMs: number, options = {}) {
  const setup = fixture({ max: count, overflow: 0, validateAfterIdleMs: 1_000, validationTimeoutMs: 2_000, ...options })
  // Given back in reverse, so that connection 1 is the last in and the first out.
  for (const lease of (await take(setup.pool, count)).reverse()) lease.release()
  await setup.clock.advance(idleMs)
  return setup
}

describe('a connection lost while idle', () => {
  it('leaves the pool at that moment, and the next caller gets another', async () => {
    const { pool, driver } = await rested(2, 0)
    driver.connection(1).lose()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect((await takeOne(pool)).connection.id).toBe(2)
  })

  it('is told once, with the reason', async () => {
    const { pool, driver } = await rested(1, 60_000)
    const reason = new ConnectionLostError('terminating connection', { code: '57P01' })
    const events = await eventsOf('moorings:connection:closed', () => {
      driver.connection(1).lose(reason)
      driver.connection(1).destroy(reason)
    })
    const { endpoint } = driver.connection(1)
    expect(events).toEqual([
      { ...pool.identity, id: 1, endpoint, reason: 'lost', ageMs: 60_000, uses: 1, error: reason },
    ])
  })

  it('is nothing the callers see, though all are lost at once', async () => {
    const { pool, driver } = await rested(3, 60_000)
    for (const connection of driver.connections) connection.lose()
    const leases = await take(pool, 3)
    expect(leases.map(({ connection }) => connection.id)).toEqual([4, 5, 6])
    expect(pool.stats()).toMatchObject({ created: 6, closed: 3, lost: 3 })
  })

  it('the moment it arrives is not lent', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 })
    driver.connects = (attempt) => {
      driver.connects = 'ok'
      attempt.succeed().lose()
    }
    const [waiting] = await ask(pool, 1)
    await clock.advance(25)
    expect(waiting?.value.connection.id).toBe(2)
  })
})

describe('a connection idle for long', () => {
  it('is asked for a sign of life before it is lent', async () => {
    const { pool, driver } = await rested(1, 1_000)
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    expect(waiting?.state).toBe('pending')
    driver.connection(1).held('ping').ok()
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('is lent without asking within validateAfterIdleMs', async () => {
    const { pool, driver } = await rested(1, 999)
    await takeOne(pool)
    expect(driver.connection(1).sent).toEqual([])
  })

  it('is asked every time when validateAfterIdleMs is 0', async () => {
    const { pool, driver } = await rested(1, 0, { validateAfterIdleMs: 0 })
    for (let turn = 0; turn < 3; turn++) {
      const lease = await takeOne(pool)
      lease.release()
    }
    expect(driver.connection(1).sent).toEqual(['ping', 'ping', 'ping'])
  })

  it('that does not pass is destroyed, and the caller gets the next without seeing anything of it', async () => {
    const { pool, driver } = await rested(3, 5_000)
    driver.connection(1).next('ping', new Error('no'))
    driver.connection(2).next('ping', new ConnectionLostError('no'))
    const events = await eventsOf('moorings:connection:closed', async () => {
      expect((await takeOne(pool)).connection.id).toBe(3)
    })
    expect(events).toMatchObject([
      { id: 1, reason: 'invalid' },
      { id: 2, reason: 'invalid' },
    ])
    expect(driver.connections.map(({ ended }) => ended)).toEqual(['destroyed', 'destroyed', undefined])
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
  })

  it('that does not pass is replaced when it was the last', async () => {
    const { pool, driver } = await rested(1, 5_000)
    driver.connection(1).next('ping', new Error('no'))
    expect((await takeOne(pool)).connection.id).toBe(2)
  })

  it('that is lost while it is asked counts once', async () => {
    const { pool, driver } = await rested(1, 5_000)
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    driver.connection(1).lose()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
    expect(pool.stats()).toMatchObject({ created: 2, closed: 1, lost: 1, leased: 1, waiting: 0 })
  })

  it('that does not answer soon is not waited for alone, and given up after validationTimeoutMs', async () => {
    const { pool, driver, clock } = await rested(2, 5_000, { acquireTimeoutMs: 10_000 })
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    const { signal } = driver.connection(1).held('ping')
    await clock.advance(249.9)
    expect(waiting?.state).toBe('pending')
    await clock.advance(0.1)
    expect(waiting?.value.connection.id).toBe(2)
    await clock.advance(1_749.9)
    expect(signal?.aborted).toBe(false)
    await clock.advance(0.1)
    expect(signal?.aborted).toBe(true)
    expect(driver.connection(1).ended).toBe('destroyed')
  })

  it('that does not answer is given up while its caller has time for another, though the pool is full', async () => {
    const { pool, driver, clock } = await rested(1, 5_000, { max: 1, overflow: 0, acquireTimeoutMs: 1_000 })
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    await clock.advance(249.9)
    expect(driver.connection(1).open).toBe(true)
    await clock.advance(0.1)
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('that answers after its caller has gone stays in the pool, as good as new', async () => {
    const { pool, driver, clock } = await rested(1, 5_000, { acquireTimeoutMs: 100 })
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    await clock.advance(100)
    expect(waiting?.state).toBe('rejected')
    driver.connection(1).held('ping').ok()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    await takeOne(pool)
    expect(driver.connection(1).sent).toEqual(['ping'])
  })

  it('being asked does not keep its caller from one that comes back meanwhile', async () => {
    const { pool, driver } = fixture({ max: 2, overflow: 0, validateAfterIdleMs: 0 })
    const [first, second] = await take(pool, 2)
    first?.release()
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    second?.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
    driver.connection(1).held('ping').ok()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 1 })
  })

  it('are asked side by side for callers that come at once', async () => {
    const { pool, driver } = await rested(3, 5_000)
    for (const connection of driver.connections) connection.next('ping', 'held')
    const asked = await ask(pool, 3)
    for (const connection of driver.connections) connection.held('ping').ok()
    await settled()
    expect(asked.map(({ value }) => value.connection.id).sort()).toEqual([1, 2, 3])
  })

  it('makes its older siblings be checked too once one does not pass', async () => {
    const { pool, driver } = await rested(3, 5_000)
    driver.connection(1).next('ping', new Error('no'))
    const [first, second] = await take(pool, 2)
    expect([first?.connection.id, second?.connection.id].sort()).toEqual([2, 3])
    expect(driver.connection(2).sent).toEqual(['ping'])
    expect(driver.connection(3).sent).toEqual(['ping'])
  })
})

describe('once a connection was found dead', () => {
  it('all that rest are asked before they are lent, though they were used a moment ago, and only once', async () => {
    const { pool, driver, clock } = await rested(3, 500)
    driver.connection(3).lose()
    const lease = await takeOne(pool)
    expect(lease.connection.sent).toEqual(['ping'])
    expect(lease.connection.id).toBe(1)
    await clock.advance(1)
    lease.release()
    await takeOne(pool)
    await takeOne(pool)
    expect(driver.connection(1).sent).toEqual(['ping'])
    expect(driver.connection(2).sent).toEqual(['ping'])
  })

  it('those that died with it are found out without a caller noticing', async () => {
    const { pool, driver, clock } = await rested(3, 500)
    // A black hole: only one of the sockets has noticed so far.
    driver.connection(3).lose()
    driver.connection(1).always('ping', 'held')
    driver.connection(2).always('ping', 'held')
    const [waiting] = await ask(pool, 1)
    await clock.advance(4_000)
    expect(waiting?.value.connection.id).toBe(4)
    expect(driver.open.map(({ id }) => id)).toEqual([4])
  })

  it('those that are given back later are not suspected', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0 })
    const [first, second] = await take(pool, 2)
    await clock.advance(60_000)
    first?.connection.lose()
    await clock.advance(10)
    second?.release()
    await takeOne(pool)
    expect(driver.connection(2).sent).toEqual([])
  })
})

describe('a connection used a moment ago', () => {
  it('is lent at once, without a look', async () => {
    const { pool } = await rested(1, 10)
    expect(pool.tryAcquire()?.connection.id).toBe(1)
  })

  it('that has rested a little longer is lent after one look, which shows if the server has hung up', async () => {
    const { pool, driver } = await rested(2, 500)
    expect(pool.tryAcquire()).toBeUndefined()
    const waiting = takeOne(pool)
    driver.connection(1).lose()
    expect((await waiting).connection.id).toBe(2)
  })

  it('is asked for a sign of life all the same once another was found dead', async () => {
    const { pool, driver } = await rested(2, 10)
    driver.connection(1).lose()
    expect((await takeOne(pool)).connection.id).toBe(2)
    expect(driver.connection(2).sent).toEqual(['ping'])
  })

  it('is not asked again after it has given one', async () => {
    const { pool, driver, clock } = await rested(2, 10)
    driver.connection(1).lose()
    const lease = await takeOne(pool)
    await clock.advance(1)
    lease.release()
    expect(pool.tryAcquire()?.connection.id).toBe(2)
    expect(driver.connection(2).sent).toEqual(['ping'])
  })
})
