// What the demo asks of a bank, whichever ORM keeps it.

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
  connections(): Connections
  /** Closes the pool. */
  close(): Promise<void>
}

export interface Connections {
  readonly created: number
  readonly lost: number
}

/**
 * The two changes of a transfer, the account with the lower number first: transfers that lock accounts in one order
 * cannot deadlock.
 */
export function changesOf({ debited, credited, amount }: Transfer): { account: number; change: number }[] {
  const changes = [
    { account: debited, change: -amount },
    { account: credited, change: amount },
  ]
  return changes.sort((a, b) => a.account - b.account)
}

/** Fewer connections than tellers, so that some always wait for one. */
export const resilience = { pool: { min: 2, max: 6, overflow: 0, acquireTimeoutMs: 10_000 } }
