// What the application is told before a transaction is run again, and that this decides nothing.

import { describe, expect, it } from '@jest/globals'
import { eventsOf } from '../testing/events.js'
import { deadlock, stalePlan } from '../testing/failures.js'
import { retrying, Script, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import type { RetryNotice } from './transaction-options.js'

/** A promise as a library makes it, or another realm. */
class Promises {
  readonly #cause: unknown
  constructor(cause: unknown) {
    this.#cause = cause
  }

  // biome-ignore lint/suspicious/noThenProperty: it is what makes it one
  then(_: unknown, rejected: (cause: unknown) => void): void {
    rejected(this.#cause)
  }
}

describe('onRetry', () => {
  it('is told which attempt failed, with what, and the pause, before it begins', async () => {
    const told: RetryNotice[] = []
    const errors = [new Error('could not place the order', { cause: deadlock() }), stalePlan()]
    const setup = retrying({ retry: { onRetry: (notice) => told.push(notice) } })
    const result = watch(setup.pool.transaction(new Script(...errors).body))
    await setup.clock.advance(0)
    expect(told).toEqual([{ attempt: 1, error: errors[0], delayMs: 10 }])
    expect(told[0]?.error).toBe(errors[0])
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(told.slice(1)).toEqual([{ attempt: 2, error: errors[1], delayMs: 10 }])
  })

  it('is not told of what is not retried', async () => {
    const told: RetryNotice[] = []
    const setup = retrying({ retry: { maxConflictRetries: 1, onRetry: (notice) => told.push(notice) } })
    for (const script of [new Script(new Error('no')), new Script(deadlock(), deadlock())]) {
      const result = watch(setup.pool.transaction(script.body))
      await untilRest(setup)
      expect(result.state).toBe('rejected')
    }
    expect(told).toHaveLength(1)
  })

  it.each([
    [
      'throws',
      (cause: unknown) => {
        throw cause
      },
    ],
    ['rejects', (cause: unknown) => Promise.reject(cause)],
    ['rejects as a promise not of ours', (cause: unknown) => new Promises(cause)],
  ])('that %s is reported, and stops nothing', async (_, fail) => {
    const cause = new Error('the logger is full')
    const setup = retrying({ retry: { onRetry: () => fail(cause) } })
    let result = watch(Promise.resolve(''))
    const events = await eventsOf('moorings:after:failed', async () => {
      result = watch(setup.pool.transaction(new Script(deadlock()).body))
      await untilRest(setup)
    })
    expect(result.value).toBe('done')
    expect(events).toMatchObject([{ after: 'retry', error: { name: 'StatementError', cause } }])
  })

  it('is not waited for', async () => {
    const setup = retrying({ retry: { onRetry: () => new Promise(() => {}) } })
    const result = watch(setup.pool.transaction(new Script(deadlock()).body))
    await untilRest(setup)
    expect(result.value).toBe('done')
  })
})
