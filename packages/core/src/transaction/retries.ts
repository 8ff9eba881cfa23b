// Whether a transaction that failed is run again, and after which pause: the policy, held against what was tried so far,
// the time that is left, and what the pool can spend.

import type { Connection } from '../driver.js'
import { causesOf, toldBy } from '../errors/causes.js'
import {
  CommitOutcomeUnknownError,
  ConstraintViolationError,
  isMooringsError,
  RetriesExhaustedError,
} from '../errors.js'
import { publish } from '../events.js'
import type { Pool } from '../pool/pool.js'
import { tellFailed } from './after.js'
import type { Limits } from './limits.js'
import type { ResolvedRetry, RetryNotice } from './retry-options.js'
import { delayBeforeRetry, type RetryReason, reasonToRetry } from './retry-policy.js'
import type { ResolvedTransaction } from './transaction-options.js'

/** An attempt that came to nothing. */
export interface Failure {
  /** What the caller gets, if this was the last attempt. */
  readonly error: unknown
  /** That, and what had failed before it, where the body threw something else. */
  readonly causes: readonly unknown[]
}

export class Retries<C extends Connection> {
  readonly #pool: Pool<C>
  readonly #options: ResolvedTransaction
  readonly #limits: Limits
  readonly #startedAt: number
  readonly #errors: unknown[] = []
  readonly #made: Record<RetryReason, number> = { conflict: 0, lost: 0, stale: 0 }
  #previousDelayMs: number | undefined

  /** @param startedAt by the pool's clock */
  constructor(pool: Pool<C>, options: ResolvedTransaction, limits: Limits, startedAt: number) {
    this.#pool = pool
    this.#options = options
    this.#limits = limits
    this.#startedAt = startedAt
  }

  /** @throws what the caller gets, if it is not to be run again */
  pauseAfter({ error, causes }: Failure, attempt: number): number {
    const { retry } = this.#options
    this.#errors.push(error)
    // Nobody knows whether it was applied: that goes before why it was ended.
    if (error instanceof CommitOutcomeUnknownError) throw error
    if (this.#limits.over !== undefined) {
      // It had failed by itself; its time was over only while that was looked up, or undone.
      throw error instanceof ConstraintViolationError ? error : this.#limits.over
    }
    const reason = retry === false ? undefined : this.#reason(causes, retry)
    if (retry === false || reason === undefined) throw error
    const delayMs = this.#delay(reason, retry)
    this.#made[reason]++
    this.#previousDelayMs = delayMs
    this.#pool.transactions.retries[reason]++
    this.#tell(retry, { attempt, error, delayMs })
    return delayMs
  }

  #reason(causes: readonly unknown[], retry: ResolvedRetry): RetryReason | undefined {
    // Something that the body has begun beside this transaction may have been applied.
    if (causes.some(isUnknown)) return undefined
    for (const cause of causes) {
      const reason = reasonToRetry(cause, retry, this.#options.settings)
      if (reason !== undefined) return reason
    }
    return undefined
  }

  #delay(reason: RetryReason, retry: ResolvedRetry): number {
    const { conflict, lost, stale } = this.#made
    const [made, most] = reason === 'conflict' ? [conflict, retry.maxConflictRetries] : [lost + stale, retry.maxRetries]
    if (made >= most) throw this.#exhausted('as often as it is run again at most')
    const { random, deadlines, retryBudget, transactions } = this.#pool
    const delayMs = delayBeforeRetry({
      retry: made + 1,
      options: retry,
      previousDelayMs: this.#previousDelayMs,
      random,
    })
    const passedMs = deadlines.clock.now() - this.#startedAt
    if (delayMs >= this.#limits.leftMs || (retry.maxElapsedMs > 0 && passedMs + delayMs > retry.maxElapsedMs)) {
      throw this.#exhausted('and there is no time left to run it again')
    }
    if (reason === 'lost' && !retryBudget.take()) {
      transactions.overBudget++
      throw this.#exhausted('and too much is being run again already')
    }
    return delayMs
  }

  #exhausted(why: string): unknown {
    if (this.#errors.length === 1) return this.#errors[0]
    this.#pool.transactions.exhausted++
    return new RetriesExhaustedError(this.#errors, why)
  }

  /** A callback of the application's does not decide about the transaction. */
  #tell({ onRetry }: ResolvedRetry, notice: RetryNotice): void {
    const { driver, identity } = this.#pool
    publish('moorings:transaction:retried', identity, () => ({
      ...notice,
      error: toldBy(notice.error, driver),
    }))
    const failed = (cause: unknown) => {
      tellFailed(identity, toldBy(cause, driver), 'retry')
    }
    try {
      // Whatever kind of promise it may be.
      void Promise.resolve(onRetry?.(notice)).catch(failed)
    } catch (cause) {
      failed(cause)
    }
  }
}

/** Whether anywhere in it is something that may have been applied. Never throws, whatever it is given. */
function isUnknown(error: unknown): boolean {
  try {
    for (const one of causesOf(error)) if (isMooringsError(one) && one.retry === 'unknown') return true
  } catch {
    // Somebody else's, with our brand and a getter that throws.
  }
  return false
}
