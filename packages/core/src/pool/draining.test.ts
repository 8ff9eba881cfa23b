// Waiting for every lease to come back, with the pool suspended.

import { describe, expect, it } from '@jest/globals'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

describe('drain', () => {
  it('suspends the pool, and is true as soon as the last lease is back', async () => {
    const { pool, clock } = fixture()
    const [first, second] = await take(pool, 2)
    const drained = watch(pool.drain())
    expect(pool.stats().state).toBe('suspended')
    first?.release()
    await clock.advance(5_000)
    expect(drained.state).toBe('pending')
    second?.release()
    await settled()
    expect(drained.value).toBe(true)
    expect(pool.stats().state).toBe('suspended')
  })

  it('is true at once when nothing is lent', async () => {
    const { pool } = fixture({ min: 1 })
    await pool.start()
    const drained = watch(pool.drain())
    await settled()
    expect(drained.value).toBe(true)
  })

  it('is false after timeoutMs; the pool stays suspended and the lease goes on', async () => {
    const { pool, clock } = fixture()
    const lease = await takeOne(pool)
    const drained = watch(pool.drain({ timeoutMs: 250 }))
    await clock.advance(249)
    expect(drained.state).toBe('pending')
    await clock.advance(1)
    expect(drained.value).toBe(false)
    expect(pool.stats().state).toBe('suspended')
    await lease.connection.statement()
    lease.release()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('waits for closeTimeoutMs unless told otherwise', async () => {
    const { pool, clock } = fixture({ closeTimeoutMs: 700 })
    await takeOne(pool)
    const drained = watch(pool.drain())
    await clock.advance(699)
    expect(drained.state).toBe('pending')
    await clock.advance(1)
    expect(drained.value).toBe(false)
  })

  it('lends nothing between the return of the last lease and resume()', async () => {
    const { pool } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    const drained = watch(pool.drain())
    lease.release()
    await settled()
    expect(drained.value).toBe(true)
    expect(waiting?.state).toBe('pending')
    pool.resume()
    await settled()
    expect(waiting?.state).toBe('resolved')
  })

  it('asked for twice is true for both, each within its own limit', async () => {
    const { pool, clock } = fixture()
    const lease = await takeOne(pool)
    const hasty = watch(pool.drain({ timeoutMs: 50 }))
    const first = watch(pool.drain({ timeoutMs: 5_000 }))
    const second = watch(pool.drain({ timeoutMs: 5_000 }))
    await clock.advance(50)
    lease.release()
    await settled()
    expect([hasty.value, first.value, second.value]).toEqual([false, true, true])
  })

  it('takes how long callers wait, as suspend() does', async () => {
    const { pool, clock } = fixture()
    const events = await eventsOf('moorings:pool:suspended', () => void pool.drain({ refuseAfterMs: 90 }))
    expect(events).toEqual([{ ...pool.identity, refuseAfterMs: 90 }])
    const [waiting] = await ask(pool, 1)
    await clock.advance(90)
    expect(waiting?.error).toMatchObject({ name: 'PoolSuspendedError' })
  })

  it.each([
    ['is lost', ({ driver }) => driver.connection(1).lose()],
    ['is evicted', ({ pool }) => void pool.evict()],
    ['is taken back as a leak', ({ clock }) => clock.advance(60_000)],
  ] satisfies [string, (setup: Fixture) => Promise<void> | void][])(
    'ends when the last connection %s, though its holder never gives it back',
    async (_, end) => {
      const setup = fixture({ leakAfterMs: 60_000, reclaimLeaks: true })
      await takeOne(setup.pool)
      const drained = watch(setup.pool.drain({ timeoutMs: 3_600_000 }))
      await setup.clock.advance(1_000)
      expect(drained.state).toBe('pending')
      await end(setup)
      await settled()
      expect(drained.value).toBe(true)
    },
  )

  it('is false when the pool is closed and a lease did not come back, and true when it did', async () => {
    for (const comesBack of [false, true]) {
      const { pool, clock } = fixture()
      const lease = await takeOne(pool)
      const drained = watch(pool.drain({ timeoutMs: 3_600_000 }))
      void pool.close({ timeoutMs: 1_000 })
      if (comesBack) lease.release()
      await clock.advance(1_000)
      expect(drained.value).toBe(comesBack)
    }
  })

  it('keeps no process alive once it has ended', async () => {
    const { pool, clock } = fixture()
    const lease = await takeOne(pool)
    const drained = watch(pool.drain({ timeoutMs: 5_000 }))
    expect(clock.holding).toBe(1)
    lease.release()
    await settled()
    expect(drained.value).toBe(true)
    pool.resume()
    expect(clock.holding).toBe(0)
  })
})
