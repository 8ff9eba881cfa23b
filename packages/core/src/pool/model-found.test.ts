// What random sequences found, each as short as it gets.

import { describe, expect, it } from '@jest/globals'
import { ask, counts, fixture, take, takeOne } from '../testing/fixture.js'
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
