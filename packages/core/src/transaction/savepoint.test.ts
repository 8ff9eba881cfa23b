// Nested transactions: each is a savepoint of the one around it.

import { describe, expect, it } from '@jest/globals'
import { MooringsError, StatementError, TransactionAbortedError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { counts, empty } from '../testing/fixture.js'
import { rested } from '../testing/rested.js'
import { watch } from '../testing/watch.js'
import type { TransactionScope } from './transaction.js'

/** Three levels; the one at `depth`, if any, throws, and the one around it goes on. */
async function threeDeep(tx: TransactionScope<FakeConnection>, depth?: number): Promise<void> {
  const level = async (scope: TransactionScope<FakeConnection>, at: number): Promise<void> => {
    await scope.connection.statement(`write ${at}`)
    if (at < 3) {
      await scope
        .savepoint((inner) => level(inner, at + 1))
        .catch((error: unknown) => {
          if (depth !== at + 1) throw error
        })
      await scope.connection.statement(`after ${at + 1}`)
    }
    if (at === depth) throw new Error(`level ${at}`)
  }
  await level(tx, 0)
}

describe('a nested transaction', () => {
  it('is a savepoint, released when its body is done', async () => {
    const { pool, connection } = await rested()
    const result = await pool.transaction((tx) => tx.savepoint(() => 'inner'))
    expect(result).toBe('inner')
    expect(connection.sent).toEqual(['begin', 'savepoint s0', 'release s0', 'commit'])
  })

  it('carries its label in the savepoint name', async () => {
    const { pool, connection } = await rested()
    await pool.transaction((tx) => tx.savepoint(() => {}, 'stock'))
    expect(connection.sent).toContain('savepoint s0_stock')
  })

  it('that throws is undone alone, and its caller gets what was thrown', async () => {
    const { pool, connection } = await rested()
    const thrown = new Error('out of stock')
    await pool.transaction(async (tx) => {
      const inner = watch(
        tx.savepoint(() => {
          throw thrown
        }),
      )
      await settled()
      expect(inner.error).toBe(thrown)
      await tx.connection.statement('go on')
    })
    expect(connection.sent).toEqual(['begin', 'savepoint s0', 'rollback to s0', 'go on', 'commit'])
  })

  it('three deep commits as one', async () => {
    const { pool, connection } = await rested()
    await pool.transaction((tx) => threeDeep(tx))
    expect(connection.sent).toEqual([
      ...['begin', 'write 0', 'savepoint s0', 'write 1', 'savepoint s1', 'write 2', 'savepoint s2', 'write 3'],
      ...['release s2', 'after 3', 'release s1', 'after 2', 'release s0', 'after 1', 'commit'],
    ])
  })

  it.each([
    [1, ['release s2', 'after 3', 'release s1', 'after 2', 'rollback to s0', 'after 1', 'commit']],
    [2, ['release s2', 'after 3', 'rollback to s1', 'after 2', 'release s0', 'after 1', 'commit']],
    [3, ['rollback to s2', 'after 3', 'release s1', 'after 2', 'release s0', 'after 1', 'commit']],
  ])('rolled back at depth %d leaves the levels around it', async (depth, rest) => {
    const { pool, connection } = await rested()
    await pool.transaction((tx) => threeDeep(tx, depth))
    expect(connection.sent.slice(8)).toEqual(rest)
  })

  it('whose error is not caught takes every level with it', async () => {
    const { pool, connection } = await rested()
    const thrown = new Error('at the bottom')
    const failed = watch(
      pool.transaction((tx) =>
        tx.savepoint((scope) =>
          scope.savepoint(() => {
            throw thrown
          }),
        ),
      ),
    )
    await settled()
    expect(failed.error).toBe(thrown)
    expect(connection.sent.slice(3)).toEqual(['rollback to s1', 'rollback to s0', 'rollback'])
  })

  it('one after the other has a name of its own', async () => {
    const { pool, connection } = await rested()
    await pool.transaction(async (tx) => {
      await tx.savepoint(() => {})
      await tx.savepoint(() => {})
    })
    expect(connection.sent).toEqual(['begin', 'savepoint s0', 'release s0', 'savepoint s1', 'release s1', 'commit'])
  })

  it('undone after a failed statement heals the transaction: COMMIT counts', async () => {
    const { pool, connection } = await rested()
    connection.next('statement', new StatementError('duplicate key', { code: '23505' }))
    await pool.transaction(async (tx) => {
      const inner = watch(
        tx.savepoint(async ({ connection }) => {
          try {
            await connection.statement('insert')
          } catch (error) {
            tx.noteError(error)
            throw error
          }
        }),
      )
      await settled()
      expect(inner.error).toMatchObject({ code: '23505' })
      tx.assertSound()
      await tx.connection.statement('insert other')
    })
    expect(connection.sent.slice(-3)).toEqual(['rollback to s0', 'insert other', 'commit'])
  })

  it('undone does not heal a failure from before it', async () => {
    const { pool } = await rested()
    const first = new StatementError('first')
    const failed = watch(
      pool.transaction(async (tx) => {
        tx.noteError(first)
        await tx.savepoint(() => Promise.reject(new Error('inner'))).catch(() => {})
        tx.assertSound()
      }),
    )
    await settled()
    expect(failed.error).toBeInstanceOf(TransactionAbortedError)
    expect(failed.error).toMatchObject({ cause: first })
  })

  it('that swallowed a failed statement is undone, and says so, and the transaction goes on', async () => {
    const { pool, connection } = await rested()
    const first = new StatementError('duplicate key', { code: '23505' })
    connection.next('statement', first)
    await pool.transaction(async (tx) => {
      const inner = watch(
        tx.savepoint(async ({ connection }) => {
          await connection.statement('insert').catch((error: unknown) => tx.noteError(error))
          return 'looks fine'
        }),
      )
      await settled()
      expect(inner.state).toBe('rejected')
      expect(connection.sent).toContain('rollback to s0')
      expect(connection.transactionStatus).toBe('open')
      await tx.connection.statement('go on')
    })
    expect(connection.sent.slice(-2)).toEqual(['go on', 'commit'])
  })

  it('that was undone does not fail the transaction by what is told to have failed in it afterwards', async () => {
    const { pool, connection } = await rested()
    const result = await pool.transaction(async (tx) => {
      let note: typeof tx.noteError | undefined
      const undone = tx.savepoint(({ noteError }) => {
        note = noteError
        throw new Error('out of stock')
      })
      await undone.catch(() => {})
      note?.(new StatementError('left running'))
      tx.assertSound()
      return 'done'
    })
    expect(result).toBe('done')
    expect(connection.sent.at(-1)).toBe('commit')
  })

  it('whose SAVEPOINT is refused never runs its body', async () => {
    const { pool, connection } = await rested()
    connection.next('savepoint', new StatementError('too many'))
    let ran = false
    const failed = watch(
      pool.transaction((tx) =>
        tx.savepoint(() => {
          ran = true
        }),
      ),
    )
    await settled()
    expect(failed.error).toMatchObject({ message: 'too many' })
    expect(ran).toBe(false)
    expect(connection.sent).toEqual(['begin', 'savepoint s0', 'rollback'])
  })
})

describe('when ROLLBACK TO fails', () => {
  it('the caller gets what was thrown, the failure attached, and the transaction does not commit', async () => {
    const { pool, connection } = await rested()
    const thrown = new Error('out of stock')
    connection.next('rollbackTo', new StatementError('no such savepoint', { code: '3B001' }))
    const failed = watch(
      pool.transaction(async (tx) => {
        const inner = watch(
          tx.savepoint(() => {
            throw thrown
          }),
        )
        await settled()
        expect(inner.error).toBe(thrown)
        expect(thrown).toMatchObject({ rollbackError: { code: '3B001' } })
        expect(Object.keys(thrown)).toEqual([])
      }),
    )
    await settled()
    await settled()
    expect(failed.error).toBeInstanceOf(MooringsError)
    expect(counts(pool)).toMatchObject({ leased: 0, waiting: 0 })
  })

  it('because the connection was lost in the body, nothing is sent and what was thrown is the error', async () => {
    const { pool, connection } = await rested()
    const thrown = new Error('noticed by the application')
    const failed = watch(
      pool.transaction((tx) =>
        tx.savepoint(() => {
          connection.lose()
          throw thrown
        }),
      ),
    )
    await settled()
    expect(failed.error).toBe(thrown)
    expect(connection.sent).toEqual(['begin', 'savepoint s0'])
  })

  it('because it hangs, the wait is bounded as that for ROLLBACK is', async () => {
    const { pool, connection, clock } = await rested()
    const thrown = new Error('out of stock')
    connection.next('rollbackTo', 'held')
    const failed = watch(
      pool.transaction((tx) =>
        tx.savepoint(() => {
          throw thrown
        }),
      ),
    )
    await clock.advance(20_000)
    expect(failed.error).toBe(thrown)
    expect(connection.open).toBe(false)
    expect(counts(pool)).toEqual(empty)
  })
})
