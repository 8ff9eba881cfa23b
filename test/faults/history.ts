// What a run of transfers leaves behind: what every caller was told, and what the database holds.

/** Money from one account to another. Doing it twice is not the same as doing it once. */
export interface Transfer {
  /** Nobody else's. Nothing in the database keeps it from being there twice. */
  readonly id: string
  readonly debited: number
  readonly credited: number
  readonly amount: number
}

/**
 * - `acknowledged`: it is done
 * - `rejected`: an error that means it was not done, and never will be
 * - `unknown`: an error that says that nobody knows
 * - `strange`: an error that says neither
 * - `hung`: nothing, within the limit of the run
 */
export type Told = 'acknowledged' | 'rejected' | 'unknown' | 'strange' | 'hung'

export interface Entry {
  readonly transfer: Transfer
  readonly told: Told
  /** The error in words, if it was one. */
  readonly error?: string | undefined
  /** The faults that it has met, in order. */
  readonly struck: readonly string[]
  /** Whether something has happened meanwhile after which the server may no longer know what became of it. */
  readonly unknowable: boolean
}

/** What the database holds once nobody can write to it any more. */
export interface Holdings {
  /** A row for each time that a transfer was done. */
  readonly journal: readonly Transfer[]
  readonly balances: ReadonlyMap<number, number>
}

/** What every account held before. */
export interface Opening {
  readonly accounts: number
  readonly balance: number
}
