// What a pool tells the outside, through node:diagnostics_channel. Nothing is built unless somebody subscribed.
// Names and payloads are public.

import { type Channel, channel } from 'node:diagnostics_channel'
import type { Endpoint } from './driver.js'
import type { MooringsError } from './errors.js'

/** Why a connection left the pool. */
export type CloseReason =
  | 'lost'
  | 'destroyed'
  | 'overflow'
  | 'lifetime'
  | 'idle'
  | 'epoch'
  | 'unfit'
  | 'invalid'
  | 'closing'

export interface PoolEvents {
  /** A connection was made. */
  'moorings:connection:opened': { pool: string; id: number; endpoint: Endpoint; tookMs: number }
  /** A connection left the pool; `error` says what happened to it if it did not go by our own will. */
  'moorings:connection:closed': { pool: string; id: number; reason: CloseReason; error: MooringsError | undefined }
  /** A connection could not be made; the next attempt is `retryInMs` away. */
  'moorings:connect:failed': { pool: string; error: MooringsError; retryInMs: number }
  /** ROLLBACK failed: the connection was destroyed, and the caller got the error that had caused the roll-back. */
  'moorings:rollback:failed': { pool: string; id: number; error: MooringsError }
}

const channels = new Map<string, Channel>()

export function publish<Name extends keyof PoolEvents>(name: Name, build: () => PoolEvents[Name]): void {
  let found = channels.get(name)
  if (found === undefined) {
    found = channel(name)
    channels.set(name, found)
  }
  if (found.hasSubscribers) found.publish(build())
}
