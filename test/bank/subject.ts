// Those that are compared: a way to carry out a transfer, transaction, retries and all.

import type { Isolation, Transfer } from './transfers.js'

export interface BankSettings {
  readonly isolation: Isolation
  /** Connections, one for each worker. */
  readonly connections: number
  /** Ends retries without limit. */
  readonly signal?: AbortSignal
}

export interface Bank {
  /** Calls `attempted` at the beginning of each attempt, which tells how many there are by then. */
  transfer(transfer: Transfer, attempted: () => number): Promise<void>
  close(): Promise<unknown>
}

export interface Subject {
  /** Only those of one ORM are measured by each other. */
  readonly orm: 'drizzle' | 'kysely'
  readonly name: string
  open(url: string, settings: BankSettings): Bank
}
