// A transaction from BEGIN to its end: who gets which error, and what is sent.

import { describe, expect, it } from '@jest/globals'
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  StatementError,
  TransactionAbortedError,
  TransactionEndedError,
} from './errors.js'
import { eventsOf } from './testing/events.js'
import { settled } from './testing/fake-clock.js'
import { ask, counts, empty, fixture, takeOne } from './testing/fixture.js'
import { watch } from './testing/watch.js'
import { Transaction } from './transaction.js'

/** A pool whose first connection lies idle, and is not new. */
async function ready() {
  const setup = fixture({ max: 1, overflow: 0, validateAfterIdleMs: 3_600_000 })
  await setup.pool.start()
  await setup.clock.advance(60_000)
  return { ...setup, connection: setup.driver.connection(1) }
}

describe('a transaction', () => {
  it('commits when its body is done, returns what it returned, and gives the connection back', async () => {
    const { pool, connection } = await ready()
    const result = await pool.transaction(async (tx) => {
      await tx.connection.statement('insert')
      expect(tx.state).toBe('open')
      return 42
    })
    expect(result).toBe(42)
    expect(connection.sent).toEqual(['begin', 'insert', 'commit'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('takes its settings to BEGIN', async () => {
    const { pool, connection } = await ready()
    await pool.transaction(() => {}, { isolationLevel: 'serializable' })
    expect(connection.sent).toEqual(['begin isolation level serializable', 'commit'])
  })

  it('rolls back when its body throws, and the caller gets exactly what was thrown', async () => {
    const { pool, connection } = await ready()
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
    const { pool, connection } = await ready()
    const failed = watch(
      pool.transaction(() => {
        throw 'a string'
      }),
    )
    await settled()
    expect(failed.error).toBe('a string')
    expect(connection.sent).toEqual(['begin', 'rollback'])
  })

  it('holds its connection until its end has been answered', async () => {
    const { pool, connection } = await ready()
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

describe('when ROLLBACK fails too', () => {
  it.each([
    ['is refused', new StatementError('no such luck')],
    ['is lost', 'lose'],
    ['hangs', 'held'],
  ] as const)(
    'because it %s, the caller still gets what was thrown, with the failure attached',
    async (how, answer) => {
      const { pool, connection, clock } = await ready()
      const thrown = Object.assign(new Error('out of stock'), { sku: 7 })
      let failed = watch(Promise.resolve())
      const events = await eventsOf('moorings:rollback:failed', async () => {
        connection.next('rollback', answer === 'lose' ? 'held' : answer)
        failed = watch(
          pool.transaction(() => {
            throw thrown
          }),
        )
        await settled()
        if (answer === 'lose') connection.lose()
        await clock.advance(4_999.9)
        if (how === 'hangs') expect(failed.state).toBe('pending')
        await clock.advance(0.1)
      })
      expect(failed.error).toBe(thrown)
      // Not enumerable: whoever logs or compares their own error does not find ours in it.
      const attached = Object.getOwnPropertyDescriptor(thrown, 'rollbackError')
      expect(attached).toMatchObject({ enumerable: false, value: { name: expect.stringMatching(/Error$/) } })
      expect(JSON.stringify(thrown)).toBe('{"sku":7}')
      expect(events).toEqual([{ pool: 'test', id: 1, error: attached?.value }])
      expect(connection.open).toBe(false)
      expect(counts(pool)).toEqual(empty)
    },
  )

  it('an error that cannot be extended, or is none, reaches the caller as it is', async () => {
    for (const thrown of [Object.freeze(new Error('frozen')), 'a string', undefined]) {
      const { pool, connection } = await ready()
      connection.next('rollback', new Error('no'))
      const failed = watch(
        pool.transaction(() => {
          throw thrown
        }),
      )
      await settled()
      expect(failed.error).toBe(thrown)
      expect(connection.ended).toBe('destroyed')
    }
  })

  it('an error thrown again by a later transaction carries the later failure', async () => {
    const thrown = new Error('always the same object')
    for (const message of ['first', 'second']) {
      const { pool, connection } = await ready()
      connection.next('rollback', new StatementError(message))
      const failed = watch(
        pool.transaction(() => {
          throw thrown
        }),
      )
      await settled()
      expect(failed.error).toMatchObject({ rollbackError: { message } })
    }
  })

  it('nothing is sent, attached or told when the connection is gone already: the server has rolled back', async () => {
    const { pool, connection } = await ready()
    const thrown = new Error('the statement failed with the connection')
    let failed = watch(Promise.resolve())
    const events = await eventsOf('moorings:rollback:failed', async () => {
      failed = watch(
        pool.transaction(() => {
          connection.lose()
          throw thrown
        }),
      )
      await settled()
    })
    expect(failed.error).toBe(thrown)
    expect(thrown).not.toHaveProperty('rollbackError')
    expect(events).toEqual([])
    expect(connection.sent).toEqual(['begin'])
  })
})

describe('COMMIT', () => {
  it('answered by ROLLBACK is no success: the caller gets the first error that had been swallowed', async () => {
    const { pool, connection } = await ready()
    const first = new StatementError('relation "orders" does not exist', { code: '42P01' })
    connection.next('statement', first)
    const failed = watch(
      pool.transaction(async (tx) => {
        for (const text of ['insert', 'select 1']) {
          await tx.connection.statement(text).catch((error: unknown) => tx.noteError(error))
        }
        return 'looks fine'
      }),
    )
    await settled()
    expect(failed.error).toBeInstanceOf(TransactionAbortedError)
    expect(failed.error).toMatchObject({ code: '25P02', cause: first, retry: 'never' })
    expect(String(failed.error)).toContain('relation "orders" does not exist')
    expect(connection.sent).toEqual(['begin', 'insert', 'select 1', 'commit'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('answered by ROLLBACK is no success either when the first error passed us by', async () => {
    const { pool, connection } = await ready()
    connection.next('statement', new Error('unseen'))
    const failed = watch(pool.transaction((tx) => tx.connection.statement().catch(() => {})))
    await settled()
    expect(failed.error).toBeInstanceOf(TransactionAbortedError)
    expect(failed.error).not.toHaveProperty('cause')
  })

  it('refused (a deferred constraint) is what the caller gets; the connection lives on', async () => {
    const { pool, connection } = await ready()
    const refused = new StatementError('deferred constraint', { code: '23503' })
    connection.next('commit', refused)
    let kept: Transaction<typeof connection> | undefined
    const failed = watch(
      pool.transaction((tx) => {
        kept = tx
      }),
    )
    await settled()
    expect(failed.error).toBe(refused)
    expect(kept?.state).toBe('rolled-back')
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(connection.sent).toEqual(['begin', 'commit'])
  })

  it('whose answer is lost with the connection may have been applied, and says so', async () => {
    const { pool, connection } = await ready()
    connection.next('commit', 'held')
    const failed = watch(pool.transaction(() => {}))
    await settled()
    const reason = new ConnectionLostError('terminating connection', { code: '57P01' })
    connection.lose(reason)
    await settled()
    expect(failed.error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(failed.error).toMatchObject({ code: '57P01', retry: 'unknown', cause: reason })
    expect(counts(pool)).toEqual(empty)
  })

  it('is not sent on a connection that is gone: nothing was applied, and the error does not say it may have been', async () => {
    const { pool, connection } = await ready()
    const failed = watch(pool.transaction(() => connection.lose()))
    await settled()
    expect(failed.error).toBeInstanceOf(ConnectionLostError)
    expect(failed.error).not.toBeInstanceOf(CommitOutcomeUnknownError)
    expect(connection.sent).toEqual(['begin'])
  })
})

describe('a transaction that has ended', () => {
  it.each(['committed', 'rolled-back'] as const)('(%s) rejects every use and sends nothing', async (end) => {
    const { pool, connection } = await ready()
    let kept: Transaction<typeof connection> | undefined
    const done = watch(
      pool.transaction((tx) => {
        kept = tx
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
      const { pool, connection } = await ready()
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
    const { pool, connection } = await ready()
    const failed = watch(
      pool.transaction(async (tx) => {
        await tx.rollback()
      }),
    )
    await settled()
    expect(failed.error).toBeInstanceOf(TransactionEndedError)
    expect(connection.sent).toEqual(['begin', 'rollback'])
  })

  it('asked twice to roll back sends ROLLBACK once', async () => {
    const { pool, connection } = await ready()
    const lease = await takeOne(pool)
    const tx = await Transaction.begin(pool, lease)
    await Promise.all([tx.rollback(), tx.rollback()])
    expect(connection.sent).toEqual(['begin', 'rollback'])
  })

  it('whose lease was released under it sends no ROLLBACK into what another borrower does', async () => {
    const { pool, connection } = await ready()
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
    const { pool, connection } = await ready()
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
    const { pool } = await ready()
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
