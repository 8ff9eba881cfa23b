// Those that are compared: ways to do one and the same work in the database, each as its documentation has it.

export interface Settings {
  readonly url: string
  /** Who ask at the same time, each for one thing after the other. */
  readonly callers: number
  /** The most that a pool may have. */
  readonly connections: number
  /** Texts in which a row is selected, each as good as the other. Default: one. */
  readonly texts?: number
}

/** What the loads are made of. */
export interface Operations {
  /** One row, by its primary key. */
  select(id: number): Promise<readonly unknown[]>
  insert(account: number): Promise<unknown>
  /** Reads an account, changes it, and writes down that it did: three statements. */
  transaction(id: number): Promise<unknown>
  /** `rowsAtOnce` rows from that one on. */
  rows(first: number): Promise<readonly unknown[]>
}

export interface Client {
  /** Those of that caller, from 0; of a pool they are the same for all. */
  of(caller: number): Operations
  close(): Promise<unknown>
}

export interface Subject {
  readonly name: string
  /** Not somebody to compare with, but what nobody can be faster than. It talks to nobody: no wire makes it slower. */
  readonly floor?: true
  /** Loads its libraries, and no other's: what memory a process takes is its own. */
  open(settings: Settings): Promise<Client>
}

/** The subjects of one kind. The first is the measure of the others: its ratio is 1. */
export interface Family {
  readonly name: string
  readonly subjects: readonly Subject[]
  /** Whether `pgbench` is asked, too, how fast the server itself is. */
  readonly pgbench?: true
}

export function sharedByAll(operations: Operations, close: () => Promise<unknown>): Client {
  return { of: () => operations, close }
}
