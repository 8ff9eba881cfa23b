// A pool that stands still on purpose: nobody is lent anything, nothing connects, and no waiter's time runs.

import { describe, expect, it } from '@jest/globals'
import { AcquireAbortedError, AcquireTimeoutError, PoolClosedError, QueueFullError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 }
const day = 24 * 3_600_000
/** For as long as any test takes. */
const long = { refuseAfterMs: day }

describe('a suspended pool', () => {
  it('lends nothing, though connections lie idle', async () => {
    const { pool } = fixture({ min: 2 })
    await pool.start()
    pool.suspend()
    expect(pool.stats().state).toBe('suspended')
    expect(pool.tryAcquire()).toBeUndefined()
    const [waiting] = await ask(pool, 1)
    expect(waiting?.state).toBe('pending')
    expect(counts(pool)).toEqual({ ...empty, idle: 2, waiting: 1 })
  })

  it('lets leases that are out go on; what comes back rests, whoever waits', async () => {
    const { pool } = fixture(one)
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    pool.suspend()
    await lease.connection.statement()
    lease.release()
    await settled()
    expect(waiting?.state).toBe('pending')
    expect(counts(pool)).toEqual({ ...empty, idle: 1, waiting: 1 })
  })

  it('lets a transaction commit', async () => {
    const { pool, driver } = fixture(one)
    await pool.transaction(async ({ connection }) => {
      pool.suspend()
      await connection.statement('insert')
    })
    expect(driver.connection(1).sent).toEqual(['begin', 'insert', 'commit'])
  })

  it('opens nothing: not for callers, not for min, not when a back-off ends', async () => {
    const { pool, driver, clock } = fixture({ min: 2, max: 5, acquireTimeoutMs: 100 })
    await pool.start()
    await clock.advance(60_000)
    driver.connects = refusal()
    driver.connection(1).lose()
    await settled()
    const attempts = driver.attempts.length
    expect(attempts).toBeGreaterThan(2)
    pool.suspend(long)
    driver.connects = 'ok'
    driver.connection(2).lose()
    await ask(pool, 3)
    await clock.advance(3_600_000)
    expect(driver.attempts).toHaveLength(attempts)
    expect(counts(pool)).toEqual({ ...empty, waiting: 3 })
  })

  it('keeps what was connecting when it was suspended, and gives it to nobody', async () => {
    const { pool, driver } = fixture(one)
    driver.connects = 'deaf'
    const [waiting] = await ask(pool, 1)
    pool.suspend()
    driver.attempt(1).succeed()
    await settled()
    expect(waiting?.state).toBe('pending')
    expect(counts(pool)).toEqual({ ...empty, idle: 1, waiting: 1 })
  })

  it('keeps what was being checked when it was suspended, and gives it to nobody', async () => {
    const { pool, driver } = fixture({ ...one, validateAfterIdleMs: 0 })
    const lease = await takeOne(pool)
    lease.release()
    driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    pool.suspend()
    driver.connection(1).held('ping').ok()
    await settled()
    expect(waiting?.state).toBe('pending')
    expect(counts(pool)).toEqual({ ...empty, idle: 1, waiting: 1 })
  })

  it('lets a caller leave by its signal', async () => {
    const { pool } = fixture(one)
    pool.suspend()
    const abort = new AbortController()
    const waiting = watch(pool.acquire({ signal: abort.signal }))
    abort.abort()
    await settled()
    expect(waiting.error).toBeInstanceOf(AcquireAbortedError)
    expect(counts(pool)).toEqual(empty)
  })

  it('lets no more wait than maxWaiters', async () => {
    const { pool } = fixture({ max: 5, maxWaiters: 2 })
    for (const lease of await take(pool, 5)) lease.release()
    pool.suspend()
    const [, , third] = await ask(pool, 3)
    expect(third?.error).toBeInstanceOf(QueueFullError)
  })

  it('closed: whoever waits gets PoolClosedError, and nothing is left', async () => {
    const setup = fixture({ min: 1 })
    await setup.pool.start()
    setup.pool.suspend()
    const [waiting] = await ask(setup.pool, 1)
    await setup.pool.close()
    expect(waiting?.error).toBeInstanceOf(PoolClosedError)
    setup.pool.resume()
    expect(setup.pool.stats().state).toBe('closed')
    await expectNothingLeft(setup)
  })
})

describe('the time of a caller', () => {
  it('stands still exactly while the pool is suspended', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 1_000 })
    await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    await clock.advance(400)
    pool.suspend(long)
    await clock.advance(3_600_000)
    expect(waiting?.state).toBe('pending')
    pool.resume()
    await clock.advance(599.9)
    expect(waiting?.state).toBe('pending')
    await clock.advance(0.1)
    expect(waiting?.error).toBeInstanceOf(AcquireTimeoutError)
    expect(waiting?.error).toMatchObject({ waitedMs: 1_000 })
  })

  it('adds up over several suspensions', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 1_000 })
    await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    for (let turn = 0; turn < 9; turn++) {
      await clock.advance(100)
      pool.suspend()
      await clock.advance(5_000)
      pool.resume()
    }
    await clock.advance(99)
    expect(waiting?.state).toBe('pending')
    await clock.advance(1)
    expect(waiting?.state).toBe('rejected')
  })

  it('begins with resume() if it came meanwhile', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 1_000 })
    await takeOne(pool)
    pool.suspend()
    const waiting = watch(pool.acquire({ timeoutMs: 70 }))
    await clock.advance(30_000)
    pool.resume()
    await clock.advance(69)
    expect(waiting.state).toBe('pending')
    await clock.advance(1)
    expect(waiting.error).toMatchObject({ name: 'AcquireTimeoutError', waitedMs: 70 })
  })

  it('costs no timer while it stands still but the one that ends the wait', async () => {
    const { pool, clock } = fixture({ ...one, idleTimeoutMs: 0, maxLifetimeMs: 0, acquireTimeoutMs: 1_000 })
    await takeOne(pool)
    await ask(pool, 5)
    await clock.advance(1)
    pool.suspend({ refuseAfterMs: 5_000 })
    await clock.advance(4_000)
    expect(clock.pending).toBe(1)
    await clock.advance(1_000)
    expect(clock.pending).toBe(0)
  })
})

describe('resume', () => {
  it('serves first come, first served: those who waited before, those who came meanwhile, those who come now', async () => {
    const { pool } = fixture(one)
    const lease = await takeOne(pool)
    const served: string[] = []
    const come = async (name: string) => {
      const mine = await pool.acquire()
      served.push(name)
      mine.release()
    }
    void come('before')
    pool.suspend()
    lease.release()
    void come('meanwhile')
    void come('meanwhile, too')
    await settled()
    pool.resume()
    void come('now')
    await settled()
    expect(served).toEqual(['before', 'meanwhile', 'meanwhile, too', 'now'])
  })

  it('makes the connections that callers and min want', async () => {
    const { pool, driver } = fixture({ min: 4, max: 5 })
    await pool.start()
    pool.suspend()
    pool.evict()
    await ask(pool, 2)
    expect(driver.open).toEqual([])
    pool.resume()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 2, idle: 2 })
  })

  it('goes on trying where a connect had failed', async () => {
    const { pool, driver, clock } = fixture(one)
    driver.connects = refusal()
    const [waiting] = await ask(pool, 1)
    pool.suspend()
    await clock.advance(30_000)
    driver.connects = 'ok'
    pool.resume()
    await settled()
    expect(waiting?.state).toBe('resolved')
  })

  it('of a pool that is not suspended does nothing', async () => {
    const { pool, driver } = fixture({ min: 1 })
    const events = await eventsOf('moorings:pool:resumed', async () => {
      pool.resume()
      await settled()
      expect(driver.attempts).toEqual([])
      await pool.start()
      pool.resume()
    })
    expect(events).toEqual([])
    expect(pool.stats().state).toBe('running')
  })
})
