// What an application writes around its transactions when its driver does not retry them.

import { setTimeout as pause } from 'node:timers/promises'

export interface Loop {
  /** After the first attempt. */
  readonly maxRetries: number
  readonly initialDelayMs: number
  readonly maxDelayMs: number
  readonly jitter: Jitter
}

export type Jitter = 'full' | 'equal' | 'none'

/** The SQLSTATEs after which the same transaction may well succeed. */
const conflicts = new Set(['40001', '40P01'])

/** Exponential back-off, doubling. The signal ends the loop with the last error, instead of another attempt. */
export async function retrying<T>(loop: Loop, run: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let retry = 1; ; retry++) {
    try {
      return await run()
    } catch (error) {
      if (retry > loop.maxRetries || !isConflict(error) || signal?.aborted) throw error
      await pause(delayOf(loop, retry))
    }
  }
}

function delayOf({ initialDelayMs, maxDelayMs, jitter }: Loop, retry: number): number {
  const delay = Math.min(maxDelayMs, initialDelayMs * 2 ** (retry - 1))
  if (jitter === 'none') return delay
  return jitter === 'full' ? delay * Math.random() : delay * (0.5 + Math.random() / 2)
}

/** Drizzle wraps what a statement throws, but not what COMMIT throws. */
function isConflict(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string' && conflicts.has(error.code)) return true
  return isConflict(error.cause)
}
