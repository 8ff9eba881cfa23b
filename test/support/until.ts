// Waiting by condition: polls until something holds, and says what it waited for when it does not.

import { setTimeout as pause } from 'node:timers/promises'

export interface UntilOptions {
  /** What is waited for, as the end of the sentence "waited 10000 ms for …". */
  what: string
  /** Default 10 s. A condition that never settles is covered too. */
  timeoutMs?: number
  /** Pause between two looks. Default 10 ms. */
  intervalMs?: number
}

/**
 * Resolves with the first truthy answer of `condition`. A condition that throws counts as "not yet" (the server may
 * just be restarting); its last error is the `cause` of the one thrown at the limit.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = 10_000, intervalMs = 10 }: UntilOptions,
): Promise<T> {
  const limit = new AbortController()
  const expired = pause(timeoutMs, 'expired' as const, { signal: limit.signal })
  expired.catch(() => {})
  const deadline = performance.now() + timeoutMs
  let lastError: unknown
  let lastAnswer: unknown
  try {
    while (performance.now() < deadline) {
      const look = (async () => ({ answer: await condition() }))()
      look.catch(() => {})
      try {
        const seen = await Promise.race([look, expired])
        if (seen === 'expired') break
        if (seen.answer) return seen.answer
        lastAnswer = seen.answer
        lastError = undefined
      } catch (error) {
        lastError = error
      }
      await pause(intervalMs)
    }
  } finally {
    limit.abort()
  }
  const detail = lastError === undefined ? `last answer: ${String(lastAnswer)}` : `last error: ${String(lastError)}`
  throw new Error(`waited ${timeoutMs} ms for ${what} (${detail})`, { cause: lastError })
}
