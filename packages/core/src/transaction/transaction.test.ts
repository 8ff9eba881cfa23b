// A transaction from BEGIN to its end: who gets which error, and what is sent.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, StatementError, TransactionAbortedError, TransactionEndedError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, takeOne } from '../testing/fixture.js'
import { machine } from '../testing/machine.js'
import { rested } from '../testing/rested.js'
import { watch } from '../testing/watch.js'
import { Transaction } from './transaction.js'

describe('a transaction', () => {
  it('commits when its body is done, returns what it returned, and gives the connection back', async () => {
    const { pool, connection } = await rested()
    const result = await pool.transaction(async (tx) => {
      await tx.connection.statement('insert')
      expect(machine(tx).state).toBe('open')
      return 42
    })
    expect(result).toBe(42)
    expect(connection.sent).toEqual(['begin', 'insert', 'commit'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('takes its settings to BEGIN', async () => {
    const { pool, connection } = await rested()
    await pool.transaction(() => {}, { isolationLevel: 'serializable' })
    expect(connection.sent).toEqual(['begin isolation level serializable', 'commit'])
  })

  it('rolls back when its body throws, and the caller gets exactly what was thrown', async () => {
    const { pool, connection } = await rested()
    const thrown = new Error('out of stock')
    const failed = watch(
      pool.transaction(async (tx) => {
        await tx.connection.statement('insert')
        throw thrown
      }),
    )
    await settled()
    expect(failed.error).toBe(thrown)
    expect(thrown).not.toHaveProperty('rollbackError')
    expect(connection.sent).toEqual(['begin', 'insert', 'rollback'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('rolls back a body that throws before its first await, or throws no Error at all', async () => {
    const { pool, connection } = await rested()
    const failed = watch(
      pool.transaction(() => {
        throw 'a string'
      }),
    )
    await settled()
    expect(failed.error).toBe('a string')
    expect(connection.sent).toEqual(['begin', 'rollback'])
  })

  it('that throws the server’s "transaction is aborted" gives the caller the first error, which says why', async () => {
    const { pool } = await rested()
    const first = new StatementError('division by zero', { code: '22012' })
    const refused = new TransactionAbortedError('current transaction is aborted', {
      code: '25P02',
      cause: Object.assign(new Error('as the driver has it'), { code: '25P02' }),
    })
    for (const [noted, expected] of [
      [first, first],
      [undefined, refused],
    ]) {
      const failed = watch(
        pool.transaction((tx) => {
          if (noted !== undefined) tx.noteError(noted)
          throw refused
        }),
      )
      await settled()
      expect(failed.error).toBe(expected)
    }
  })

  it('that throws what another transaction failed with is not given an error of its own instead', async () => {
    const { pool } = await rested()
    const other = new TransactionAbortedError('of a transaction on another connection', {
      code: '25P02',
      cause: new StatementError('its own first error', { code: '23505' }),
    })
    const failed = watch(
      pool.transaction((tx) => {
        tx.noteError(new StatementError('seen and dealt with'))
        throw other
      }),
    )
    await settled()
    expect(failed.error).toBe(other)
  })

  it('holds its connection until its end has been answered', async () => {
    const { pool, connection } = await rested()
    connection.next('commit', 'held')
    const done = watch(pool.transaction(() => {}))
    const [waiting] = await ask(pool, 1)
    expect(done.state).toBe('pending')
    expect(waiting?.state).toBe('pending')
    connection.held('commit').ok()
    await settled()
    expect(done.state).toBe('resolved')
    expect(waiting?.value.connection.id).toBe(1)
  })
})

describe('a transaction that has ended', () => {
  it.each(['committed', 'rolled-back'] as const)('(%s) rejects every use and sends nothing', async (end) => {
    const { pool, connection } = await rested()
    let kept: Transaction<typeof connection> | undefined
    const done = watch(
      pool.transaction((tx) => {
        kept = machine(tx)
        if (end === 'rolled-back') throw new Error('no')
      }),
    )
    await settled()
    expect(done.state).toBe(end === 'committed' ? 'resolved' : 'rejected')
    const tx = kept
    if (tx === undefined) throw new Error('the body did not run')
    // The connection belongs to somebody else by now.
    await takeOne(pool)
    const sent = [...connection.sent]
    expect(tx.state).toBe(end)
    expect(() => tx.connection).toThrow(TransactionEndedError)
    await expect(tx.commit()).rejects.toBeInstanceOf(TransactionEndedError)
    await expect(tx.savepoint(() => {})).rejects.toBeInstanceOf(TransactionEndedError)
    await expect(tx.rollback()).resolves.toBeUndefined()
    expect(connection.sent).toEqual(sent)
  })

  it('is so from the moment COMMIT or ROLLBACK is asked for', async () => {
    for (const end of ['commit', 'rollback'] as const) {
      const { pool, connection } = await rested()
      const lease = await takeOne(pool)
      const tx = await Transaction.begin(pool, lease)
      connection.next(end, 'held')
      const ended = watch<unknown>(tx[end]())
      expect(() => tx.connection).toThrow(TransactionEndedError)
      await expect(tx.savepoint(() => {})).rejects.toBeInstanceOf(TransactionEndedError)
      expect(connection.sent).toEqual(['begin', end])
      connection.held(end).ok()
      await settled()
      expect(ended.state).toBe('resolved')
    }
  })

  it('by its own rollback does not pretend to have committed', async () => {
    const { pool, connection } = await rested()
    const failed = watch(
      pool.transaction(async (tx) => {
        await machine(tx).rollback()
      }),
    )
    await settled()
    expect(failed.error).toBeInstanceOf(TransactionEndedError)
    expect(connection.sent).toEqual(['begin', 'rollback'])
  })

  it('asked twice to roll back sends ROLLBACK once', async () => {
    const { pool, connection } = await rested()
    const lease = await takeOne(pool)
    const tx = await Transaction.begin(pool, lease)
    await Promise.all([tx.rollback(), tx.rollback()])
    expect(connection.sent).toEqual(['begin', 'rollback'])
  })

  it('whose lease was released under it sends no ROLLBACK into what another borrower does', async () => {
    const { pool, connection } = await rested()
    const lease = await takeOne(pool)
    const tx = await Transaction.begin(pool, lease)
    lease.release()
    await settled()
    const next = await takeOne(pool)
    await next.connection.begin()
    await tx.rollback()
    expect(connection.transactionStatus).toBe('open')
    expect(connection.sent).toEqual(['begin', 'reset', 'begin'])
  })
})

describe('a transaction whose connection is lost in its body', () => {
  it('sends nothing more, and says why', async () => {
    const { pool, connection } = await rested()
    const seen: unknown[] = []
    const failed = watch(
      pool.transaction(async (tx) => {
        connection.lose(new ConnectionLostError('terminating connection', { code: '57P01' }))
        for (let use = 0; use < 2; use++) {
          try {
            await tx.connection.statement()
          } catch (error) {
            seen.push(error)
          }
        }
        throw seen[0]
      }),
    )
    await settled()
    expect(seen).toMatchObject([{ name: 'ConnectionLostError', code: '57P01' }, { code: '57P01' }])
    expect(failed.error).toBe(seen[0])
    expect(connection.sent).toEqual(['begin'])
    const again = await pool.transaction((tx) => tx.connection.id)
    expect(again).toBe(2)
  })
})

describe('assertSound', () => {
  it('throws the first error that was noted, and nothing while there is none', async () => {
    const { pool } = await rested()
    await pool.transaction((tx) => {
      tx.assertSound()
      const first = new Error('first')
      tx.noteError(first)
      tx.noteError(new Error('second'))
      expect(() => tx.assertSound()).toThrow(TransactionAbortedError)
      expect(() => tx.assertSound()).toThrow(expect.objectContaining({ cause: first }))
    })
  })
})
