// How long callers wait for a suspended pool, and what they are told then.

import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError, PoolClosedError, PoolSuspendedError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, fixture, takeOne } from '../testing/fixture.js'

const one = { max: 1, overflow: 0 }

describe('refuseAfterMs', () => {
  it('ends the wait of everybody who waits, and nobody is queued after that', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 1_000 })
    const lease = await takeOne(pool)
    const [before] = await ask(pool, 1)
    pool.suspend({ refuseAfterMs: 3_000 })
    const [meanwhile] = await ask(pool, 1)
    await clock.advance(2_999)
    expect([before?.state, meanwhile?.state]).toEqual(['pending', 'pending'])
    await clock.advance(1)
    const [after] = await ask(pool, 1)
    for (const refused of [before, meanwhile, after]) expect(refused?.error).toBeInstanceOf(PoolSuspendedError)
    expect(before?.error).toMatchObject({ kind: 'acquire', retry: 'reconnect' })
    expect(String(before?.error)).toContain('suspended 3000 ms ago')
    await lease.connection.statement()
    lease.release()
  })

  it('of 0 refuses at once who waits and who comes, until resume()', async () => {
    const { pool } = fixture(one)
    const lease = await takeOne(pool)
    const [before] = await ask(pool, 1)
    pool.suspend({ refuseAfterMs: 0 })
    const [after] = await ask(pool, 1)
    expect(before?.error).toBeInstanceOf(PoolSuspendedError)
    expect(after?.error).toBeInstanceOf(PoolSuspendedError)
    expect(pool.stats()).toMatchObject({ refused: 2, waiting: 0 })
    pool.resume()
    const [next] = await ask(pool, 1)
    lease.release()
    await settled()
    expect(next?.state).toBe('resolved')
  })

  it('is a minute unless told otherwise', async () => {
    const { pool, clock } = fixture(one)
    pool.suspend()
    const [waiting] = await ask(pool, 1)
    await clock.advance(59_999)
    expect(waiting?.state).toBe('pending')
    await clock.advance(1)
    expect(waiting?.error).toBeInstanceOf(PoolSuspendedError)
  })

  it('no longer counts after resume()', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 60_000 })
    await takeOne(pool)
    pool.suspend({ refuseAfterMs: 1_000 })
    await clock.advance(500)
    pool.resume()
    const [waiting] = await ask(pool, 1)
    await clock.advance(50_000)
    expect(waiting?.state).toBe('pending')
  })

  it.each([-1, 0.5, Number.NaN])('of %d is refused as a wrong option, and the pool goes on', async (refuseAfterMs) => {
    const { pool } = fixture(one)
    await pool.start()
    expect(() => pool.suspend({ refuseAfterMs })).toThrow(InvalidOptionsError)
    expect(pool.stats().state).toBe('running')
  })
})

describe('suspend', () => {
  it('twice is the same as once: the first limit holds, and one resume() ends it', async () => {
    const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 1_000 })
    pool.suspend({ refuseAfterMs: 2_000 })
    const [waiting] = await ask(pool, 1)
    await clock.advance(1_500)
    const events = await eventsOf('moorings:pool:suspended', () => pool.suspend({ refuseAfterMs: 60_000 }))
    expect(events).toEqual([])
    await clock.advance(500)
    expect(waiting?.error).toBeInstanceOf(PoolSuspendedError)
    pool.resume()
    expect((await takeOne(pool)).connection.id).toBe(1)
  })

  it('of a closed pool throws PoolClosedError', async () => {
    const { pool } = fixture()
    await pool.close()
    expect(() => pool.suspend()).toThrow(PoolClosedError)
    await expect(pool.drain()).rejects.toBeInstanceOf(PoolClosedError)
  })
})
