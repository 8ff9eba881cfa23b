// Moments in which a transaction’s time is up, or its caller gives up, that are easily overlooked.

import { getEventListeners } from 'node:events'
import { describe, expect, it } from '@jest/globals'
import { TransactionCancelledError, TransactionTimeoutError } from '../errors.js'
import { deadlock } from '../testing/failures.js'
import { takeOne } from '../testing/fixture.js'
import { expectNothingHeld, type Fate, retryingAndRested, Script, turns, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'

describe('a signal that has fired before', () => {
  it('lets nothing begin', async () => {
    const setup = await retryingAndRested()
    const reason = new Error('the user went away')
    const script = new Script()
    const signal = AbortSignal.abort(reason)
    const result = watch(setup.pool.transaction(script.body, { signal }))
    await turns()
    expect(result.error).toBeInstanceOf(TransactionCancelledError)
    expect(result.error).toMatchObject({ cause: reason })
    expect(script.runs).toEqual([])
    expect(setup.driver.connection(1).sent).toEqual([])
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('a signal that fires in the pause between two attempts', () => {
  it('is heard at once, and there is no other attempt', async () => {
    const setup = await retryingAndRested({ retry: { initialDelayMs: 5_000 } })
    const abort = new AbortController()
    const script = new Script(deadlock())
    const result = watch(setup.pool.transaction(script.body, { signal: abort.signal }))
    await setup.clock.advance(100)
    expect(result.state).toBe('pending')
    abort.abort()
    await turns()
    expect(result.error).toBeInstanceOf(TransactionCancelledError)
    expectNothingHeld(setup)
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    await setup.clock.advance(60_000)
    expect(script.runs).toHaveLength(1)
  })
})

describe('F5: a transaction whose time has passed while the process was busy', () => {
  it('begins nothing on the connection it is handed', async () => {
    const setup = await retryingAndRested({ pool: { max: 1, overflow: 0 } })
    const holder = await takeOne(setup.pool)
    const { sent } = setup.driver.connection(1)
    const before = sent.length
    const script = new Script()
    const result = watch(setup.pool.transaction(script.body, { timeoutMs: 100 }))
    await turns()
    setup.clock.stall(100)
    holder.release()
    await turns()
    expect(result.error).toBeInstanceOf(TransactionTimeoutError)
    expect(script.runs).toEqual([])
    expect(sent).toHaveLength(before)
    expectNothingHeld(setup)
  })
})

describe('a transaction that has ended by itself', () => {
  it.each<[string, Fate[]]>([
    ['done', []],
    ['failed', [new Error('no')]],
    ['done at the second attempt', [deadlock()]],
  ])('(%s) leaves neither a timer nor a listener, and a nested one neither', async (_, fates) => {
    const setup = await retryingAndRested({ retry: { initialDelayMs: 1_000 } })
    const [outer, inner] = [new AbortController(), new AbortController()]
    const left = () => [outer, inner].map(({ signal }) => getEventListeners(signal, 'abort').length)
    const script = new Script(...fates)
    const result = watch(
      setup.pool.transaction(
        async () => {
          try {
            return await setup.pool.transaction(script.body, { timeoutMs: 5_000, signal: inner.signal })
          } finally {
            expect(left()).toEqual([1, 0])
          }
        },
        { timeoutMs: 5_000, signal: outer.signal },
      ),
    )
    await turns()
    await setup.clock.advance(1_000)
    await turns()
    expect(result.state).not.toBe('pending')
    expect(left()).toEqual([0, 0])
    expectNothingHeld(setup)
  })
})

describe('a signal that fires', () => {
  it('as the connection is handed over does not leave it waiting for a BEGIN that is not answered', async () => {
    const setup = await retryingAndRested({ pool: { max: 1, overflow: 0 } })
    const lease = await setup.pool.acquire()
    const abort = new AbortController()
    const script = new Script()
    const result = watch(setup.pool.transaction(script.body, { signal: abort.signal }))
    await turns()
    setup.driver.connection(1).next('begin', 'held')
    lease.release()
    abort.abort()
    await turns()
    expect(result.error).toBeInstanceOf(TransactionCancelledError)
    expect(script.runs).toEqual([])
    expectNothingHeld(setup)
  })

  it('right after the body ended either comes too late or undoes everything', async () => {
    for (let ticks = 0; ticks < 16; ticks++) {
      const setup = await retryingAndRested()
      const abort = new AbortController()
      const result = watch(
        setup.pool.transaction(
          () => {
            void (async () => {
              for (let tick = 0; tick < ticks; tick++) await undefined
              abort.abort()
            })()
          },
          { signal: abort.signal },
        ),
      )
      await untilRest(setup)
      const [connection] = setup.driver.connections
      if (result.state === 'resolved') expect(connection?.sent).toEqual(['begin', 'commit'])
      else expect(result.error).toBeInstanceOf(TransactionCancelledError)
      if (result.state === 'rejected') expect(connection?.sent.includes('commit') && connection.open).toBe(false)
      expectNothingHeld(setup)
    }
  })

  it('right after the body ended does not leave it waiting for a COMMIT that is not answered', async () => {
    for (let ticks = 0; ticks < 16; ticks++) {
      const setup = await retryingAndRested()
      const abort = new AbortController()
      setup.driver.connection(1).next('commit', 'held')
      const result = watch(
        setup.pool.transaction(
          () => {
            void (async () => {
              for (let tick = 0; tick < ticks; tick++) await undefined
              abort.abort()
            })()
          },
          { signal: abort.signal },
        ),
      )
      await untilRest(setup)
      expect([ticks, result.state]).toEqual([ticks, 'rejected'])
    }
  })
})

describe('timeoutMs', () => {
  it('covers all attempts together', async () => {
    const setup = await retryingAndRested({ retry: { initialDelayMs: 100, factor: 1, maxConflictRetries: 1_000 } })
    const attempts: number[] = []
    const result = watch(
      setup.pool.transaction(
        async (_, { attempt }) => {
          attempts.push(attempt)
          await new Promise<void>((resolve) => setup.clock.setTimer(resolve, 300))
          throw deadlock()
        },
        { timeoutMs: 1_000 },
      ),
    )
    for (let passed = 0; passed < 1_000; passed += 50) {
      await setup.clock.advance(50)
      await turns()
    }
    // At 0, 400 and 800 ms.
    expect(attempts).toEqual([1, 2, 3])
    expect(result.error).toBeInstanceOf(TransactionTimeoutError)
  })

  it('lets no attempt begin that would be too late', async () => {
    for (const [timeoutMs, runs] of [
      [5_001, 2],
      [5_000, 1],
    ] as const) {
      const setup = await retryingAndRested({ retry: { initialDelayMs: 5_000 } })
      const script = new Script(deadlock(), new Error('the second one'))
      const result = watch(setup.pool.transaction(script.body, { timeoutMs }))
      await turns()
      if (runs === 1) expect(result.error).toMatchObject({ name: 'DeadlockError' })
      await untilRest(setup)
      expect(result.state).toBe('rejected')
      expect(script.runs).toHaveLength(runs)
    }
  })

  it('that passed in a pause, as the process was busy, lets no other attempt begin', async () => {
    const setup = await retryingAndRested({ retry: { initialDelayMs: 4_000 } })
    const result = watch(setup.pool.transaction(new Script(deadlock()).body, { timeoutMs: 5_000 }))
    await turns()
    setup.clock.stall(10_000)
    await setup.clock.advance(0)
    await turns()
    expect(result.error).toBeInstanceOf(TransactionTimeoutError)
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'write', 'rollback'])
  })

  it('is taken from resilience.transaction, and switched off by 0', async () => {
    const setup = await retryingAndRested({ transaction: { timeoutMs: 100 } })
    const never = () => new Promise(() => {})
    const [usual, own, none] = [undefined, { timeoutMs: 200 }, { timeoutMs: 0 }].map((options) =>
      watch(setup.pool.transaction(never, options)),
    )
    await turns()
    await setup.clock.advance(100)
    expect([usual?.state, own?.state]).toEqual(['rejected', 'pending'])
    await setup.clock.advance(100)
    expect(own?.state).toBe('rejected')
    await setup.clock.advance(3_600_000)
    expect(none?.state).toBe('pending')
  })
})

describe('a pool that is closed', () => {
  it('ends what would be run again, without another connection', async () => {
    const setup = await retryingAndRested()
    const script = new Script(deadlock())
    const result = watch(setup.pool.transaction(script.body))
    await turns()
    await setup.pool.close()
    await setup.clock.advance(60_000)
    expect(script.runs).toHaveLength(1)
    expect(result.error).toMatchObject({ name: 'PoolClosedError' })
  })

  it('still ends a body by its limits, and one whose connection it took away', async () => {
    for (const options of [{ timeoutMs: 50_000 }, {}]) {
      const setup = await retryingAndRested({ transaction: { settleTimeoutMs: 50_000 } })
      const result = watch(setup.pool.transaction(() => new Promise(() => {}), options))
      await turns()
      const closed = watch(setup.pool.close({ timeoutMs: 100 }))
      await setup.clock.advance(100)
      await turns()
      expect(closed.state).toBe('resolved')
      await setup.clock.advance(60_000)
      expect(result.state).toBe('rejected')
    }
  })

  it('tells those it ends that it was closed, rather than of limits that have not passed', async () => {
    const setup = await retryingAndRested()
    const { pool } = setup
    const never = () => new Promise<never>(() => {})
    let waiting = watch(Promise.resolve())
    let busy = watch<unknown>(Promise.resolve())
    const results = [
      watch(
        pool.transaction(() => {
          watch(pool.transaction(never))
          waiting = watch(pool.transaction(() => {}))
          return never()
        }),
      ),
      watch(
        pool.session(async (session) => {
          await session.acquire()
          busy = watch(session.acquire())
          await never()
        }),
      ),
    ]
    await turns()
    watch(pool.close({ timeoutMs: 10 }))
    await setup.clock.advance(10)
    await turns()
    for (const { error } of [waiting, busy]) expect(error).toMatchObject({ name: 'PoolClosedError' })
    expect(results[0]?.error).toMatchObject({ name: 'ConnectionLostError', retry: 'never' })
    expect(String(results[0]?.error)).toContain('when the pool was closed')
    expectNothingHeld(setup)
  })
})
