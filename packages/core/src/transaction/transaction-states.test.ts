// Every state of a transaction, and the ways there are between them.

import { describe, expect, it } from '@jest/globals'
import { StatementError } from '../errors.js'
import { lostConnection } from '../testing/failures.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { takeOne } from '../testing/fixture.js'
import { machine } from '../testing/machine.js'
import { retrying, retryingAndRested, turns } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import type { TransactionState } from './transaction.js'

describe('the states of a transaction', () => {
  it.each<[string, (connection: FakeConnection) => unknown, TransactionState[]]>([
    ['committed', () => {}, ['open', 'committing', 'committed']],
    ['rolled back', () => Promise.reject(new Error('no')), ['open', 'rolling-back', 'rolled-back']],
    [
      'rolled back after a statement that failed',
      (connection) => {
        connection.next('statement', new StatementError('refused'))
        return connection.statement()
      },
      ['open', 'failed', 'rolling-back', 'rolled-back'],
    ],
    [
      'committed, and answered by ROLLBACK',
      (connection) => {
        connection.next('statement', new StatementError('refused'))
        return connection.statement().catch(() => {})
      },
      ['open', 'failed', 'committing', 'rolled-back'],
    ],
    [
      'refused at COMMIT',
      (connection) => connection.next('commit', new StatementError('deferred')),
      ['open', 'committing', 'rolled-back'],
    ],
    ['lost before its end', (connection) => connection.lose(lostConnection()), ['open', 'rolled-back']],
  ])('%s', async (_, during, expected) => {
    const { pool, driver } = retrying()
    ;(await takeOne(pool)).release()
    const connection = driver.connection(1)
    const seen: TransactionState[] = []
    let look = () => {}
    for (const operation of ['commit', 'rollback'] as const) {
      const send = connection[operation].bind(connection) as () => Promise<never>
      connection[operation] = () => {
        look()
        return send()
      }
    }
    const result = watch(
      pool.transaction(
        async (tx) => {
          const states = machine(tx)
          look = () => seen.at(-1) === states.state || seen.push(states.state)
          look()
          await Promise.resolve(during(connection)).finally(look)
        },
        { retry: false },
      ),
    )
    await turns()
    look()
    expect(result.state).not.toBe('pending')
    expect(seen).toEqual(expected)
  })

  it('unknown', async () => {
    const { pool, clock } = await retryingAndRested()
    let state = (): TransactionState | undefined => undefined
    const result = watch(
      pool.transaction((tx) => {
        state = () => machine(tx).state
        tx.connection.next('commit', 'held')
      }),
    )
    await turns()
    expect(state()).toBe('committing')
    pool.evict()
    await clock.advance(0)
    expect(state()).toBe('unknown')
    expect(result.error).toMatchObject({ name: 'CommitOutcomeUnknownError' })
    expect(pool.stats().transactions).toMatchObject({ committed: 0, rolledBack: 0, unknown: 1 })
  })
})
