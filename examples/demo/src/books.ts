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

  /** Runs one transfer and enters how it ended. Does not throw. */
  async enter(transfer: Transfer, run: (transfer: Transfer) => Promise<void>): Promise<Outcome> {
    const startedAt = performance.now()
    const outcome = await run(transfer).then(
      () => 'acknowledged' as const,
      (error: unknown) => this.#failed(error),
    )
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt)
    this.outcomes.set(transfer.id, outcome)
    return outcome
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
