// Who may still use what: nested scopes, siblings, and bodies that outlive their transaction.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, TransactionAbortedError, TransactionEndedError } from './errors.js'
import { settled } from './testing/fake-clock.js'
import type { FakeConnection } from './testing/fake-connection.js'
import { rested } from './testing/rested.js'
import { watch } from './testing/watch.js'
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

  it('undo nothing of each other without a word: the transaction fails as a whole', async () => {
    const { pool, connection } = await rested()
    let good = watch(Promise.resolve())
    const outcome = watch(
      pool.transaction(async (tx) => {
        const bad = watch(
          tx.savepoint(async () => {
            await settled()
            throw new Error('the first fails')
          }),
        )
        good = watch(tx.savepoint((scope) => scope.connection.statement('kept')))
        for (let turn = 0; turn < 5; turn++) await settled()
        expect(bad.state).toBe('rejected')
      }),
    )
    await settled()
    for (let turn = 0; turn < 5; turn++) await settled()
    expect(good.state).toBe('resolved')
    expect(outcome.state).toBe('rejected')
    expect(connection.sent).not.toContain('commit')
    expect(connection.sent.some((text) => text.startsWith('rollback to'))).toBe(false)
    expect(connection.sent.at(-1)).toBe('rollback')
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

describe('a savepoint that outlives its transaction', () => {
  it('sends nothing when its body is done', async () => {
    const { pool, connection } = await rested()
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    let orphan = watch(Promise.resolve())
    await pool.transaction(async (tx) => {
      orphan = watch(tx.savepoint(() => gate))
      await settled()
    })
    const sent = [...connection.sent]
    go()
    await settled()
    expect(orphan.error).toBeInstanceOf(TransactionEndedError)
    expect(connection.sent).toEqual(sent)
  })

  it('sends nothing when its body throws, whose error it reports', async () => {
    const { pool, connection } = await rested()
    const thrown = new ConnectionLostError('something')
    let fail = (_: Error) => {}
    const gate = new Promise<void>((_, reject) => {
      fail = reject
    })
    let orphan = watch(Promise.resolve())
    await pool.transaction(async (tx) => {
      orphan = watch(tx.savepoint(() => gate))
      await settled()
    })
    const sent = [...connection.sent]
    fail(thrown)
    await settled()
    expect(orphan.error).toBe(thrown)
    expect(connection.sent).toEqual(sent)
  })
})
