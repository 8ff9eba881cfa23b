// What a pool tells the outside, through node:diagnostics_channel. Nothing is built unless somebody subscribed.
// Names and payloads are public: this file is their documentation.

import { type Channel, channel } from 'node:diagnostics_channel'
import type { CommitOutcome, Endpoint, Role, WorkState } from './driver.js'
import type { ConnectionLostError, MooringsError } from './errors.js'
import type { ReplicaState } from './replicas/replica.js'

/** Why a connection left the pool. */
export type CloseReason =
  /** The server or the network ended it. */
  | 'lost'
  /** Its borrower, or whoever ran a statement on it, gave it up. */
  | 'destroyed'
  /** One more than `max` for a burst that is over. */
  | 'overflow'
  /** Older than `maxLifetimeMs`. */
  | 'lifetime'
  /** Borrowed `maxUses` times. */
  | 'uses'
  /** Another one serves better, for what this one has gathered: statements it prepared that nobody asks for any more. */
  | 'worn'
  /** Idle for `idleTimeoutMs`. */
  | 'idle'
  /** `invalidate()`. */
  | 'epoch'
  /** `evict()`. */
  | 'evicted'
  /** Given back in a state that could not be mended. */
  | 'unfit'
  /** It gave no sign of life. */
  | 'invalid'
  /** A hook wanted it so. */
  | 'hook'
  /** Held for too long, and taken back (`reclaimLeaks`). */
  | 'reclaimed'
  /** `close()`. */
  | 'closing'

/** Why an answer is not waited for any longer, as {@link WorkState} has it. */
export type LostState = Extract<WorkState, 'idle' | 'gone' | 'unreachable'>

export type HookName = 'beforeConnect' | 'afterConnect' | 'beforeAcquire' | 'afterRelease' | 'beforeClose'

/** Which pool it was. Several may bear one name; `poolId` is one pool's alone in this process. */
export interface PoolIdentity {
  readonly pool: string
  readonly poolId: number
}

/** What a breaker stands in front of: the database itself, or something else that the application calls. */
export type BreakerKind = 'database' | 'external'

/** Whose breaker it is: a pool's, or nobody's, as those of `guard()`. */
export type BreakerOwner = PoolIdentity | { readonly pool: undefined; readonly poolId: undefined }

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy'

/** What each event carries besides the pool's identity. Durations are in milliseconds. */
export interface EventDetails {
  // --- the pool ---
  /** Its first use. */
  'moorings:pool:started': { min: number; max: number; overflow: number }
  'moorings:pool:suspended': { refuseAfterMs: number }
  'moorings:pool:resumed': { suspendedMs: number; waiting: number }
  'moorings:pool:resized': { min: number; minIdle: number; max: number; overflow: number }
  /** The number of connections it keeps warm follows the load. */
  'moorings:pool:scaled': { from: number; to: number; utilisation: number }
  /** Connections were retired (`invalidate`) or destroyed (`evict`): all, those of an endpoint, or one. */
  'moorings:pool:invalidated': { how: 'invalidate' | 'evict'; connections: number; endpoint?: string; id?: number }
  'moorings:pool:closing': { leased: number; waiting: number; timeoutMs: number }
  'moorings:pool:closed': { tookMs: number; destroyed: number }
  /** `health()` or the background check came to another verdict than the last one. */
  'moorings:health:changed': { from: HealthStatus | undefined; to: HealthStatus; reasons: readonly string[] }
  /**
   * Names in `resilience.errors.constraints` or `columns` that no constraint of the database has. Looked up once, after the
   * first violation of any constraint.
   */
  'moorings:constraints:unknown': { names: readonly string[] }

  // --- connections ---
  /** A connection was made. */
  'moorings:connection:opened': { id: number; endpoint: Endpoint; tookMs: number }
  /** A connection left the pool; `error` says what happened to it if it did not go by our own will. */
  'moorings:connection:closed': {
    id: number
    endpoint: Endpoint
    reason: CloseReason
    ageMs: number
    uses: number
    error: MooringsError | undefined
  }
  /** A connection was asked for a sign of life: before being lent, or while it rested. */
  'moorings:connection:checked': {
    id: number
    why: 'acquire' | 'keepalive'
    tookMs: number
    error: MooringsError | undefined
  }
  /** What a borrower had left on it was undone. */
  'moorings:connection:reset': { id: number; tookMs: number; error: MooringsError | undefined }
  /**
   * A connection could not be made; the next attempt is `retryInMs` away. `again`: nor could the one before it, for the
   * same reason by kind and code.
   */
  'moorings:connect:failed': { error: MooringsError; retryInMs: number; again: boolean }
  /** Another endpoint turned out to be the primary: connections to the old one are retired. */
  'moorings:endpoint:moved': { from: string; to: string }
  /** A server shows another role than when a connection to it was made, as one that was promoted, or refuses writes. */
  'moorings:endpoint:changed': { endpoint: string; from: Role | undefined; to: Role | undefined }
  /** A replica is read from, or not any more: `lagMs` is how old what it shows was, where that is known. */
  'moorings:replica:changed': { replica: string; from: ReplicaState; to: ReplicaState; lagMs: number | undefined }
  /**
   * The way to an endpoint was found to lead through a pooler that lends a server's session for one transaction only. Told
   * once of each.
   */
  'moorings:pooler:found': { endpoint: string }
  /**
   * A prepared statement was not found again, as behind a pooler that knows nothing of them: on the way to this endpoint
   * nothing is prepared any more. Told once of each.
   */
  'moorings:prepare:disabled': { endpoint: string; error: MooringsError }
  /** ROLLBACK failed: the connection was destroyed, and the caller got the error that had caused the roll-back. */
  'moorings:rollback:failed': { id: number; error: MooringsError }
  /** A transaction is run again in `delayMs`; `attempt` is the one that failed. */
  'moorings:transaction:retried': { attempt: number; error: MooringsError; delayMs: number }
  /**
   * A statement outside of a transaction is sent again on another connection: its own, `id`, was lost. `attempt` is the one
   * that failed; `error.sent` is false if it was not carried out for certain.
   */
  'moorings:statement:resent': { id: number; attempt: number; error: ConnectionLostError }
  /** A COMMIT was not answered, and was looked up. `error` is why that could not be done. */
  'moorings:commit:resolved': {
    transactionId: string
    outcome: CommitOutcome
    tookMs: number
    error: MooringsError | undefined
  }
  /** A callback threw that was to run after a transaction, or before it is run again. Nothing else comes of it. */
  'moorings:after:failed': { after: 'committed' | 'rolled-back' | 'retry'; error: MooringsError }
  /** A query on the root database inside `db.transaction()` ran outside of that transaction. */
  'moorings:root:used': { attempt: number }
  /** A session took longer than its `maxDurationMs`: its connection, if it had one, was destroyed. `session` is its name. */
  'moorings:session:expired': {
    session: string | undefined
    id: number | undefined
    ageMs: number
    inTransaction: boolean
  }
  /** A piece of a session's work, a statement or a transaction, goes on for longer than `warnAfterMs`. Told once of each. */
  'moorings:session:long': { session: string | undefined; id: number; forMs: number; inTransaction: boolean }
  /** The server was asked about statements that take long: how many of them it works on. */
  'moorings:liveness:asked': {
    endpoint: string
    connections: number
    states: Readonly<Record<WorkState, number>>
    tookMs: number
  }
  /** The answer to a statement was not waited for any longer, as it will never come: the connection was given up. */
  'moorings:liveness:lost': {
    id: number
    endpoint: Endpoint
    state: LostState
    waitedMs: number
    error: ConnectionLostError
  }
  /** A hook threw, rejected or took too long. */
  'moorings:hook:failed': { hook: HookName; id: number | undefined; error: MooringsError }

  // --- breakers ---
  /**
   * A breaker opened: calls are refused. `again`: it was a probe that failed, so that the outage goes on; `retryInMs` is
   * undefined where it was opened by hand.
   */
  'moorings:breaker:opened': {
    breaker: string
    kind: BreakerKind
    byHand: boolean
    again: boolean
    retryInMs: number | undefined
    lastError: { readonly name: string; readonly code?: string } | undefined
  }
  /** The next call is a probe. */
  'moorings:breaker:half-opened': { breaker: string; kind: BreakerKind; openMs: number }
  /** Calls are let through again, after `openMs`. */
  'moorings:breaker:closed': { breaker: string; kind: BreakerKind; byHand: boolean; openMs: number }

  // --- callers ---
  /** A caller was given a connection. */
  'moorings:lease:taken': { id: number; waitedMs: number }
  /** It was given back, or its connection was taken away. */
  'moorings:lease:returned': { id: number; heldMs: number }
  /** A caller has to wait. */
  'moorings:acquire:queued': { waiting: number }
  /** A caller went without: a timeout, a full queue, a signal, a closed or suspended pool, a self-deadlock. */
  'moorings:acquire:failed': { error: MooringsError; waitedMs: number }
  /** A lease is held for longer than `leakAfterMs`. `stack` is where it was taken, when that is known. */
  'moorings:leak:found': { id: number; heldMs: number; stack: string | undefined }
  /** A lease that was reported as leaked came back after all. */
  'moorings:leak:returned': { id: number; heldMs: number; stack: string | undefined }
  /** Its connection was destroyed (`reclaimLeaks`). */
  'moorings:leak:reclaimed': { id: number; heldMs: number; stack: string | undefined }
}

export type EventName = keyof EventDetails

/** Whose event it is. */
export type EventOwner<Name extends EventName> = Name extends `moorings:breaker:${string}` ? BreakerOwner : PoolIdentity

/** What is published on each channel. */
export type PoolEvents = { readonly [Name in EventName]: EventOwner<Name> & EventDetails[Name] }

const channels = new Map<EventName, Channel>()

function channelOf(name: EventName): Channel {
  let found = channels.get(name)
  if (found === undefined) {
    found = channel(name)
    channels.set(name, found)
  }
  return found
}

/** For where even asking by `publish` would cost something. */
export function hears(name: EventName): boolean {
  return channelOf(name).hasSubscribers
}

/** Calls `build` only if somebody listens. */
export function publish<Name extends EventName>(
  name: Name,
  { pool, poolId }: EventOwner<Name>,
  build: () => EventDetails[Name],
): void {
  const to = channelOf(name)
  if (to.hasSubscribers) to.publish({ pool, poolId, ...build() })
}
