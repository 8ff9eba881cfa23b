// Who may still use what: nested scopes, siblings, and bodies that outlive their transaction.

import { describe, expect, it } from '@jest/globals'
import {
  ConnectionLostError,
  NestedTransactionOpenError,
  TransactionAbortedError,
  TransactionEndedError,
} from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { rested } from '../testing/rested.js'
import { watch } from '../testing/watch.js'
import type { TransactionScope } from './transaction.js'

describe('the scope of a nested transaction', () => {
  it('rejects every use once its savepoint has ended, and sends nothing', async () => {
    for (const thrown of [undefined, new Error('no')]) {
      const { pool, connection } = await rested()
      await pool.transaction(async (tx) => {
        let kept: TransactionScope<FakeConnection> | undefined
        const inner = watch(
          tx.savepoint((scope) => {
            kept = scope
            if (thrown !== undefined) throw thrown
          }),
        )
        await settled()
        expect(inner.state).toBe(thrown === undefined ? 'resolved' : 'rejected')
        const { length } = connection.sent
        expect(() => kept?.connection).toThrow(TransactionEndedError)
        await expect(kept?.savepoint(() => {})).rejects.toBeInstanceOf(TransactionEndedError)
        expect(connection.sent).toHaveLength(length)
        await tx.connection.statement('go on')
      })
    }
  })

  it('can be nested further, and carries what fails to the transaction', async () => {
    const { pool, connection } = await rested()
    const failed = watch(
      pool.transaction(async (tx) => {
        await tx.savepoint((outer) =>
          outer.savepoint(async (inner) => {
            await inner.connection.statement('deep')
            inner.noteError(new Error('noted'))
            expect(() => outer.assertSound()).toThrow(TransactionAbortedError)
          }),
        )
        tx.assertSound()
      }),
    )
    await settled()
    expect(connection.sent.slice(0, 6)).toEqual([
      'begin',
      'savepoint s0',
      'savepoint s1',
      'deep',
      'release s1',
      'release s0',
    ])
    expect(failed.error).toBeInstanceOf(TransactionAbortedError)
  })
})

describe('nested transactions at the same time', () => {
  it('both done, are both kept', async () => {
    const { pool, connection } = await rested()
    await pool.transaction((tx) =>
      Promise.all(['a', 'b'].map((name) => tx.savepoint(({ connection }) => connection.statement(name)))),
    )
    expect(connection.sent.at(-1)).toBe('commit')
    expect(connection.sent.some((text) => text.startsWith('rollback'))).toBe(false)
    expect(connection.transactionStatus).toBe('idle')
  })

  it('run one after the other, so that one is undone without the other', async () => {
    const { pool, connection } = await rested()
    const bad = (scope: TransactionScope<FakeConnection>) =>
      scope.connection.statement('bad').then(() => Promise.reject(new Error('the first fails')))
    const outcomes = await pool.transaction((tx) =>
      Promise.allSettled([tx.savepoint(bad), tx.savepoint((scope) => scope.connection.statement('kept'))]),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
    expect(connection.sent).toEqual([
      'begin',
      ...['savepoint s0', 'bad', 'rollback to s0'],
      ...['savepoint s1', 'kept', 'release s1'],
      'commit',
    ])
  })

  it('keep what is sent through the one around them out, with an error that says why', async () => {
    const { pool, connection } = await rested()
    await pool.transaction(async (tx) => {
      const inner = tx.savepoint(() => settled())
      expect(() => tx.connection).toThrow(NestedTransactionOpenError)
      await inner
      await tx.connection.statement('after it')
    })
    expect(connection.sent).toEqual(['begin', 'savepoint s0', 'release s0', 'after it', 'commit'])
  })

  it('do not wait for each other for ever', async () => {
    const { pool, clock } = await rested()
    let second = watch(Promise.resolve())
    const outcome = watch(
      pool.transaction(async (tx) => {
        await tx.savepoint(async () => {
          second = watch(tx.savepoint(() => {}))
          await clock.advance(30_000)
        })
      }),
    )
    for (let turn = 0; turn < 5; turn++) await settled()
    expect(second.error).toBeInstanceOf(NestedTransactionOpenError)
    expect(outcome.state).toBe('resolved')
  })

  it('one after the other are undone one by one', async () => {
    const { pool, connection } = await rested()
    await pool.transaction(async (tx) => {
      await tx.savepoint((scope) => scope.connection.statement('kept'))
      await tx.savepoint(() => Promise.reject(new Error('no'))).catch(() => {})
    })
    expect(connection.sent).toContain('rollback to s1')
    expect(connection.sent.at(-1)).toBe('commit')
  })
})

describe('a nested transaction that outlives the one around it', () => {
  it.each(['done', 'failed'] as const)('takes that with it, and sends nothing when it is %s', async (how) => {
    const { pool, connection } = await rested()
    const thrown = new ConnectionLostError('something')
    let end = () => {}
    const gate = new Promise<void>((resolve, reject) => {
      end = () => (how === 'done' ? resolve() : reject(thrown))
    })
    let orphan = watch(Promise.resolve())
    const outcome = watch(
      pool.transaction(async (tx) => {
        orphan = watch(tx.savepoint(() => gate))
        await settled()
      }),
    )
    for (let turn = 0; turn < 5; turn++) await settled()
    expect(outcome.error).toBeInstanceOf(NestedTransactionOpenError)
    const sent = [...connection.sent]
    expect(sent).toEqual(['begin', 'savepoint s0', 'rollback'])
    end()
    await settled()
    if (how === 'failed') expect(orphan.error).toBe(thrown)
    else expect(orphan.error).toBeInstanceOf(TransactionEndedError)
    expect(connection.sent).toEqual(sent)
  })
})
