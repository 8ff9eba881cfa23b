// Attempts of one transaction: each on a connection and in a transaction of its own, none before the one before it is over.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, StatementError } from '../errors.js'
import type { TransactionContext } from '../scope.js'
import { deadlock, readOnly, serialization } from '../testing/failures.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { ask, counts, empty, takeOne } from '../testing/fixture.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { expectNothingHeld, retrying, retryingAndRested, Script, turns, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import type { TransactionScope } from './transaction.js'

const one = { max: 1, overflow: 0 } as const

describe('each attempt', () => {
  it('begins anew: BEGIN with the same settings, and the whole body', async () => {
    const setup = retrying({ pool: one })
    const result = watch(setup.pool.transaction(new Script(deadlock()).body, { isolationLevel: 'serializable' }))
    await untilRest(setup)
    expect(result.value).toBe('done')
    const begin = 'begin isolation level serializable'
    expect(setup.driver.connection(1).sent).toEqual([begin, 'write', 'rollback', begin, 'write', 'commit'])
  })

  it('is told its number, and given a handle of its own', async () => {
    const setup = retrying()
    const handles = new Set<TransactionScope<FakeConnection>>()
    const contexts = new Set<TransactionContext>()
    const result = watch(
      setup.pool.transaction((tx, context) => {
        handles.add(tx)
        contexts.add(context)
        if (context.attempt < 3) throw deadlock()
        return context.attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(3)
    expect(handles.size).toBe(3)
    expect(contexts.size).toBe(3)
  })

  it('has another connection when its own was lost', async () => {
    const setup = await retryingAndRested()
    const script = new Script('lose', 'lose')
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(script.runs.map(({ id }) => id)).toEqual([1, 2, 3])
    expectNothingHeld(setup)
  })

  it('holds nothing in the pause before it: whoever waits is served', async () => {
    const setup = retrying({ pool: one })
    const result = watch(setup.pool.transaction(new Script(deadlock()).body))
    await settled()
    expect(counts(setup.pool)).toEqual({ ...empty, idle: 1 })
    const lease = await takeOne(setup.pool)
    await setup.clock.advance(10)
    expect(result.state).toBe('pending')
    expect(counts(setup.pool)).toMatchObject({ leased: 1, waiting: 1 })
    lease.release()
    await untilRest(setup)
    expect(result.value).toBe('done')
  })

  it('comes after the roll-back of the one before it has been answered', async () => {
    const setup = retrying()
    const script = new Script(deadlock())
    setup.driver.always('rollback', 'held')
    watch(setup.pool.transaction(script.body))
    await setup.clock.advance(1_000)
    expect(script.runs).toHaveLength(1)
    setup.driver.connection(1).held('rollback').ok()
    await setup.clock.advance(10)
    expect(script.runs).toHaveLength(2)
  })

  it('comes although the roll-back of the one before it failed: its connection is gone, and what it did with it', async () => {
    const setup = retrying()
    const error = deadlock()
    const script = new Script(error)
    setup.driver.always('rollback', new StatementError('no such luck'))
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(script.runs.map(({ id }) => id)).toEqual([1, 2])
    expect(setup.driver.connection(1).ended).toBe('destroyed')
    expect(error).toHaveProperty('rollbackError.message', 'no such luck')
    expect(setup.pool.stats().transactions.rollbacks).toEqual({ cancelled: 0, destroyed: 1 })
  })

  it('leaves nothing behind in the pool, however it ends', async () => {
    for (const fates of [
      [],
      [deadlock()],
      ['lose'],
      [new Error('no')],
      [deadlock(), 'lose', serialization()],
    ] as const) {
      const setup = await retryingAndRested({ pool: { max: 2 } })
      watch(setup.pool.transaction(new Script(...fates).body))
      await untilRest(setup)
      expectNothingHeld(setup)
      await setup.pool.close()
      await expectNothingLeft(setup)
    }
  })
})

describe('a connection that is lost', () => {
  it('at BEGIN is a reason to try again', async () => {
    const setup = await retryingAndRested()
    setup.driver.connection(1).next('begin', 'held')
    const script = new Script()
    const result = watch(setup.pool.transaction(script.body))
    await turns()
    setup.driver.connection(1).lose()
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(script.runs).toEqual([{ attempt: 2, id: 2 }])
    expectNothingHeld(setup)
  })

  it('unnoticed by the body is found at COMMIT, which is not sent, and the body run again', async () => {
    const setup = await retryingAndRested()
    const result = watch(
      setup.pool.transaction(({ connection }, { attempt }) => {
        if (attempt === 1) connection.lose()
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
    expect(setup.driver.connection(1).sent).toEqual(['begin'])
  })

  it('is the reason, whatever the body makes of it', async () => {
    for (const made of [new Error('could not place the order'), 'a string', undefined]) {
      const setup = await retryingAndRested()
      const result = watch(
        setup.pool.transaction(({ connection }, { attempt }) => {
          if (attempt > 1) return 'done'
          connection.lose()
          throw made
        }),
      )
      await untilRest(setup)
      expect(result.value).toBe('done')
    }
  })

  it('for having been idle for too long is no reason: the body would take as long again', async () => {
    const setup = await retryingAndRested()
    const result = watch(
      setup.pool.transaction(async ({ connection }) => {
        connection.lose(new ConnectionLostError('terminating connection due to idle timeout', { code: '25P03' }))
      }),
    )
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'ConnectionLostError', code: '25P03' })
  })
})

describe('a body', () => {
  it('that swallows a conflict is run again: COMMIT is answered by ROLLBACK', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction(async (tx, { attempt }) => {
        const { connection } = tx
        if (attempt === 1) connection.next('statement', deadlock())
        await connection.statement().catch((error: unknown) => tx.noteError(error))
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
  })

  it('that swallows a conflict and throws something else is run again', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction((tx, { attempt }) => {
        if (attempt > 1) return attempt
        tx.noteError(serialization())
        throw new Error('could not place the order')
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
  })

  it('that dealt with a conflict in a savepoint is not', async () => {
    const setup = retrying()
    const thrown = new Error('out of stock')
    const result = watch(
      setup.pool.transaction(async (tx) => {
        const nested = tx.savepoint(() => {
          tx.noteError(deadlock())
          throw new Error('not this way')
        })
        await nested.catch(() => {})
        throw thrown
      }),
    )
    await untilRest(setup)
    expect(result.error).toBe(thrown)
  })

  it('that wraps a conflict is run again, also from inside of nested ones, and as a whole', async () => {
    const setup = retrying({ pool: one })
    let inner = 0
    const result = watch(
      setup.pool.transaction((_, { attempt }) =>
        setup.pool.transaction(() =>
          setup.pool.transaction(() => {
            inner++
            if (attempt === 1) throw new Error('could not place the order', { cause: deadlock() })
            return attempt
          }),
        ),
      ),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
    expect(inner).toBe(2)
    const nested = ['begin', 'savepoint s0', 'savepoint s1']
    const sent = [...nested, 'rollback to s1', 'rollback to s0', 'rollback', ...nested]
    expect(setup.driver.connection(1).sent).toEqual([...sent, 'release s1', 'release s0', 'commit'])
  })

  it('refused at COMMIT for a conflict is run again', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction(({ connection }, { attempt }) => {
        if (attempt === 1) connection.next('commit', serialization())
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
    expect(setup.pool.stats().transactions).toMatchObject({ committed: 1, rolledBack: 1 })
  })
})

describe('a server turned read-only', () => {
  it('is left: its other connections are retired before the next attempt', async () => {
    const setup = await retryingAndRested()
    const others = await Promise.all((await ask(setup.pool, 3)).map(({ value }) => value))
    for (const lease of others) lease.release()
    const script = new Script(readOnly())
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    const [first, second] = script.runs
    expect(first?.id).toBeLessThanOrEqual(3)
    expect(second?.id).toBe(4)
    expect(setup.driver.open.map(({ id }) => id)).toEqual([4])
  })

  it('is left also when the application had swallowed that', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction((tx, { attempt }) => {
        if (attempt === 1) {
          tx.noteError(readOnly())
          throw new Error('could not place the order')
        }
        return tx.connection.id
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
  })

  it('is left even when the transaction is not run again', async () => {
    const setup = retrying()
    watch(setup.pool.transaction(new Script(readOnly()).body, { retry: false }))
    await untilRest(setup)
    expect(setup.driver.open).toEqual([])
  })
})

describe('a connection that cannot be had', () => {
  it('for another attempt ends the transaction with that', async () => {
    const setup = retrying({ pool: { ...one, acquireTimeoutMs: 100 } })
    const result = watch(setup.pool.transaction(new Script(deadlock()).body))
    await settled()
    const lease = await takeOne(setup.pool)
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'AcquireTimeoutError', waitedMs: 100 })
    lease.release()
    expectNothingHeld(setup)
  })

  it('within its own acquireTimeoutMs is waited for no longer', async () => {
    const setup = retrying({ pool: one })
    await takeOne(setup.pool)
    const result = watch(setup.pool.transaction(() => {}, { acquireTimeoutMs: 50 }))
    await setup.clock.advance(49.9)
    expect(result.state).toBe('pending')
    await setup.clock.advance(0.1)
    expect(result.error).toMatchObject({ name: 'AcquireTimeoutError', waitedMs: 50 })
  })
})
