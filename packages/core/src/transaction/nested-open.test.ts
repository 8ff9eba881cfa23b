// What is around a nested transaction while that is open, and when it ends first.

import { describe, expect, it } from '@jest/globals'
import { NestedTransactionOpenError, StatementError } from '../errors.js'
import { deadlock } from '../testing/failures.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { gate } from '../testing/gate.js'
import { no } from '../testing/noting.js'
import { expectNothingHeld, retrying, retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { type Watched, watch } from '../testing/watch.js'
import type { TransactionScope } from './transaction.js'

describe('a nested transaction whose connection goes before its SAVEPOINT is sent', () => {
  it('is not in the way of anything: the whole is run again', async () => {
    const setup = await retryingAndRested()
    const result = watch(
      setup.pool.transaction(async (tx, { attempt }) => {
        const { connection } = tx
        const nested = tx.savepoint(() => {})
        if (attempt === 1) connection.lose()
        await nested.catch(() => {})
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
  })
})

describe('a nested transaction whose outermost ends in the moment it is asked for', () => {
  it('sends nothing behind the roll-back', async () => {
    const setup = await retryingAndRested()
    const abort = new AbortController()
    let nested: Watched<unknown> = watch(Promise.resolve())
    const result = watch(
      setup.pool.transaction(
        async (tx) => {
          nested = watch(tx.savepoint(() => {}))
          abort.abort()
          await new Promise(() => {})
        },
        { signal: abort.signal },
      ),
    )
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'TransactionCancelledError' })
    expect(nested.error).toMatchObject({ name: 'TransactionEndedError' })
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'savepoint s0', 'rollback'])
  })
})

describe('one that is around a nested transaction', () => {
  it('is refused every use meanwhile, on every level, and sends nothing', async () => {
    const { pool, driver } = retrying()
    await pool.transaction((tx) =>
      tx.savepoint((outer) =>
        outer.savepoint(async (inner) => {
          const { length } = driver.connection(1).sent
          for (const scope of [tx, outer]) expect(() => scope.connection).toThrow(NestedTransactionOpenError)
          expect(driver.connection(1).sent).toHaveLength(length)
          await inner.connection.statement('write')
        }),
      ),
    )
    expect(driver.connection(1).sent).toContain('write')
  })

  it('is refused another nested one from within that, on every level, and at once: it would wait for itself', async () => {
    const { pool, driver } = retrying()
    await pool.transaction((tx) =>
      tx.savepoint((outer) =>
        outer.savepoint(async (inner) => {
          for (const scope of [tx, outer]) {
            await expect(scope.savepoint(() => {})).rejects.toBeInstanceOf(NestedTransactionOpenError)
          }
          await inner.savepoint(() => {})
        }),
      ),
    )
    expect(driver.connection(1).sent).toEqual([
      ...['begin', 'savepoint s0', 'savepoint s1', 'savepoint s2'],
      ...['release s2', 'release s1', 'release s0', 'commit'],
    ])
  })

  it('takes one that is asked for beside it in turn, also from a call chain that is in neither', async () => {
    const { pool, driver } = retrying()
    const begun = gate()
    const asked = gate()
    let beside: Watched<unknown> = watch(Promise.resolve())
    let scope: TransactionScope<FakeConnection> | undefined
    const stranger = begun.opened.then(() => {
      beside = watch(scope?.savepoint(() => {}) ?? Promise.reject(new Error('there is none')))
      asked.open()
    })
    await pool.transaction(async (tx) => {
      scope = tx
      await tx.savepoint(async () => {
        begun.open()
        await asked.opened
        await turns()
        expect(beside.state).toBe('pending')
      })
      await stranger
      while (beside.state === 'pending') await turns(1)
    })
    expect(beside.state).toBe('resolved')
    expect(driver.connection(1).sent).toEqual([
      ...['begin', 'savepoint s0', 'release s0'],
      ...['savepoint s1', 'release s1', 'commit'],
    ])
  })

  it('can be used again after it, whichever way that ended', async () => {
    const { pool, driver } = retrying()
    await pool.transaction(async (tx) => {
      await tx.savepoint(() => {})
      await tx.connection.statement('one')
      await tx.savepoint(no).catch(() => {})
      await tx.connection.statement('two')
    })
    expect(driver.connection(1).sent.filter((text) => /one|two/.test(text))).toEqual(['one', 'two'])
  })

  it('can be used again after a SAVEPOINT that was refused', async () => {
    const { pool, driver } = retrying()
    let ran = false
    await pool
      .transaction(async (tx) => {
        tx.connection.next('savepoint', new StatementError('too many subtransactions'))
        const nested = tx.savepoint(() => {
          ran = true
        })
        await expect(nested).rejects.toMatchObject({ message: 'too many subtransactions' })
        expect(() => tx.connection).not.toThrow()
        throw new Error('the server has aborted it')
      })
      .catch(() => {})
    expect(ran).toBe(false)
    expect(driver.connection(1).sent.at(-1)).toBe('rollback')
  })

  it('is rolled back when its body ends before that, and is not run again for it', async () => {
    const setup = await retryingAndRested()
    const goesOn = gate()
    let runs = 0
    let orphan: Watched<unknown> = watch(Promise.resolve())
    const result = watch(
      setup.pool.transaction(async (tx) => {
        runs++
        orphan = watch(tx.savepoint(() => goesOn.opened.then(() => Promise.reject(deadlock()))))
        await turns()
      }),
    )
    await turns(20)
    expect(result.error).toBeInstanceOf(NestedTransactionOpenError)
    goesOn.open()
    await untilRest(setup)
    expect(runs).toBe(1)
    expect(orphan.state).toBe('rejected')
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'savepoint s0', 'rollback'])
    expectNothingHeld(setup)
  })
})

describe('a nested one whose body ends before another in it', () => {
  it.each([
    ['ends', () => {}],
    ['fails', no],
  ] as const)('is undone with that, and the rest goes on whatever comes of it when it %s', async (_, settle) => {
    const { pool, driver } = retrying()
    const goesOn = gate()
    const result = watch(
      pool.transaction(async (tx) => {
        const nested = tx.savepoint(async (scope) => {
          watch(scope.savepoint(() => goesOn.opened.then(settle)))
          await turns()
        })
        await expect(nested).rejects.toBeInstanceOf(NestedTransactionOpenError)
        goesOn.open()
        await turns()
        await tx.connection.statement('after')
        return 'done'
      }),
    )
    await turns(30)
    expect(driver.connection(1).sent).toEqual([
      ...['begin', 'savepoint s0', 'savepoint s1', 'rollback to s0'],
      ...['after', 'commit'],
    ])
    expect(result.value).toBe('done')
  })
})
