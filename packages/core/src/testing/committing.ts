// A transaction whose COMMIT is on its way, and is not answered.

import { expect } from '@jest/globals'
import type { CommitTicket } from '../driver.js'
import type { TransactionOptions } from '../transaction/transaction-options.js'
import { lostConnection } from './failures.js'
import type { Fixture } from './fixture.js'
import { type RetryingParts, retryingAndRested, turns } from './retrying.js'
import { type Watched, watch } from './watch.js'

export interface Unanswered extends Fixture {
  readonly result: Watched<number>
  readonly runs: number[]
}

export const ticket = { transactionId: '4711' } as const

/** The first attempt's COMMIT is on its way, and waits for an answer. */
export async function committing(
  given: CommitTicket | 'nothing' | undefined = ticket,
  parts: RetryingParts = {},
  options: TransactionOptions = {},
): Promise<Unanswered> {
  const setup = await retryingAndRested(parts)
  const runs: number[] = []
  setup.driver.connection(1).next('commit', 'held')
  const result = watch(
    setup.pool.transaction(async (tx, { attempt }) => {
      runs.push(attempt)
      if (attempt === 1) tx.connection.ticket = given
      await tx.connection.statement('write')
      return attempt
    }, options),
  )
  await turns()
  expect(setup.driver.connection(1).sent.at(-1)).toBe('commit')
  return { ...setup, result, runs }
}

/** And it is lost. */
export async function unanswered(...args: Parameters<typeof committing>): Promise<Unanswered> {
  const setup = await committing(...args)
  setup.driver.connection(1).lose(lostConnection())
  return setup
}
