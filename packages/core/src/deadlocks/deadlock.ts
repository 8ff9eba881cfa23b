// One deadlock, as far as whoever was its victim could find out.

/** What a process waits for: another transaction's end (as for a row it has changed), a row, a table, … */
export type LockedObject = 'transaction' | 'row' | 'relation' | 'advisory' | 'other'

/** One of those that wait for each other. */
export interface DeadlockSide {
  /** The server's process; undefined where it was not told. */
  readonly pid: number | undefined
  /** Its statement with `?` for every literal; undefined where it is another program's, or is not known. */
  readonly statement: string | undefined
  /** What it waited for. */
  readonly waitsFor: LockedObject | undefined
  /** The kind of lock it wanted, as the server calls it: `ShareLock`. */
  readonly lockMode: string | undefined
  /** The table (or index) where it waited, where the server has told. */
  readonly relation: string | undefined
  /** Numbers of what it waited for: of a relation, or an advisory lock's key. */
  readonly objects: readonly number[]
}

/** Who blocked whom. */
export interface Deadlock {
  /** Each waits for the next, and the last for the first, which is the victim. */
  readonly sides: readonly DeadlockSide[]
  /** Tables where the server was looking for a foreign key's rows when the victim was blocked. */
  readonly checked: readonly string[]
}
