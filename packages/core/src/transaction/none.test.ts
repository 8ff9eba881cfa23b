// What is done where there is to be no transaction is told the same as the body of one.

import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError, PropagationError, TransactionCancelledError, TransactionTimeoutError } from '../errors.js'
import { afterCommit, currentTransaction, type TransactionContext } from '../scope.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import type { FakePool } from '../testing/fixture.js'
import { rested } from '../testing/rested.js'
import { watch } from '../testing/watch.js'
import type { Propagation, TransactionOptions } from './transaction-options.js'

function without<T>(
  pool: FakePool,
  work: (context: TransactionContext) => Promise<T> | T,
  options: TransactionOptions<Propagation> = { propagation: 'never' },
): Promise<T> {
  return pool.transaction(() => expect(true).toBe(false) as never, options, { without: work })
}

describe('work without a transaction', () => {
  it('is told of one attempt, has its value returned, and sends nothing of its own', async () => {
    const { pool, connection } = await rested()
    let context: TransactionContext | undefined
    const result = watch(
      without(pool, (told) => {
        context = told
        return 'value'
      }),
    )
    await settled()
    expect(result.value).toBe('value')
    expect(context).toMatchObject({ attempt: 1, signal: { aborted: false } })
    expect(connection.sent).toEqual([])
    expect(pool.stats().transactions).toMatchObject({ committed: 0, rolledBack: 0 })
  })

  it('rejects with what it throws, also before its first await', async () => {
    const { pool } = await rested()
    const mine = new Error('mine')
    const result = watch(
      without(pool, () => {
        throw mine
      }),
    )
    await settled()
    expect(result.error).toBe(mine)
  })

  it('is in no transaction, whatever is around it', async () => {
    const { pool } = await rested()
    const seen: unknown[] = []
    await pool.transaction(async () => {
      await without(pool, () => seen.push(currentTransaction(), pool.joinable), { propagation: 'notSupported' })
      seen.push(currentTransaction()?.attempt)
    })
    expect(seen).toEqual([undefined, undefined, 1])
  })

  it('has what is to be done after a commit done at once, and waits for it', async () => {
    const { pool } = await rested()
    const done: string[] = []
    let finish = () => {}
    const result = watch(
      without(pool, async (context) => {
        context.afterCommit(() => done.push('first'))
        expect(done).toEqual(['first'])
        context.afterCommit(async () => {
          await new Promise<void>((resolve) => {
            finish = resolve
          })
          done.push('second')
        })
        context.afterRollback(() => done.push('never'))
        await afterCommit(() => done.push('third'))
      }),
    )
    await settled()
    expect(done).toEqual(['first', 'third'])
    expect(result.state).toBe('pending')
    finish()
    await settled()
    expect(done).toEqual(['first', 'third', 'second'])
    expect(result.state).toBe('resolved')
  })

  it('is not failed by what is done after a commit: that is told', async () => {
    const { pool } = await rested()
    const failed = await eventsOf('moorings:after:failed', async () => {
      const result = watch(
        without(pool, (context) => {
          context.afterCommit(() => {
            throw new Error('mine')
          })
          context.afterCommit(() => Promise.reject(new Error('mine, too')))
          return 'value'
        }),
      )
      await settled()
      expect(result.value).toBe('value')
    })
    expect(failed).toHaveLength(2)
    expect(failed[0]).toMatchObject({ after: 'committed', error: { cause: { message: 'mine' } } })
  })

  it('ends for its caller with its time, and its signal tells it so', async () => {
    const { pool, clock } = await rested()
    let context: TransactionContext | undefined
    const result = watch(
      without(
        pool,
        (told) => {
          context = told
          return new Promise(() => {})
        },
        { propagation: 'supports', timeoutMs: 100 },
      ),
    )
    await settled()
    await clock.advance(99)
    expect(result.state).toBe('pending')
    await clock.advance(1)
    expect(result.error).toBeInstanceOf(TransactionTimeoutError)
    expect(context?.signal.reason).toBe(result.error)
  })

  it('ends for its caller with its signal, and is not begun when that has fired before', async () => {
    const { pool } = await rested()
    const abort = new AbortController()
    const options = { propagation: 'never', signal: abort.signal } as const
    const result = watch(without(pool, () => new Promise(() => {}), options))
    await settled()
    abort.abort()
    await settled()
    expect(result.error).toBeInstanceOf(TransactionCancelledError)
    let begun = false
    const late = watch(
      without(
        pool,
        () => {
          begun = true
        },
        options,
      ),
    )
    await settled()
    expect(late.error).toBeInstanceOf(TransactionCancelledError)
    expect(begun).toBe(false)
  })

  it('refuses settings, which would be dropped unnoticed', async () => {
    const { pool } = await rested()
    for (const propagation of ['supports', 'never', 'notSupported'] as const) {
      const result = watch(without(pool, () => {}, { propagation, role: 'auditor', settings: { 'app.tenant': 7 } }))
      await settled()
      expect(result.error).toBeInstanceOf(PropagationError)
      expect(String(result.error)).toContain('(role, settings)')
    }
  })

  it('cannot be asked for where nobody has said what it is', async () => {
    const { pool } = await rested()
    const result = watch(pool.transaction(() => {}, { propagation: 'supports' }))
    await settled()
    expect(result.error).toBeInstanceOf(InvalidOptionsError)
    expect(String(result.error)).toContain('withTransaction()')
  })
})
