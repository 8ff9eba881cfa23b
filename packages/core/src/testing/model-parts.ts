// What a pool's model is made of.

import type { MooringsError } from '../errors.js'
import type { PoolStats } from '../pool/setup.js'

/** Whoever asks for a connection. */
export interface Borrower {
  readonly name: string
  state: 'asking' | 'waiting' | 'holding' | 'over'
  /** Whose connection it holds while it asks for another. */
  readonly within: Borrower | undefined
  readonly limitMs: number
  /** What was left of its time at `since`; it stands still while the pool is suspended. */
  leftMs: number
  since: number
  /** As if it had come later by the time it waited while the pool was suspended. */
  joinedAt: number
  aborted: boolean
  /** The connection's id, once lent. */
  connection: number | undefined
  takenAt: number
  leaked: boolean
  /** Why it went without. */
  error: MooringsError | undefined
}

/** A connection in the pool. */
export interface Member {
  readonly id: number
  readonly endpoint: string
  readonly arrivedAt: number
  idleSince: number
  uses: number
  stale: boolean
}

/** What the model cannot know by itself. */
export interface Sight {
  readonly now: () => number
  /** Of a connection that has just arrived: in which epoch its connect began. */
  readonly epochOf: (id: number) => number
  /** The pool's own figures. */
  readonly stats: () => PoolStats
  readonly lost: (id: number) => boolean
  /** What keeps this connection from being lent: it is gone, dirty, not approved of by a hook. */
  readonly unfit: (id: number) => string | undefined
  readonly lent: (id: number) => void
  readonly note: (line: string) => void
}
