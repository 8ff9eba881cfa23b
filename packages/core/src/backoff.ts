// How long to wait between failing connects.

export interface Backoff {
  readonly initialDelayMs: number
  readonly maxDelayMs: number
  readonly factor: number
}

/** A database that is back is found within half a second, and one that is down is not asked in a hot loop. */
export const connectBackoff: Backoff = { initialDelayMs: 25, maxDelayMs: 500, factor: 2 }

/**
 * Exponential delay with equal jitter: at least half of it is kept, so that a run of small random numbers is no hot loop.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 *
 * @param failures consecutive failures so far, 1 or more
 */
export function backoffDelay(backoff: Backoff, failures: number, random: () => number = Math.random): number {
  const delay = Math.min(backoff.maxDelayMs, backoff.initialDelayMs * backoff.factor ** (failures - 1))
  return delay * (0.5 + random() / 2)
}
