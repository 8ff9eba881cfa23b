// What a pool's transactions came to, in plain counters.

import type { CommitOutcome } from '../driver.js'

/** Since the pool was made. */
export interface TransactionStats {
  readonly committed: number
  readonly rolledBack: number
  /** COMMIT was not answered, and nobody could tell what became of it. */
  readonly unknown: number
  /** Attempts after the first, by reason. */
  readonly retries: { readonly conflict: number; readonly lost: number; readonly stale: number }
  /** Transactions that failed although they were run again. */
  readonly exhausted: number
  /** Lost connections that were not retried, because too much was being retried already. */
  readonly overBudget: number
  /** Unanswered COMMITs that were looked up, by what was found. */
  readonly resolved: { readonly committed: number; readonly rolledBack: number; readonly unknown: number }
  /** Roll-backs that needed more than ROLLBACK: a statement had to be cancelled first; the connection was destroyed. */
  readonly rollbacks: { readonly cancelled: number; readonly destroyed: number }
}

export class TransactionAccounts {
  committed = 0
  rolledBack = 0
  unknown = 0
  exhausted = 0
  overBudget = 0
  readonly retries: { conflict: number; lost: number; stale: number } = { conflict: 0, lost: 0, stale: 0 }
  readonly resolved: Record<CommitOutcome, number> = { committed: 0, 'rolled-back': 0, unknown: 0 }
  readonly rollbacks: { cancelled: number; destroyed: number } = { cancelled: 0, destroyed: 0 }

  ended(how: 'committed' | 'rolled-back' | undefined): void {
    if (how === 'committed') this.committed++
    else if (how === 'rolled-back') this.rolledBack++
    else this.unknown++
  }

  snapshot(): TransactionStats {
    const { committed, rolledBack, unknown, exhausted, overBudget, retries, resolved, rollbacks } = this
    return {
      ...{ committed, rolledBack, unknown, exhausted, overBudget },
      retries: { ...retries },
      resolved: { committed: resolved.committed, rolledBack: resolved['rolled-back'], unknown: resolved.unknown },
      rollbacks: { ...rollbacks },
    }
  }
}
