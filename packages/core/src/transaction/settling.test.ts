// A body that goes on when its connection is gone: waited for, but not for ever; told, and kept from writing anything more.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, StatementError } from '../errors.js'
import { afterCommit, type TransactionContext } from '../scope.js'
import { deadlock, lostConnection } from '../testing/failures.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { type Gate, gate } from '../testing/gate.js'
import { expectNothingHeld, retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { type Watched, watch } from '../testing/watch.js'
import type { TransactionScope } from './transaction.js'

type Setup = Awaited<ReturnType<typeof retryingAndRested>>

interface Going extends Setup {
  readonly result: Watched<number>
  /** The first run goes on until this is opened. */
  readonly goesOn: Gate
  readonly runs: number[]
}

/** Its first run has lost its connection, and goes on. */
async function goingOn(
  settle: (tx: TransactionScope<FakeConnection>, context: TransactionContext) => unknown = () => {},
  parts: Parameters<typeof retryingAndRested>[0] = {},
): Promise<Going> {
  const setup = await retryingAndRested(parts)
  const goesOn = gate()
  const runs: number[] = []
  const result = watch(
    setup.pool.transaction(async (tx, context) => {
      runs.push(context.attempt)
      if (context.attempt > 1) return context.attempt
      const { connection } = tx
      await goesOn.opened
      await settle(tx, context)
      return connection.id
    }),
  )
  await turns()
  setup.driver.connection(1).lose(lostConnection())
  await turns()
  return { ...setup, result, goesOn, runs }
}

describe('a body whose connection was lost', () => {
  it('is waited for before it is run again', async () => {
    const setup = await goingOn()
    await setup.clock.advance(9_999)
    expect(setup.runs).toEqual([1])
    setup.goesOn.open()
    await turns()
    expect(setup.runs).toEqual([1])
    await setup.clock.advance(10)
    await turns()
    expect(setup.result.value).toBe(2)
    await untilRest(setup)
    expectNothingHeld(setup)
  })

  it('is told by its signal, at once, why', async () => {
    const signals: AbortSignal[] = []
    const setup = await retryingAndRested()
    const goesOn = gate()
    watch(
      setup.pool.transaction(async (_, { attempt, signal }) => {
        signals.push(signal)
        if (attempt === 1) await goesOn.opened
      }),
    )
    await turns()
    expect(signals[0]?.aborted).toBe(false)
    const reason = lostConnection()
    setup.driver.connection(1).lose(reason)
    expect(signals[0]?.aborted).toBe(true)
    expect(signals[0]?.reason).toBe(reason)
    goesOn.open()
    await untilRest(setup)
    // The next attempt's signal is its own.
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
  })

  it('is told by a signal it asks for only then', async () => {
    let signal: AbortSignal | undefined
    const setup = await goingOn((_, context) => {
      signal = context.signal
    })
    setup.goesOn.open()
    await untilRest(setup)
    expect(signal?.aborted).toBe(true)
    expect(signal?.reason).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
  })

  it('writes nothing more, neither by its handle nor in a savepoint nor by what it joins', async () => {
    const errors: unknown[] = []
    const setup = await goingOn(async (tx) => {
      const uses = [
        () => tx.connection.statement('late'),
        () => tx.savepoint(({ connection }) => connection.statement('late')),
        () => setup.pool.joinable?.scope.connection.statement('late'),
        () => setup.pool.transaction(({ connection }) => connection.statement('late')),
      ]
      for (const use of uses) {
        try {
          await use()
          errors.push(undefined)
        } catch (error) {
          errors.push(error)
        }
      }
    })
    setup.goesOn.open()
    await untilRest(setup)
    expect(errors).toHaveLength(4)
    for (const error of errors) expect(error).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
    expect(setup.driver.connections.flatMap(({ sent }) => sent)).not.toContain('late')
    expect(setup.result.value).toBe(2)
  })

  it.each([
    ['a value', () => {}],
    ['an error of its own', () => Promise.reject(new Error('gave up'))],
    ['what its next statement failed with', (tx: TransactionScope<FakeConnection>) => tx.connection.statement()],
  ] as const)('and that ends with %s is run again', async (_, settle) => {
    const setup = await goingOn(settle)
    setup.goesOn.open()
    await untilRest(setup)
    expect(setup.result.value).toBe(2)
    expect(setup.pool.stats().transactions.retries).toEqual({ conflict: 0, lost: 1, stale: 0 })
  })

  it('and that does not end in time is not run again, and the caller hears why', async () => {
    const setup = await goingOn(() => {}, { transaction: { settleTimeoutMs: 500 } })
    await setup.clock.advance(499)
    expect(setup.result.state).toBe('pending')
    await setup.clock.advance(1)
    expect(setup.result.error).toBeInstanceOf(ConnectionLostError)
    expect(setup.result.error).toMatchObject({ code: '57P01', retry: 'never', cause: { code: '57P01' } })
    expect(String(setup.result.error)).toContain('500 ms')
    setup.goesOn.open()
    await untilRest(setup)
    expect(setup.runs).toEqual([1])
    expectNothingHeld(setup)
    expect(setup.pool.stats().transactions).toMatchObject({ rolledBack: 1, retries: { lost: 0 } })
  })

  it('and that does not end in time is not run again either when a statement of it had failed by then', async () => {
    const setup = await retryingAndRested({ transaction: { settleTimeoutMs: 500 } })
    const runs: number[] = []
    const result = watch(
      setup.pool.transaction(async (tx, { attempt }) => {
        runs.push(attempt)
        tx.connection.next('statement', 'held')
        // As an ORM notes it, while the application goes on with something else.
        await tx.connection.statement().catch((error: unknown) => tx.noteError(error))
        await new Promise(() => {})
      }),
    )
    await turns()
    setup.driver.connection(1).lose(lostConnection())
    await setup.clock.advance(5_000)
    expect(runs).toEqual([1])
    expect(result.error).toMatchObject({ name: 'ConnectionLostError', retry: 'never' })
  })

  it('in a nested one is waited for as well', async () => {
    const setup = await retryingAndRested()
    const goesOn = gate()
    const runs: number[] = []
    const result = watch(
      setup.pool.transaction((_, { attempt }) =>
        setup.pool.transaction(async () => {
          runs.push(attempt)
          if (attempt === 1) await goesOn.opened
          return attempt
        }),
      ),
    )
    await turns()
    setup.driver.connection(1).lose(lostConnection())
    await setup.clock.advance(5_000)
    expect(runs).toEqual([1])
    goesOn.open()
    await untilRest(setup)
    expect(result.value).toBe(2)
  })

  it('between its BEGIN and its first step has nothing to do: it is begun with another one', async () => {
    const setup = await retryingAndRested()
    const connection = setup.driver.connection(1)
    const begin = connection.begin.bind(connection)
    connection.begin = async (settings) => {
      await begin(settings)
      connection.lose(lostConnection())
    }
    const runs: unknown[] = []
    const result = watch(
      setup.pool.transaction(({ connection: { id } }, { attempt, signal }) => {
        runs.push([id, attempt, signal.aborted])
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
    expect(runs).toEqual([[2, 2, false]])
  })
})

describe('a body that has not settled although it need not be waited for', () => {
  it('keeps no later transaction from its own connection', async () => {
    const setup = await goingOn(() => {}, { pool: { max: 1, overflow: 0 }, transaction: { settleTimeoutMs: 500 } })
    await setup.clock.advance(500)
    expect(setup.result.state).toBe('rejected')
    const next = watch(setup.pool.transaction(({ connection }) => connection.id))
    await untilRest(setup)
    expect(next.value).toBe(2)
    setup.goesOn.open()
    await untilRest(setup)
    expect(setup.driver.connection(2).sent).toEqual(['begin', 'commit'])
  })

  it('does not write outside of the transaction instead, nor do what was to be done after COMMIT', async () => {
    const joinable: unknown[] = []
    let mailed = false
    const setup = await goingOn(
      async () => {
        joinable.push(setup.pool.joinable)
        await afterCommit(() => {
          mailed = true
        }).catch(() => {})
      },
      { transaction: { settleTimeoutMs: 500 } },
    )
    await setup.clock.advance(500)
    expect(setup.result.state).toBe('rejected')
    setup.goesOn.open()
    await untilRest(setup)
    // Undefined: a query on the root database would run, and stay, by itself.
    expect(joinable).toEqual([expect.anything()])
    expect(mailed).toBe(false)
  })
})

describe('a body whose transaction failed otherwise', () => {
  it('was over by then: its signal never fires', async () => {
    for (const fate of [deadlock(), new StatementError('no')]) {
      const setup = await retryingAndRested()
      const signals: AbortSignal[] = []
      watch(
        setup.pool.transaction((_, { attempt, signal }) => {
          signals.push(signal)
          if (attempt === 1) throw fate
        }),
      )
      await untilRest(setup)
      await setup.pool.close()
      expect(signals.map(({ aborted }) => aborted)).not.toContain(true)
    }
  })
})
