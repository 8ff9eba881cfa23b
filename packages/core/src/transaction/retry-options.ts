// Of a transaction that failed for a reason that may pass: how often, after which pauses and for how long it is run again.

import { z } from 'zod'
import { strictOptions } from '../option-problems.js'
import { callback, flag, milliseconds, numberIn, wholeNumber, word } from '../option-schemas.js'

/**
 * How a pause is spread, so that those who failed together do not come back together. `whole` is what `initialDelayMs`,
 * `factor` and `maxDelayMs` make of it.
 *
 * - `full`: anything from none to the whole
 * - `equal`: anything from half of it to the whole
 * - `decorrelated`: anything from `initialDelayMs` to three times the pause before, at most `maxDelayMs`
 * - `none`: the whole
 */
export type Jitter = 'full' | 'equal' | 'decorrelated' | 'none'

/** A transaction is about to be run again. */
export interface RetryNotice {
  /** Which attempt failed, from 1. */
  readonly attempt: number
  /** What it failed with. */
  readonly error: unknown
  /** The pause before the next attempt, in milliseconds. */
  readonly delayMs: number
}

/**
 * When a transaction is run again as a whole, on another connection. What the body did to anything but the database is
 * done again as well.
 *
 * @example
 * await withTransaction(db, body, { retry: { maxRetries: 2, onRetry: ({ error }) => log.warn(error) } })
 */
export interface RetryOptions {
  /**
   * How often after what befell the connection or the server: a connection lost before COMMIT, a server turned
   * read-only, a stale plan. Default 5; 0 = never. But for stale plans, all transactions of a pool share a budget: while
   * everything fails, about one in five is run again.
   */
  maxRetries?: number | undefined
  /**
   * How often after a conflict with another transaction: a deadlock (40P01) or a serialization failure (40001). Default
   * 20; 0 = never.
   */
  maxConflictRetries?: number | undefined
  /** The pause before the first retry, before jitter, in milliseconds. Default 100, or `maxDelayMs` if less. */
  initialDelayMs?: number | undefined
  /** The longest pause, in milliseconds. Default 5 000. */
  maxDelayMs?: number | undefined
  /** By how much each pause is longer than the one before. Default 2. `decorrelated` jitter grows without it. */
  factor?: number | undefined
  /** Default `full`. See {@link Jitter}. */
  jitter?: Jitter | undefined
  /**
   * No retry is begun later than this after the first attempt began, in milliseconds. Default 0 = no limit.
   * `timeoutMs` of the transaction ends also the attempt under way.
   */
  maxElapsedMs?: number | undefined
  /** Whether a lock not had in time (55P03) is a conflict as well. Default false. */
  retryLockTimeouts?: boolean | undefined
  /** Told before each pause. What it throws is reported, and stops nothing. */
  onRetry?: ((notice: RetryNotice) => unknown) | undefined
}

/** The same with every default filled in; frozen. */
export type ResolvedRetry = {
  readonly [Name in Exclude<keyof RetryOptions, 'onRetry'>]-?: NonNullable<RetryOptions[Name]>
} & { readonly onRetry: RetryOptions['onRetry'] }

export const usualRetry: ResolvedRetry = Object.freeze({
  maxRetries: 5,
  maxConflictRetries: 20,
  initialDelayMs: 100,
  maxDelayMs: 5_000,
  factor: 2,
  jitter: 'full',
  maxElapsedMs: 0,
  retryLockTimeouts: false,
  onRetry: undefined,
})

/** `false`, or retry options of which those not written are as in `otherwise`; `completeRetry` fills in the rest. */
export function retrySchema(otherwise: ResolvedRetry) {
  const options = strictOptions({
    maxRetries: wholeNumber(0).default(otherwise.maxRetries),
    maxConflictRetries: wholeNumber(0).default(otherwise.maxConflictRetries),
    // Without a default here: one that is not written follows a maxDelayMs below it.
    initialDelayMs: milliseconds(0).optional(),
    maxDelayMs: milliseconds(0).default(otherwise.maxDelayMs),
    factor: z.number({ error: growing }).min(1, { error: growing }).default(otherwise.factor),
    jitter: word(['full', 'equal', 'decorrelated', 'none']).default(otherwise.jitter),
    maxElapsedMs: milliseconds(0).default(otherwise.maxElapsedMs),
    retryLockTimeouts: flag().default(otherwise.retryLockTimeouts),
    onRetry: callback<NonNullable<RetryOptions['onRetry']>>().optional(),
  } satisfies Record<keyof RetryOptions, z.ZodType>).refine(
    ({ initialDelayMs, maxDelayMs }) => initialDelayMs === undefined || initialDelayMs <= maxDelayMs,
    {
      path: ['initialDelayMs'],
      error: ({ input }) => `an integer >= 0 and <= maxDelayMs (${numberIn(input, 'maxDelayMs')}) (milliseconds)`,
      when: ({ value }) =>
        numberIn(value, 'maxDelayMs') !== undefined && numberIn(value, 'initialDelayMs') !== undefined,
    },
  )
  return z.union([z.literal(false), options], { error: 'false, or { maxRetries, maxConflictRetries, … }' })
}

const growing = 'a number >= 1'

type CheckedRetry = z.output<ReturnType<typeof retrySchema>>

/** What the schema leaves open, since it depends on another option or is not to be copied. */
export function completeRetry(checked: CheckedRetry, otherwise: ResolvedRetry): ResolvedRetry | false {
  if (checked === false) return false
  return Object.freeze({
    ...checked,
    initialDelayMs: checked.initialDelayMs ?? Math.min(otherwise.initialDelayMs, checked.maxDelayMs),
    onRetry: checked.onRetry ?? otherwise.onRetry,
  })
}
