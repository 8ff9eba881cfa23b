// `resilience.transaction`: what holds for every transaction that does not say otherwise.

import type { z } from 'zod'
import { strictOptions } from '../option-problems.js'
import { flag, milliseconds, word } from '../option-schemas.js'
import { completeRetry, type ResolvedRetry, type RetryOptions, retrySchema, usualRetry } from './retry-options.js'

/**
 * What the root database means inside `db.transaction(async (tx) => …)`, where `tx` is meant nearly always.
 *
 * - `warn`: another connection, as in the ORM itself, and it is reported
 * - `join`: the transaction
 * - `error`: nothing is sent, and the caller gets a RootUseError
 * - `allow`: another connection, as in the ORM itself
 */
export type RootUse = 'warn' | 'join' | 'error' | 'allow'

/** What holds for every transaction; most of it may be said otherwise for a single one. */
export interface TransactionDefaults {
  /** How transactions are run again that failed for a reason that may pass; `false`: they are not. See {@link RetryOptions}. */
  retry?: RetryOptions | false | undefined
  /**
   * Whether the server is asked what became of a transaction when the answer to its COMMIT is lost. Default true. Without
   * it such a transaction ends with a CommitOutcomeUnknownError at once.
   */
  exactlyOnce?: boolean | undefined
  /**
   * How long a transaction may take, in milliseconds: all attempts and the pauses between them, and the wait for a
   * connection. Then what runs is stopped and undone, and the caller gets a TransactionTimeoutError. Default 0 = no limit.
   */
  timeoutMs?: number | undefined
  /**
   * How long to wait for a body that still runs when its connection is lost, in milliseconds, before it is run again.
   * Default 10 000. If it is not done by then, there is no further attempt.
   */
  settleTimeoutMs?: number | undefined
  /** How long to look for what became of a COMMIT without an answer, in milliseconds. Default 30 000. */
  outcomeTimeoutMs?: number | undefined
  /** How long the server may take to answer a ROLLBACK, in milliseconds, before its connection is destroyed. Default 5 000. */
  rollbackTimeoutMs?: number | undefined
  /** Default `warn`. See {@link RootUse}. */
  rootUse?: RootUse | undefined
}

/** The same with every default filled in; frozen. */
export type ResolvedTransactionDefaults = {
  readonly [Name in Exclude<keyof TransactionDefaults, 'retry'>]-?: NonNullable<TransactionDefaults[Name]>
} & { readonly retry: ResolvedRetry | false }

export const transactionDefaults = strictOptions({
  retry: retrySchema(usualRetry).prefault({}),
  exactlyOnce: flag().default(true),
  timeoutMs: milliseconds(0).default(0),
  settleTimeoutMs: milliseconds(0).default(10_000),
  outcomeTimeoutMs: milliseconds(1).default(30_000),
  rollbackTimeoutMs: milliseconds(1).default(5_000),
  rootUse: word(['warn', 'join', 'error', 'allow']).default('warn'),
} satisfies Record<keyof TransactionDefaults, z.ZodType>)

export function completeTransactionDefaults(
  checked: z.output<typeof transactionDefaults>,
): ResolvedTransactionDefaults {
  return Object.freeze({ ...checked, retry: completeRetry(checked.retry, usualRetry) })
}
