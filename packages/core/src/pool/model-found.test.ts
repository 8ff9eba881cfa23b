// What random sequences found, each as short as it gets.

import { describe, expect, it } from '@jest/globals'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 }

describe('whoever waits', () => {
  it('is given another connection at once when the one that came back cannot be mended', async () => {
    const { pool, clock } = fixture(one)
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    lease.declare('other')
    lease.release()
    await clock.advance(0)
    expect(waiting?.state).toBe('resolved')
  })

  it('is given another connection at once when afterRelease destroys the one that came back', async () => {
    const { pool, clock } = fixture(one, undefined, { hooks: { afterRelease: () => 'destroy' } })
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    lease.release()
    await clock.advance(0)
    expect(waiting?.state).toBe('resolved')
  })
})

describe('a pool made smaller', () => {
  it('shrinks with each return although callers wait', async () => {
    const { pool, clock } = fixture({ max: 4, overflow: 0 })
    const leases = await take(pool, 4)
    await ask(pool, 4)
    pool.resize({ max: 1 })
    for (const lease of leases) lease.release()
    await clock.advance(0)
    expect(counts(pool)).toEqual({ idle: 0, leased: 1, connecting: 0, waiting: 3 })
  })

  it('lets maxWaiters callers wait although more is lent than it may have', async () => {
    const { pool } = fixture({ max: 4, overflow: 0, maxWaiters: 2 })
    await take(pool, 4)
    pool.resize({ max: 1 })
    const [waiting] = await ask(pool, 1)
    expect(waiting?.state).toBe('pending')
  })
})

describe('close', () => {
  it('ends a drain that is still waiting', async () => {
    const { pool, clock } = fixture()
    await takeOne(pool)
    const drained = watch(pool.drain({ timeoutMs: 5_000 }))
    const closed = watch(pool.close({ timeoutMs: 100 }))
    await clock.advance(60_000)
    expect(closed.state).toBe('resolved')
    expect(drained.state).toBe('resolved')
  })
})

describe('a caller that had to wait for a look at its connection', () => {
  it('leaves minIdle connections idle, as one that had not to', async () => {
    const { pool, clock } = fixture({ max: 2, overflow: 0, minIdle: 1 })
    const lease = await takeOne(pool)
    lease.release()
    await clock.advance(100)
    pool.evict({ id: 2 })
    await clock.advance(100)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    await takeOne(pool)
    expect(counts(pool)).toEqual({ ...empty, idle: 1, leased: 1 })
  })

  it('is not overtaken by one that comes when the pool has been resumed', async () => {
    const { pool, clock } = fixture({ ...one, min: 1 })
    await pool.start()
    await clock.advance(100)
    pool.suspend()
    const first = watch(pool.acquire())
    pool.resume()
    const second = watch(pool.acquire())
    await settled()
    expect([first.state, second.state]).toEqual(['resolved', 'pending'])
  })
})

describe('a young connection that beforeAcquire does not let pass', () => {
  it('does not keep the pool from holding min connections later on', async () => {
    let calls = 0
    const beforeAcquire = () => (++calls === 1 ? new Promise<void>(() => {}) : undefined)
    const { pool, clock } = fixture({ min: 1, max: 2, overflow: 0 }, undefined, {
      hooks: { beforeAcquire, timeoutMs: 80 },
    })
    const both = await ask(pool, 2)
    await clock.advance(1_000)
    for (const { value } of both) value.release()
    pool.evict()
    await clock.advance(10_000)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })
})

describe('a caller that holds a connection and was given another', () => {
  it('keeps no process alive afterwards', async () => {
    const { pool, clock } = fixture()
    await pool.lease(async () => {
      const lease = await pool.acquire()
      lease.release()
    })
    await clock.advance(0)
    expect(clock.holding).toBe(0)
  })
})

describe('a connection that arrives after its deadline', () => {
  it('is not set up any more', async () => {
    let calls = 0
    const afterConnect = () => {
      calls++
    }
    const { pool, clock, driver } = fixture({ connectTimeoutMs: 150 }, undefined, { hooks: { afterConnect } })
    driver.connects = 'deaf'
    await ask(pool, 1)
    await clock.advance(150)
    driver.attempt(1).succeed()
    await clock.advance(0)
    expect(calls).toBe(0)
  })

  it('sets no timer when the pool has been closed', async () => {
    const { pool, clock, driver } = fixture({}, undefined, { hooks: { afterConnect: () => {} } })
    driver.connects = 'deaf'
    await ask(pool, 1)
    const closed = watch(pool.close())
    await clock.advance(0)
    expect(closed.state).toBe('resolved')
    driver.attempt(1).succeed()
    await clock.advance(0)
    expect(clock.pending).toBe(0)
  })
})

describe('tryAcquire', () => {
  it('replaces the connections it finds too old, as acquire does', async () => {
    const { pool, clock } = fixture({ min: 1, max: 1, maxLifetimeMs: 2_000 })
    await pool.start()
    clock.stall(2_500)
    expect(pool.tryAcquire()).toBeUndefined()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })
})

describe('a hook that wants another connection every time', () => {
  it('sets off no storm of connects although several are under way at once', async () => {
    const hooks = { afterConnect: () => {}, beforeAcquire: () => 'replace' as const }
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0 }, undefined, { hooks })
    const asked = Array.from({ length: 2 }, () => watch(pool.acquire()))
    for (let turn = 0; turn < 100; turn++) await settled()
    expect(driver.attempts.length).toBeLessThanOrEqual(3)
    await clock.advance(30_000)
    expect(driver.attempts.length).toBeLessThan(300)
    expect(asked).toMatchObject([
      { error: { name: 'AcquireTimeoutError' } },
      { error: { name: 'AcquireTimeoutError' } },
    ])
  })
})
