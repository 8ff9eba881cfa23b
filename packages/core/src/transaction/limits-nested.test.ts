// The limits of a nested transaction: what they end is that, and nothing around it.

import { getEventListeners } from 'node:events'
import { describe, expect, it } from '@jest/globals'
import { StatementError } from '../errors.js'
import { type Gate, gate } from '../testing/gate.js'
import { expectNothingHeld, retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { type Watched, watch } from '../testing/watch.js'
import type { TransactionOptions } from './transaction-options.js'

type Setup = Awaited<ReturnType<typeof retryingAndRested>>

/** A nested transaction ended by its limits after 100 ms, whose body goes on until `goesOn`. */
async function nestedEnded(
  options: TransactionOptions,
  late: (setup: Setup) => unknown = () => {},
): Promise<
  Setup & { nested: Watched<unknown>; result: Watched<string>; goesOn: Gate; end: Gate; abort: AbortController }
> {
  const setup = await retryingAndRested()
  const { pool, clock } = setup
  const [goesOn, end, abort] = [gate(), gate(), new AbortController()]
  clock.setTimer(() => abort.abort(new Error('given up')), 100)
  let nested: Watched<unknown> = watch(Promise.resolve())
  const result = watch(
    pool.transaction(async (tx) => {
      await tx.connection.statement('before')
      nested = watch(
        pool.transaction(
          async ({ connection }) => {
            await connection.statement('inside')
            await goesOn.opened
            await late(setup)
          },
          { signal: abort.signal, ...options },
        ),
      )
      await end.opened
      await tx.connection.statement('after')
      return 'done'
    }),
  )
  await turns()
  await clock.advance(100)
  await turns()
  return { ...setup, nested, result, goesOn, end, abort }
}

describe('a nested transaction ended by its limits', () => {
  it.each([
    ['timeoutMs', { timeoutMs: 100, signal: undefined }, 'TransactionTimeoutError'],
    ['signal', {}, 'TransactionCancelledError'],
  ] as const)('(%s) is undone by itself, and the one around it goes on', async (_, options, name) => {
    const setup = await nestedEnded(options)
    expect(setup.nested.error).toMatchObject({ name })
    setup.end.open()
    await untilRest(setup)
    expect(setup.result.value).toBe('done')
    const sent = ['begin', 'before', 'savepoint s0', 'inside', 'rollback to s0', 'after', 'commit']
    expect(setup.driver.connection(1).sent).toEqual(sent)
    expect(getEventListeners(setup.abort.signal, 'abort')).toEqual([])
    expectNothingHeld(setup)
  })

  it('tells its body by the signal of its own context, and nobody else', async () => {
    const setup = await retryingAndRested()
    const told: unknown[] = []
    const result = watch(
      setup.pool.transaction(async (_, outer) => {
        const limited = setup.pool.transaction(
          (_, { signal, attempt }) =>
            setup.pool.transaction((_, inner) => {
              signal.addEventListener('abort', () => told.push([attempt, signal.reason, inner.signal.aborted]))
              return new Promise(() => {})
            }),
          { timeoutMs: 100 },
        )
        const error = await limited.catch((error: unknown) => error)
        expect(told).toEqual([[1, error, true]])
        return outer.signal.aborted
      }),
    )
    await turns()
    await setup.clock.advance(100)
    await untilRest(setup)
    expect(result.value).toBe(false)
  })

  it('stops its statement under way', async () => {
    const setup = await nestedEnded({ timeoutMs: 200 })
    expect(setup.nested.state).toBe('rejected')
    const other = await retryingAndRested()
    const connection = other.driver.connection(1)
    connection.next('statement', 'held')
    const result = watch(
      other.pool.transaction(async () => {
        const nested = other.pool.transaction((tx) => tx.connection.statement('slow'), { timeoutMs: 100 })
        return nested.catch((error: unknown) => error)
      }),
    )
    await turns()
    await other.clock.advance(100)
    await turns()
    expect(result.value).toMatchObject({ name: 'TransactionTimeoutError' })
    expect(connection.sent).toEqual(['begin', 'savepoint s0', 'slow', 'stop', 'rollback to s0', 'commit'])
  })

  it('is not retried: neither is the one around it', async () => {
    const setup = await retryingAndRested()
    let runs = 0
    const result = watch(
      setup.pool.transaction(() => {
        runs++
        return setup.pool.transaction(() => new Promise(() => {}), { timeoutMs: 100 })
      }),
    )
    await turns()
    await setup.clock.advance(100)
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'TransactionTimeoutError' })
    expect(runs).toBe(1)
  })

  it('that had joined takes the one around it with it, which says so', async () => {
    const setup = await nestedEnded({ timeoutMs: 100, signal: undefined, propagation: 'required' })
    expect(setup.nested.error).toMatchObject({ name: 'TransactionTimeoutError' })
    setup.end.open()
    await untilRest(setup)
    expect(setup.result.error).toMatchObject({
      name: 'TransactionAbortedError',
      cause: { name: 'TransactionTimeoutError' },
    })
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'before', 'inside', 'after', 'rollback'])
  })

  it('writes nothing more by its own handle', async () => {
    let late = watch(Promise.resolve())
    const setup = await retryingAndRested()
    const [goesOn, end] = [gate(), gate()]
    const result = watch(
      setup.pool.transaction(async () => {
        const nested = setup.pool.transaction(
          async (tx) => {
            await goesOn.opened
            late = watch((async () => tx.connection.statement('late'))())
          },
          { timeoutMs: 100 },
        )
        await nested.catch(() => {})
        await end.opened
      }),
    )
    await turns()
    await setup.clock.advance(100)
    goesOn.open()
    await turns()
    end.open()
    await untilRest(setup)
    expect(late.error).toMatchObject({ name: 'TransactionEndedError' })
    expect(result.state).toBe('resolved')
  })

  it('writes nothing more by what it joins either, which would stay', async () => {
    const setup = await nestedEnded({}, ({ pool }) => pool.joinable?.scope.connection.statement('late'))
    setup.goesOn.open()
    await turns()
    setup.end.open()
    await untilRest(setup)
    expect(setup.result.value).toBe('done')
    expect(setup.driver.connection(1).sent).not.toContain('late')
  })

  it('while it waits for the end of another one is told at once', async () => {
    const setup = await retryingAndRested()
    const [first, end] = [gate(), gate()]
    let second: Watched<unknown> = watch(Promise.resolve())
    const result = watch(
      setup.pool.transaction(async () => {
        const nested = setup.pool.transaction(() => first.opened)
        second = watch(setup.pool.transaction(() => {}, { timeoutMs: 100 }))
        await nested
        await end.opened
      }),
    )
    await turns()
    await setup.clock.advance(100)
    await turns()
    const { state } = second
    first.open()
    await turns()
    end.open()
    await untilRest(setup)
    expect(result.state).toBe('resolved')
    expect(state).toBe('rejected')
  })

  it('by a signal that has fired before it was asked for does not wait for the end of another one', async () => {
    const setup = await retryingAndRested()
    const first = gate()
    let second: Watched<unknown> = watch(Promise.resolve())
    const result = watch(
      setup.pool.transaction(async () => {
        const nested = setup.pool.transaction(() => first.opened)
        second = watch(setup.pool.transaction(() => {}, { signal: AbortSignal.abort() }))
        await nested
        return 'done'
      }),
    )
    await turns()
    expect(second.error).toMatchObject({ name: 'TransactionCancelledError' })
    first.open()
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'savepoint s0', 'release s0', 'commit'])
  })
})

describe('a nested transaction that holds another one when its limits end it', () => {
  it.each([
    ['ends', () => {}],
    ['fails', () => Promise.reject(new StatementError('no'))],
  ] as const)('takes that with it, and nothing more comes of it when that %s', async (_, settle) => {
    const setup = await retryingAndRested()
    const [goesOn, end] = [gate(), gate()]
    const result = watch(
      setup.pool.transaction(async (tx) => {
        const nested = setup.pool.transaction(
          () =>
            setup.pool.transaction(async () => {
              await goesOn.opened
              await settle()
            }),
          { timeoutMs: 100 },
        )
        await nested.catch(() => {})
        await end.opened
        await tx.connection.statement('after')
        return 'done'
      }),
    )
    await turns()
    await setup.clock.advance(100)
    goesOn.open()
    await turns()
    end.open()
    await untilRest(setup)
    const sent = ['begin', 'savepoint s0', 'savepoint s1', 'rollback to s0', 'after', 'commit']
    expect(setup.driver.connection(1).sent).toEqual(sent)
    expect(result.value).toBe('done')
  })
})

describe('the limits of the one around it', () => {
  it('end a nested one as well', async () => {
    const setup = await retryingAndRested()
    let inner: Watched<unknown> = watch(Promise.resolve())
    const goesOn = gate()
    const result = watch(
      setup.pool.transaction(
        async () => {
          inner = watch(setup.pool.transaction(() => goesOn.opened))
          await goesOn.opened
        },
        { timeoutMs: 100 },
      ),
    )
    await turns()
    await setup.clock.advance(100)
    await turns()
    expect(result.error).toMatchObject({ name: 'TransactionTimeoutError' })
    goesOn.open()
    await untilRest(setup)
    expect(inner.error).toMatchObject({ name: 'TransactionEndedError' })
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'savepoint s0', 'rollback'])
    expectNothingHeld(setup)
  })
})
