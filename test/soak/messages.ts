// What the soak and the process under load say to each other.

/** What a load is made of. */
export interface LoadSettings {
  /** Decides what each operation is. */
  readonly seed: number
  /** Callers at one time. */
  readonly callers: number
  /** Settings of the pool that depend on what the network is like. */
  readonly statementTimeoutMs: number
}

export type Order =
  /** Operations from `from` on, `count` of them; answered by the tally so far. */
  | { readonly ask: 'run'; readonly from: number; readonly count: number }
  /** Once nobody holds or waits for anything; answered by a Rest. */
  | { readonly ask: 'rest' }
  /** To bring a run to its end early; has no answer of its own. */
  | { readonly ask: 'stop' }
  /** Closes the pool and ends the process; answered by the report of what is left. */
  | { readonly ask: 'end' }

/** How far the load has come. Plain counts, which do not grow with it. */
export interface Tally {
  readonly started: number
  readonly settled: number
  /** Errors that operations meant to get, and those that faults explain, by name. */
  readonly provoked: Readonly<Record<string, number>>
  readonly byFaults: Readonly<Record<string, number>>
  /** Rows whose commit was acknowledged, and rows nobody can know about, by the kind of their marks. */
  readonly acknowledged: Readonly<Record<string, number>>
  readonly uncertain: Readonly<Record<string, number>>
  /** What must not happen, the first of it in words. */
  readonly wrong: number
  readonly findings: readonly string[]
}

export interface Counts {
  readonly idle: number
  readonly leased: number
  readonly connecting: number
  readonly waiting: number
  readonly created: number
  readonly closed: number
  readonly lost: number
  /** Leases taken, and those of them that came back, also of connections that were lost meanwhile. */
  readonly acquired: number
  readonly returned: number
}

export interface Rest {
  readonly counts: Counts
  /** After garbage collection. */
  readonly heapBytes: number
  readonly tally: Tally
}

export interface Progress {
  readonly tally: Tally
  readonly counts: Counts
  /** After garbage collection, in the middle of the work. */
  readonly heapBytes: number
}
