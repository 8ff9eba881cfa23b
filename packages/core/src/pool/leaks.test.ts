// Leases that are held for too long: told once, with the stack of their taking, and taken back if that is wanted.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, LeaseReleasedError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type FakeLease, type FakePool, fixture, take, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const minute = 60_000
const one = { max: 1, overflow: 0, leakAfterMs: minute }

/** Holds a lease that was taken in one way or another. */
const ways: readonly (readonly [string, (pool: FakePool) => Promise<unknown>])[] = [
  ['acquire()', async (pool) => pool.acquire()],
  ['lease()', (pool) => pool.lease(() => new Promise(() => {}))],
  ['transaction()', (pool) => pool.transaction(() => new Promise(() => {}))],
]

describe('a lease held for longer than leakAfterMs', () => {
  it.each(ways)('is told with the stack of its taking by %s', async (_, holdOn) => {
    const { pool, clock, driver } = fixture(one)
    // Once from a connection that has to be made, once from one that rests.
    for (const round of [1, 2]) {
      watch(holdOn(pool))
      const [event] = await eventsOf('moorings:leak:found', () => clock.advance(minute + 1_000))
      expect(event).toMatchObject({ ...pool.identity, id: round })
      expect(event?.heldMs).toBeGreaterThanOrEqual(minute)
      expect(event?.stack).toMatch(/leaks\.test\.ts:\d+:\d+/)
      driver.connection(round).lose()
    }
  })

  it('is told without a stack when tryAcquire() or a single statement took it', async () => {
    const { pool, clock } = fixture({ leakAfterMs: minute })
    const first = await takeOne(pool)
    first.release()
    expect(pool.tryAcquire()?.taking).toBeUndefined()
    const brief = await pool.acquire({ brief: true })
    expect(brief.taking).toBeUndefined()
    const events = await eventsOf('moorings:leak:found', () => clock.advance(minute))
    expect(events.map(({ id, stack }) => [id, stack])).toEqual([
      [1, undefined],
      [2, undefined],
    ])
  })

  it('is told once, however long it is held, and each for itself', async () => {
    const { pool, clock } = fixture({ leakAfterMs: minute })
    const events = await eventsOf('moorings:leak:found', async () => {
      await takeOne(pool)
      await clock.advance(minute / 2)
      await takeOne(pool)
      await clock.advance(minute / 2)
      expect(pool.stats()).toMatchObject({ leased: 2, leaks: { now: 1, found: 1 } })
      await clock.advance(30 * minute)
    })
    expect(events.map(({ id, heldMs }) => [id, heldMs])).toEqual([
      [1, minute],
      [2, minute],
    ])
    expect(pool.stats().leaks).toEqual({ now: 2, found: 2, reclaimed: 0 })
  })

  it('is told again when it comes back after all', async () => {
    const { pool, clock } = fixture({ ...one, max: 2 })
    const lease = await takeOne(pool)
    await clock.advance(5 * minute)
    const short = await takeOne(pool)
    expect(pool.stats().leaks).toEqual({ now: 1, found: 1, reclaimed: 0 })
    const events = await eventsOf('moorings:leak:returned', () => {
      short.release()
      lease.release()
      lease.release()
    })
    const stack = expect.stringContaining('fixture.ts')
    expect(events).toEqual([{ ...pool.identity, id: 1, heldMs: 5 * minute, stack }])
    expect(pool.stats().leaks).toEqual({ now: 0, found: 1, reclaimed: 0 })
  })

  it('keeps its connection: what runs goes on, and the next borrower has it afterwards', async () => {
    const { pool, clock, driver } = fixture(one)
    const lease = await takeOne(pool)
    await clock.advance(5 * minute)
    await lease.connection.statement()
    lease.release()
    expect((await takeOne(pool)).connection.id).toBe(1)
    expect(driver.connections).toHaveLength(1)
  })

  it('that was lent again is another lease, with a time of its own', async () => {
    const { pool, clock } = fixture(one)
    const events = await eventsOf('moorings:leak:found', async () => {
      for (let turn = 0; turn < 10; turn++) {
        const lease = await takeOne(pool)
        await clock.advance(minute - 1)
        lease.release()
      }
    })
    expect(events).toEqual([])
  })

  it('of 0 is never told, and no stack is kept', async () => {
    const { pool, clock } = fixture({ ...one, leakAfterMs: 0 })
    const lease = await takeOne(pool)
    expect(lease.taking).toBeUndefined()
    const events = await eventsOf('moorings:leak:found', () => clock.advance(100 * minute))
    expect(events).toEqual([])
  })

  it('is looked for without keeping a process alive', async () => {
    const { pool, clock } = fixture({ ...one, idleTimeoutMs: 0, maxLifetimeMs: 0 })
    await takeOne(pool)
    expect([clock.pending, clock.holding]).toEqual([1, 0])
    await clock.advance(5 * minute)
    expect([clock.pending, clock.holding]).toEqual([1, 0])
  })
})

describe('the stack of a taking', () => {
  /** How often the text of a stack was made meanwhile. */
  async function textsMade(during: () => Promise<void>): Promise<number> {
    const { prepareStackTrace } = Error
    let made = 0
    Error.prepareStackTrace = (error, frames) => {
      made++
      return `${error}${frames.map((frame) => `\n    at ${frame}`).join('')}`
    }
    try {
      await during()
    } finally {
      Error.prepareStackTrace = prepareStackTrace
    }
    return made
  }

  it('is no text before somebody reads it', async () => {
    const { pool, clock } = fixture({ leakAfterMs: minute, max: 5 })
    const borrowAndLeak = async () => {
      const leases = await take(pool, 5)
      leases[0]?.release()
      await clock.advance(2 * minute)
      expect(pool.stats().leaks.found).toBe(4)
      leases[1]?.release()
    }
    expect(await textsMade(borrowAndLeak)).toBe(0)
    const heard = async () => {
      await eventsOf('moorings:leak:found', async () => {
        await takeOne(pool)
        await clock.advance(2 * minute)
      })
    }
    expect(await textsMade(heard)).toBe(1)
  })

  it('begins with the caller, not with the pool', async () => {
    const { pool } = fixture(one)
    const { taking } = await pool.acquire()
    const [, first] = taking?.stack?.split('\n') ?? []
    expect(first).toContain('leaks.test.ts')
  })
})

describe('reclaimLeaks', () => {
  const reclaiming = { ...one, reclaimLeaks: true }

  async function reclaimed(): Promise<{ lease: FakeLease; pool: FakePool; setup: ReturnType<typeof fixture> }> {
    const setup = fixture(reclaiming)
    const lease = await takeOne(setup.pool)
    await setup.clock.advance(minute)
    return { lease, pool: setup.pool, setup }
  }

  it('destroys the connection; what runs on it rejects, and so does every later use', async () => {
    const { pool, clock, driver } = fixture(reclaiming)
    const lease = await takeOne(pool)
    lease.connection.next('statement', 'held')
    const running = watch(lease.connection.statement())
    await clock.advance(minute - 1)
    expect(driver.connection(1).open).toBe(true)
    await clock.advance(1)
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(running.error).toBeInstanceOf(ConnectionLostError)
    expect(String(running.error)).toContain(`held for longer than ${minute} ms`)
    expect(() => lease.connection).toThrow(ConnectionLostError)
    expect(pool.stats().closedBy.reclaimed).toBe(1)
  })

  it('frees the slot for who waits', async () => {
    const { pool, clock } = fixture(reclaiming)
    await takeOne(pool)
    await clock.advance(minute - 1_000)
    const [waiting] = await ask(pool, 1)
    await clock.advance(1_000)
    expect(waiting?.value.connection.id).toBe(2)
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
  })

  it('tells that it was found and that it was taken back, with the stack', async () => {
    const { pool, clock } = fixture(reclaiming)
    const found = await eventsOf('moorings:leak:found', async () => {
      const taken = await eventsOf('moorings:leak:reclaimed', async () => {
        await takeOne(pool)
        await clock.advance(minute)
      })
      const stack = expect.stringContaining('fixture.ts')
      expect(taken).toEqual([{ ...pool.identity, id: 1, heldMs: minute, stack }])
    })
    expect(found).toHaveLength(1)
  })

  it('counts it as reclaimed, and no longer as held', async () => {
    const { pool } = await reclaimed()
    expect(pool.stats().leaks).toEqual({ now: 0, found: 1, reclaimed: 1 })
  })

  it('leaves the late holder nothing to harm: its release is no return', async () => {
    const { pool, lease } = await reclaimed()
    const next = await takeOne(pool)
    lease.release()
    await settled()
    expect(() => lease.connection).toThrow(LeaseReleasedError)
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
    expect(next.lost).toBe(false)
  })

  it('fails a transaction that goes on too long: it is not committed', async () => {
    const { pool, clock, driver } = fixture(reclaiming)
    let goOn = () => {}
    const body = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const result = watch(pool.transaction(() => body))
    await clock.advance(minute)
    goOn()
    await settled()
    expect(result.error).toBeInstanceOf(ConnectionLostError)
    expect(driver.connection(1).sent).toEqual(['begin'])
  })
})
