// What the demo asks of a bank, whichever ORM keeps it.

import type { PoolStats } from '@moorings/core'

export interface Transfer {
  readonly id: string
  readonly debited: number
  readonly credited: number
  readonly amount: number
}

export interface Bank {
  readonly name: string
  /** The PostgreSQL schema that holds its tables: `accounts` and `ledger`. */
  readonly schema: string
  /** Makes the tables, and accounts numbered from 1 with the same balance each. */
  open(accounts: number, balance: number): Promise<void>
  /** One transaction: debit, credit, and a row in the ledger. Resolves once COMMIT was acknowledged. */
  transfer(transfer: Transfer): Promise<void>
  stats(): PoolStats
  /** Closes the pool. */
  close(): Promise<void>
}

/**
 * The two changes of a transfer, as they come: a bank that means to avoid deadlocks would change the account with the lower
 * number first. Here they are wanted.
 */
export function changesOf({ debited, credited, amount }: Transfer): { account: number; change: number }[] {
  return [
    { account: debited, change: -amount },
    { account: credited, change: amount },
  ]
}

/** Fewer connections than tellers, so that some always wait for one. */
export const resilience = { pool: { min: 2, max: 6, overflow: 0, acquireTimeoutMs: 10_000 } }
