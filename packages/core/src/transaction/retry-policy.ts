// Whether a transaction that failed is worth running again, and after which pause. Nothing here waits or remembers.

import { exponentialDelay } from '../backoff.js'
import type { TransactionSettings } from '../driver.js'
import { mooringsErrorIn } from '../errors/causes.js'
import {
  ConnectionLostError,
  DeadlockError,
  LockTimeoutError,
  type MooringsError,
  ReadOnlyEndpointError,
  SerializationError,
} from '../errors.js'
import type { ResolvedRetry } from './retry-options.js'

/**
 * Why a transaction is run again.
 *
 * - `conflict`: another transaction was in its way; all is well with the server
 * - `lost`: its connection, or the server's being the primary
 * - `stale`: what the server knew of its statements no longer held, as after a migration; another try prepares anew
 */
export type RetryReason = 'conflict' | 'lost' | 'stale'

/**
 * Finds in an error, or in what it was caused by, a reason to run the transaction again. The outermost of our own errors
 * decides: what an application wraps keeps its meaning, and what we ourselves wrapped is not to be retried for what is
 * inside. Only a TransactionAbortedError says nothing by itself: the error it stands for does.
 *
 * Never throws, whatever it is given.
 *
 * @param settings of the transaction: one that asked for `read only` would be refused its writes by every server
 */
export function reasonToRetry(
  error: unknown,
  options: Pick<ResolvedRetry, 'retryLockTimeouts'>,
  settings: Pick<TransactionSettings, 'accessMode'> = {},
): RetryReason | undefined {
  try {
    const ours = mooringsErrorIn(error)
    return ours && reasonIn(ours, options, settings)
  } catch {
    // Somebody else's, with our brand and a getter that throws: such an error gives no reason.
    return undefined
  }
}

function reasonIn(
  error: MooringsError,
  { retryLockTimeouts }: Pick<ResolvedRetry, 'retryLockTimeouts'>,
  { accessMode }: Pick<TransactionSettings, 'accessMode'>,
): RetryReason | undefined {
  if (error instanceof LockTimeoutError) return retryLockTimeouts ? 'conflict' : undefined
  if (error instanceof DeadlockError || error instanceof SerializationError) return 'conflict'
  // Ended by the server for having been idle, or open, for too long: its body would take as long again.
  if (error.code === '25P03' || error.code === '25P04') return undefined
  if (error instanceof ConnectionLostError) return error.retry === 'reconnect' ? 'lost' : undefined
  if (error instanceof ReadOnlyEndpointError) return accessMode === 'read only' ? undefined : 'lost'
  return error.retry === 'transaction' ? 'stale' : undefined
}

export interface DelayRequest {
  /** Which retry it will be, from 1. */
  readonly retry: number
  readonly options: Pick<ResolvedRetry, 'initialDelayMs' | 'maxDelayMs' | 'factor' | 'jitter'>
  /** The pause before the last retry; undefined before the first. */
  readonly previousDelayMs: number | undefined
  /** From 0 to below 1. */
  readonly random: () => number
}

/**
 * The pause before a retry, in whole milliseconds, never more than `maxDelayMs`.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function delayBeforeRetry({ retry, options, previousDelayMs, random }: DelayRequest): number {
  const { initialDelayMs, maxDelayMs, jitter } = options
  if (jitter === 'decorrelated') {
    const longest = Math.min(maxDelayMs, 3 * Math.max(initialDelayMs, previousDelayMs ?? initialDelayMs))
    const shortest = Math.min(initialDelayMs, longest)
    return Math.round(shortest + random() * (longest - shortest))
  }
  const whole = exponentialDelay(options, retry)
  if (jitter === 'full') return Math.round(whole * random())
  if (jitter === 'equal') return Math.round(whole * (0.5 + random() / 2))
  return Math.round(whole)
}
