// `resilience.session`: what holds for every session that does not say otherwise.

import type { z } from 'zod'
import { strictOptions } from '../option-problems.js'
import { milliseconds, word } from '../option-schemas.js'

/** What holds for every session; each limit may be said otherwise for a single one. In whole milliseconds. */
export interface SessionDefaults {
  /**
   * How long a session may take. Then what runs on it is stopped and undone, its connection is destroyed, and whoever
   * uses it gets a SessionExpiredError. Default 1 800 000 (half an hour), 0 = no limit.
   */
  maxDurationMs?: number | undefined
  /**
   * How long a session keeps a connection that it does not use: then it is lent to others, and the session takes one anew
   * with its next statement. Only outside of transactions, and where nothing was left on the connection that the next
   * statement may need (settings, temporary tables, locks, …). Default 60 000, 0 = to the end.
   */
  idleTimeoutMs?: number | undefined
  /**
   * A piece of work, a statement or a transaction, that goes on for longer is reported, once. Default 30 000, 0 = never.
   */
  warnAfterMs?: number | undefined
  /**
   * What becomes of a session, an advisory lock, LISTEN, or a statement that leaves something on its session (SET, temporary
   * tables, …) where a pooler on the way lends a server's session for one transaction only, as PgBouncer does in transaction
   * mode. `refuse`: a PoolerError, and nothing is sent. `allow`: nobody looks, for poolers that keep a session together by
   * themselves once something is left on it. Default `refuse`. See docs/poolers.md.
   */
  behindPooler?: 'refuse' | 'allow' | undefined
}

/** The same with every default filled in; frozen. */
export type ResolvedSessionDefaults = {
  readonly [Name in keyof SessionDefaults]-?: NonNullable<SessionDefaults[Name]>
}

export const sessionDefaults = strictOptions({
  maxDurationMs: milliseconds(0).default(1_800_000),
  idleTimeoutMs: milliseconds(0).default(60_000),
  warnAfterMs: milliseconds(0).default(30_000),
  behindPooler: word(['refuse', 'allow']).default('refuse'),
} satisfies Record<keyof SessionDefaults, z.ZodType>)
