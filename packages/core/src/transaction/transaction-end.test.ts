// How a transaction ends when it does not end well: ROLLBACK that fails, COMMIT that is refused, undone or not answered.

import { describe, expect, it } from '@jest/globals'
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  MooringsError,
  StatementError,
  StatementTimeoutError,
  TransactionAbortedError,
} from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { counts, empty, takeOne } from '../testing/fixture.js'
import { machine } from '../testing/machine.js'
import { rested } from '../testing/rested.js'
import { watch } from '../testing/watch.js'
import { Transaction } from './transaction.js'

describe('when ROLLBACK fails too', () => {
  it.each([
    ['is refused', new StatementError('no such luck')],
    ['is lost', 'lose'],
    ['hangs', 'held'],
  ] as const)(
    'because it %s, the caller still gets what was thrown, with the failure attached',
    async (how, answer) => {
      const { pool, connection, clock } = await rested()
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
      expect(events).toEqual([{ ...pool.identity, id: 1, error: attached?.value }])
      expect(connection.open).toBe(false)
      expect(counts(pool)).toEqual(empty)
    },
  )

  it('of a COMMIT that we refused, the failure is attached to why we did', async () => {
    const { pool, connection } = await rested()
    const rollbackError = new StatementError('no such luck')
    connection.next('rollback', rollbackError)
    const failed = watch(
      pool.transaction(async () => {
        const joined = pool.transaction(() => Promise.reject(new Error('out of stock')), { propagation: 'required' })
        await joined.catch(() => {})
      }),
    )
    await settled()
    expect(failed.error).toBeInstanceOf(TransactionAbortedError)
    expect(failed.error).toMatchObject({ cause: { message: 'out of stock' }, rollbackError })
    expect(connection.ended).toBe('destroyed')
  })

  it('the connection is gone at once, not only with the lease', async () => {
    for (const answer of ['held', new StatementError('no such luck')] as const) {
      const { pool, connection, clock } = await rested()
      const lease = await takeOne(pool)
      const tx = await Transaction.begin(pool, lease)
      connection.next('rollback', answer)
      const failure = watch(tx.rollback())
      await clock.advance(5_000)
      expect(failure.value).toBeInstanceOf(MooringsError)
      expect(connection.ended).toBe('destroyed')
      expect(counts(pool)).toEqual(empty)
    }
  })

  it('an error that cannot be extended, or is none, reaches the caller as it is', async () => {
    for (const thrown of [Object.freeze(new Error('frozen')), 'a string', undefined]) {
      const { pool, connection } = await rested()
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
      const { pool, connection } = await rested()
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
    const { pool, connection } = await rested()
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
    const { pool, connection } = await rested()
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
    expect(failed.error).toMatchObject({ code: '42P01', cause: first, retry: 'never' })
    expect(String(failed.error)).toContain('relation "orders" does not exist')
    expect(connection.sent).toEqual(['begin', 'insert', 'select 1', 'commit'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('answered by ROLLBACK is no success either when the first error passed us by', async () => {
    const { pool, connection } = await rested()
    connection.next('statement', new Error('unseen'))
    const failed = watch(pool.transaction((tx) => tx.connection.statement().catch(() => {})))
    await settled()
    expect(failed.error).toBeInstanceOf(TransactionAbortedError)
    expect(failed.error).toMatchObject({ code: '25P02' })
    expect(failed.error).not.toHaveProperty('cause')
  })

  it('refused (a deferred constraint) is what the caller gets; the connection lives on', async () => {
    const { pool, connection } = await rested()
    const refused = new StatementError('deferred constraint', { code: '23503' })
    connection.next('commit', refused)
    let kept: Transaction<typeof connection> | undefined
    const failed = watch(
      pool.transaction((tx) => {
        kept = machine(tx)
      }),
    )
    await settled()
    expect(failed.error).toBe(refused)
    expect(kept?.state).toBe('rolled-back')
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(connection.sent).toEqual(['begin', 'commit'])
  })

  it('that could not be sent, as a cursor is open, is undone by ROLLBACK, and the caller gets why', async () => {
    const { pool, connection } = await rested()
    const unsent = new StatementError('a cursor is open', { sent: false })
    connection.next('commit', unsent)
    let told = 0
    const failed = watch(pool.transaction((_, { afterRollback }) => afterRollback(() => told++)))
    await settled()
    expect(failed.error).toBe(unsent)
    expect(connection.sent).toEqual(['begin', 'commit', 'rollback'])
    expect(told).toBe(1)
    expect(pool.stats().transactions).toMatchObject({ committed: 0, rolledBack: 1, unknown: 0 })
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('whose answer is lost with the connection may have been applied, and says so', async () => {
    const { pool, connection } = await rested()
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

  it('given up before it was answered (a timeout) may have been applied, and says so', async () => {
    const { pool, connection } = await rested()
    connection.next('commit', 'held')
    const failed = watch(pool.transaction(() => {}))
    await settled()
    const timeout = new StatementTimeoutError('no answer within 100 ms')
    // The caller has been told, the server has not answered yet.
    connection.cancelling = true
    connection.held('commit').fail(timeout)
    await settled()
    expect(failed.error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(failed.error).toMatchObject({ cause: timeout, retry: 'unknown' })
  })

  it('answered with the word that nobody can tell is not counted as rolled back, nor is that told to whom it concerns', async () => {
    const { pool, connection } = await rested()
    const unknown = new CommitOutcomeUnknownError('the trigger cannot tell', { code: '40003' })
    connection.next('commit', unknown)
    let told = false
    const failed = watch(
      pool.transaction((_, { afterRollback }) =>
        afterRollback(() => {
          told = true
        }),
      ),
    )
    await settled()
    expect(failed.error).toBe(unknown)
    expect(told).toBe(false)
    expect(pool.stats().transactions).toMatchObject({ committed: 0, rolledBack: 0, unknown: 1 })
    expect(connection.open).toBe(true)
  })

  it('is not sent on a connection that is gone: nothing was applied, and the error does not say it may have been', async () => {
    const { pool, connection } = await rested()
    const failed = watch(pool.transaction(() => connection.lose()))
    await settled()
    expect(failed.error).toBeInstanceOf(ConnectionLostError)
    expect(failed.error).not.toBeInstanceOf(CommitOutcomeUnknownError)
    expect(connection.sent).toEqual(['begin'])
  })
})
