// Callers that wait: their order, their limits, and what becomes of a connection they no longer want.

import { getEventListeners } from 'node:events'
import { describe, expect, it } from '@jest/globals'
import { AcquireAbortedError, AcquireTimeoutError, QueueFullError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 }

describe('waiters', () => {
  it('are served first come, first served', async () => {
    const { pool } = fixture(one)
    const holder = await takeOne(pool)
    const served: number[] = []
    for (let turn = 0; turn < 5; turn++) {
      void pool.acquire().then((lease) => {
        served.push(turn)
        lease.release()
      })
    }
    expect(served).toEqual([])
    holder.release()
    await settled()
    expect(served).toEqual([0, 1, 2, 3, 4])
  })

  it('are served before a caller that comes while the connection changes hands', async () => {
    const { pool } = fixture(one)
    const holder = await takeOne(pool)
    const [first] = await ask(pool, 1)
    holder.release()
    const late = watch(pool.acquire())
    await settled()
    expect(first?.state).toBe('resolved')
    expect(late.state).toBe('pending')
  })

  it('get the released connection at once, though a connect for them hangs', async () => {
    const { pool, driver } = fixture({ max: 2, overflow: 0 })
    const holder = await takeOne(pool)
    driver.connects = 'deaf'
    const [waiting] = await ask(pool, 1)
    expect(counts(pool)).toMatchObject({ connecting: 1, waiting: 1 })
    holder.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('get the released connection at once, though connects for them fail', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0 })
    const holder = await takeOne(pool)
    driver.connects = refusal()
    const [waiting] = await ask(pool, 1)
    await clock.advance(5)
    expect(waiting?.state).toBe('pending')
    holder.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
  })
})

describe('an acquire timeout', () => {
  it.each([1, 7, 250, 999])('of %d ms comes exactly then', async (acquireTimeoutMs) => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs })
    await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    await clock.advance(acquireTimeoutMs - 0.001)
    expect(waiting?.state).toBe('pending')
    await clock.advance(0.001)
    expect(waiting?.error).toBeInstanceOf(AcquireTimeoutError)
  })

  it('is never early, though the timers of others go off before it', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 100 })
    await takeOne(pool)
    const asked = []
    for (let turn = 0; turn < 10; turn++) {
      const waiting = watch(pool.acquire())
      asked.push({ waiting, until: clock.now() + 100 })
      await clock.advance(7.3)
    }
    for (const { waiting, until } of asked) {
      await clock.advance(until - clock.now() - 0.01)
      expect(waiting.state).toBe('pending')
      // A timer takes whole milliseconds, so the last fraction may be rounded up.
      await clock.advance(1)
      expect(waiting.state).toBe('rejected')
    }
  })

  it('can be set for one call', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 10_000 })
    await takeOne(pool)
    const hasty = watch(pool.acquire({ timeoutMs: 20 }))
    const [patient] = await ask(pool, 1)
    await clock.advance(20)
    expect(hasty.error).toMatchObject({ waitedMs: 20 })
    expect(patient?.state).toBe('pending')
  })

  it('tells how long the caller waited and what the pool looked like, the caller included', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 1, acquireTimeoutMs: 50 })
    await take(pool, 2)
    driver.connects = 'deaf'
    const [waiting] = await ask(pool, 2)
    await clock.advance(50)
    const error = waiting?.error
    expect(error).toMatchObject({
      name: 'AcquireTimeoutError',
      kind: 'acquire',
      waitedMs: 50,
      pool: { idle: 0, leased: 2, connecting: 1, waiting: 2, max: 2, overflow: 1 },
    })
    expect(String(error)).toContain('within 50 ms (2 leased, 0 idle, 1 connecting, 2 waiting; max 2, overflow 1)')
    expect(error).not.toHaveProperty('cause')
  })

  it('has the last failure to connect as its cause', async () => {
    const { pool, driver, clock } = fixture({ ...one, acquireTimeoutMs: 100 })
    driver.connects = refusal()
    const [waiting] = await ask(pool, 1)
    await clock.advance(100)
    expect(waiting?.error).toMatchObject({ cause: driver.connects, message: expect.stringContaining('ECONNREFUSED') })
  })

  it('names no failure to connect that a later connect has made up for', async () => {
    const { pool, driver, clock } = fixture({ ...one, acquireTimeoutMs: 1_000 })
    driver.connects = refusal()
    const [first, second] = await ask(pool, 2)
    driver.connects = 'ok'
    await clock.advance(999)
    expect(first?.state).toBe('resolved')
    await clock.advance(1)
    expect(second?.error).toBeInstanceOf(AcquireTimeoutError)
    expect(second?.error).not.toHaveProperty('cause')
  })

  it('leaves the queue: a connection given back later goes to the next', async () => {
    const { pool, clock } = fixture(one)
    const holder = await takeOne(pool)
    const early = watch(pool.acquire({ timeoutMs: 10 }))
    const [next] = await ask(pool, 1)
    await clock.advance(10)
    expect(early.state).toBe('rejected')
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 1 })
    holder.release()
    await settled()
    expect(next?.state).toBe('resolved')
  })

  it('is not left running once the caller is served', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 100, idleTimeoutMs: 0, maxLifetimeMs: 0 })
    const holder = await takeOne(pool)
    const [next] = await ask(pool, 1)
    holder.release()
    await clock.advance(100)
    expect(next?.value.released).toBe(false)
    expect(clock.pending).toBe(0)
  })
})

describe('an abort', () => {
  it('ends the wait with the reason as cause, and leaves the queue', async () => {
    const { pool } = fixture(one)
    const holder = await takeOne(pool)
    const abort = new AbortController()
    const waiting = watch(pool.acquire({ signal: abort.signal }))
    const [next] = await ask(pool, 1)
    const reason = new Error('the request was closed')
    abort.abort(reason)
    await settled()
    expect(waiting.error).toBeInstanceOf(AcquireAbortedError)
    expect(waiting.error).toMatchObject({ cause: reason })
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 1 })
    holder.release()
    await settled()
    expect(next?.value.connection.id).toBe(1)
  })

  it('just before a release does not lose the connection', async () => {
    const { pool } = fixture(one)
    const holder = await takeOne(pool)
    const abort = new AbortController()
    const waiting = watch(pool.acquire({ signal: abort.signal }))
    abort.abort()
    holder.release()
    await settled()
    expect(waiting.state).toBe('rejected')
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('just after a release comes too late: the caller has its lease', async () => {
    const { pool } = fixture(one)
    const holder = await takeOne(pool)
    const abort = new AbortController()
    const waiting = watch(pool.acquire({ signal: abort.signal }))
    holder.release()
    abort.abort()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
    waiting.value.release()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('during a connect lets the connection land in the pool all the same', async () => {
    const { pool, driver } = fixture(one)
    driver.connects = 'deaf'
    const abort = new AbortController()
    const waiting = watch(pool.acquire({ signal: abort.signal }))
    abort.abort()
    await settled()
    expect(waiting.state).toBe('rejected')
    expect(counts(pool)).toEqual({ ...empty, connecting: 1 })
    expect(driver.attempt(1).request.signal.aborted).toBe(false)
    driver.attempt(1).succeed()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect((await takeOne(pool)).connection.id).toBe(1)
  })

  it('before the call refuses it at once, and opens nothing', async () => {
    const { pool, driver } = fixture()
    const refused = watch(pool.acquire({ signal: AbortSignal.abort('no longer wanted') }))
    await settled()
    expect(refused.error).toMatchObject({ name: 'AcquireAbortedError', cause: 'no longer wanted' })
    expect(driver.attempts).toHaveLength(0)
  })

  it('before the call refuses it also when a connection lies ready', async () => {
    const { pool } = fixture()
    const lease = await takeOne(pool)
    lease.release()
    const refused = watch(pool.acquire({ signal: AbortSignal.abort() }))
    await settled()
    expect(refused.error).toBeInstanceOf(AcquireAbortedError)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is no longer listened for once the wait is over, however it ended', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 50 })
    const { signal } = new AbortController()
    const served = await pool.acquire({ signal })
    const late = watch(pool.acquire({ signal }))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await clock.advance(50)
    expect(late.state).toBe('rejected')
    const next = watch(pool.acquire({ signal }))
    served.release()
    await settled()
    expect(next.state).toBe('resolved')
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('maxWaiters', () => {
  it('lets so many wait, and refuses one more at once', async () => {
    const { pool } = fixture({ ...one, maxWaiters: 2 })
    const holder = await takeOne(pool)
    const waiting = await ask(pool, 2)
    const [refused] = await ask(pool, 1)
    expect(refused?.error).toBeInstanceOf(QueueFullError)
    expect(refused?.error).toMatchObject({ pool: { leased: 1, waiting: 2 }, retry: 'reconnect' })
    expect(waiting.map(({ state }) => state)).toEqual(['pending', 'pending'])
    holder.release()
    await settled()
    const [again] = await ask(pool, 1)
    expect(again?.state).toBe('pending')
  })

  it('does not count those that have given up', async () => {
    const { pool, clock } = fixture({ ...one, maxWaiters: 1, acquireTimeoutMs: 10 })
    await takeOne(pool)
    await ask(pool, 1)
    await clock.advance(10)
    const [next] = await ask(pool, 1)
    expect(next?.state).toBe('pending')
  })

  it('of 0 still gives a connection to whom one can be made for', async () => {
    const { pool } = fixture({ ...one, maxWaiters: 0 })
    const [lease] = await ask(pool, 1)
    expect(lease?.state).toBe('resolved')
    const [refused] = await ask(pool, 1)
    expect(refused?.error).toBeInstanceOf(QueueFullError)
  })
})
