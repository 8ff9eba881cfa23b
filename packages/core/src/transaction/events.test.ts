// What transactions tell the outside.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, DeadlockError } from '../errors.js'
import { namesIn, play, type Scenes, type TransactionEvent } from '../testing/event-scenes.js'
import { settled } from '../testing/fake-clock.js'
import { takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const scenes: Scenes<TransactionEvent> = {
  'moorings:transaction:retried': {
    others: { transaction: { retry: { jitter: 'none', initialDelayMs: 40, maxRetries: 1 } } },
    async run({ pool, clock }) {
      const error = new DeadlockError('deadlock detected', { code: '40P01', retry: 'transaction' })
      let runs = 0
      const result = watch(
        pool.transaction(() => {
          if (runs++ < 2) throw error
          return 'done'
        }),
      )
      for (let turn = 0; turn < 10; turn++) await clock.advance(100)
      expect(result.value).toBe('done')
      return [
        { attempt: 1, error, delayMs: 40 },
        { attempt: 2, error, delayMs: 80 },
      ]
    },
  },
  'moorings:commit:resolved': {
    async run({ pool, driver, clock }) {
      driver.outcomes.push('committed')
      ;(await takeOne(pool)).release()
      await clock.advance(200)
      const result = watch(
        pool.transaction(async ({ connection }) => {
          connection.ticket = { transactionId: '4711' }
          connection.next('commit', 'held')
        }),
      )
      for (let turn = 0; turn < 5; turn++) await settled()
      driver.connection(1).lose()
      for (let turn = 0; turn < 5; turn++) await settled()
      expect(result.state).toBe('resolved')
      return [{ transactionId: '4711', outcome: 'committed', tookMs: 0, error: undefined }]
    },
  },
  'moorings:after:failed': {
    async run({ pool }) {
      const error = new ConnectionLostError('the mailer is down')
      await pool.transaction((_, { afterCommit }) => afterCommit(() => Promise.reject(error)))
      return [{ after: 'committed', error }]
    },
  },
  'moorings:root:used': {
    others: { transaction: { rootUse: 'warn', retry: false } },
    async run({ pool }) {
      await pool.transaction(() => expect(pool.joinable).toBeUndefined(), {}, { joined: false })
      return [{ attempt: 1 }]
    },
  },
}

describe('a transaction tells', () => {
  it.each(namesIn(scenes))('%s when it happens, once, with what belongs to it', (name) => play(scenes, name))
})
