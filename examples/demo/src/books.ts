// What the application knows of its transfers: which were acknowledged, which failed, and which it cannot tell.

import { CommitOutcomeUnknownError, isMooringsError } from '@moorings/core'
import type { Transfer } from './bank.js'

/** `unknown`: the connection was lost while COMMIT was under way. */
export type Outcome = 'acknowledged' | 'unknown' | 'failed'

export class Books {
  readonly outcomes = new Map<string, Outcome>()
  /** How often the application saw which error, by name and code. */
  readonly errors = new Map<string, number>()
  /** Errors that are not Moorings' own, which none should be. */
  readonly untyped: unknown[] = []
  slowestMs = 0
  /** When the last transfer was acknowledged. */
  #acknowledgedAt = performance.now()
  #watch: { readonly since: number; pausedMs: number | undefined } | undefined

  /** Runs one transfer and enters how it ended. Does not throw. */
  async enter(transfer: Transfer, run: (transfer: Transfer) => Promise<void>): Promise<Outcome> {
    const startedAt = performance.now()
    const outcome = await run(transfer).then(
      () => 'acknowledged' as const,
      (error: unknown) => this.#failed(error),
    )
    const now = performance.now()
    this.slowestMs = Math.max(this.slowestMs, now - startedAt)
    if (outcome === 'acknowledged') this.#noteAcknowledged(startedAt, now)
    this.outcomes.set(transfer.id, outcome)
    return outcome
  }

  /** From here on it is measured how long the bank stands still. */
  watch(): void {
    this.#watch = { since: performance.now(), pausedMs: undefined }
  }

  /** From the last transfer acknowledged before `watch` to the first that was begun after it; undefined until then. */
  get pausedMs(): number | undefined {
    return this.#watch?.pausedMs
  }

  #noteAcknowledged(startedAt: number, now: number): void {
    const watch = this.#watch
    if (watch === undefined || now < watch.since) this.#acknowledgedAt = now
    else if (watch.pausedMs === undefined && startedAt > watch.since) watch.pausedMs = now - this.#acknowledgedAt
  }

  count(outcome: Outcome): number {
    let found = 0
    for (const other of this.outcomes.values()) if (other === outcome) found++
    return found
  }

  #failed(error: unknown): Outcome {
    const name = describe(error)
    this.errors.set(name, (this.errors.get(name) ?? 0) + 1)
    if (!isMooringsError(error)) this.untyped.push(error)
    return error instanceof CommitOutcomeUnknownError ? 'unknown' : 'failed'
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : ''
  return `${error.name}${code}`
}
