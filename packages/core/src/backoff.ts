// How long to wait between failures: longer each time, up to a limit, and not all callers alike.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

export interface Backoff {
  readonly initialDelayMs: number
  readonly maxDelayMs: number
  readonly factor: number
}

/** A database that is back is found within half a second, and one that is down is not asked in a hot loop. */
export const connectBackoff: Backoff = { initialDelayMs: 25, maxDelayMs: 500, factor: 2 }

/** @param failures consecutive failures so far, 1 or more */
export function exponentialDelay({ initialDelayMs, maxDelayMs, factor }: Backoff, failures: number): number {
  // No power of it: nothing times what has grown to Infinity is not a number.
  if (initialDelayMs === 0) return 0
  return Math.min(maxDelayMs, initialDelayMs * factor ** (failures - 1))
}

/**
 * Exponential delay with equal jitter: at least half of it is kept, so that a run of small random numbers is no hot loop.
 *
 * @param failures consecutive failures so far, 1 or more
 */
export function backoffDelay(backoff: Backoff, failures: number, random: () => number = Math.random): number {
  return exponentialDelay(backoff, failures) * (0.5 + random() / 2)
}
