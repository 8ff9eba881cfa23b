// What a pool tells of its sessions.

/** A session that goes on, as it is now. */
export interface SessionStats {
  readonly name: string | undefined
  /** Where it was begun, `file:line:column`, as far as that is known. */
  readonly begunAt: string | undefined
  readonly ageMs: number
  /** The id of the connection it has; undefined while it has none. */
  readonly connection: number | undefined
  /** So far, those that begin and end transactions included. */
  readonly statements: number
  /** `lost`: its connection is gone, with what was left on it, and its body has not ended yet. */
  readonly state: 'idle' | 'working' | 'lost'
  readonly inTransaction: boolean
  /** How long its oldest piece of work goes on; while it is idle, since the last one. */
  readonly forMs: number
}
