// No connection could be had.

import { describeCause, isMooringsError, MooringsError, type MooringsErrorOptions, named } from './base.js'

/** What the pool looked like when an acquire gave up. */
export interface PoolCounts {
  idle: number
  leased: number
  connecting: number
  waiting: number
  max: number
  overflow: number
}

/** Somebody who holds a connection. */
export interface LeaseHolder {
  /** The connection's. */
  readonly id: number
  readonly heldMs: number
  /** Where it was taken, `file:line:column`; undefined for an ORM's single statement, which takes no note of it. */
  readonly takenAt: string | undefined
}

/**
 * No connection within `acquireTimeoutMs`. `pool` holds the counts, `holders` who has held a connection for longest (the
 * three first of them), `cause` the last failure to connect, if any.
 */
export class AcquireTimeoutError extends MooringsError {
  readonly waitedMs: number
  readonly pool: PoolCounts
  readonly holders: readonly LeaseHolder[]
  static {
    named(this, 'AcquireTimeoutError')
  }
  constructor(waitedMs: number, pool: PoolCounts, holders: readonly LeaseHolder[] = [], cause?: unknown) {
    super(
      'acquire',
      `No connection within ${Math.round(waitedMs)} ms (${describeCounts(pool)})${describeHolders(holders)}${
        cause instanceof Error ? `; the last connect failed: ${cause.message}` : ''
      }`,
      { cause, retry: 'reconnect' },
    )
    this.waitedMs = waitedMs
    this.pool = pool
    this.holders = holders
  }
}

function describeHolders(holders: readonly LeaseHolder[]): string {
  const [longest] = holders
  if (longest === undefined) return ''
  const taken = longest.takenAt === undefined ? '' : `, taken at ${longest.takenAt}`
  return `; the longest held for ${Math.round(longest.heldMs)} ms${taken}`
}

/**
 * A caller that holds a connection of this pool waits for another, all others are held by callers that do the same,
 * and none of them has sent anything for a second. Usually the root `db` was used inside a transaction.
 */
export class SelfDeadlockError extends MooringsError {
  readonly pool: PoolCounts
  readonly holders: readonly LeaseHolder[]
  static {
    named(this, 'SelfDeadlockError')
  }
  constructor(pool: PoolCounts, holders: readonly LeaseHolder[]) {
    super(
      'acquire',
      `This caller holds a connection and waits for another one, while every connection of the pool is held by callers that wait like it (${describeCounts(pool)})${describeHolders(holders)}. Inside a transaction, use the transaction's own handle; or raise resilience.pool.max`,
    )
    this.pool = pool
    this.holders = holders
  }
}

/** The pool is suspended (`pool.suspend()`), and has been for longer than callers are to wait for it. */
export class PoolSuspendedError extends MooringsError {
  static {
    named(this, 'PoolSuspendedError')
  }
  constructor(suspendedMs: number) {
    super('acquire', `The pool was suspended ${Math.round(suspendedMs)} ms ago and was not resumed`, {
      retry: 'reconnect',
    })
  }
}

/** A hook of the application's own threw, rejected, or took too long; `cause` is what it threw. */
export class HookError extends MooringsError {
  readonly hook: string
  static {
    named(this, 'HookError')
  }
  constructor(hook: string, message: string, options: MooringsErrorOptions = {}) {
    super('acquire', `The ${hook} hook ${message}`, options)
    this.hook = hook
  }
}

/** The pool is closing or closed. */
export class PoolClosedError extends MooringsError {
  static {
    named(this, 'PoolClosedError')
  }
  constructor(message = 'The pool is closed: no connection can be taken from it') {
    super('acquire', message)
  }
}

/** As many callers wait as `maxWaiters` allows: refused at once rather than queued without hope. */
export class QueueFullError extends MooringsError {
  readonly pool: PoolCounts
  static {
    named(this, 'QueueFullError')
  }
  constructor(maxWaiters: number, pool: PoolCounts) {
    super('acquire', `${maxWaiters} callers already wait for a connection (maxWaiters); ${describeCounts(pool)}`, {
      retry: 'reconnect',
    })
    this.pool = pool
  }
}

function describeCounts(pool: PoolCounts): string {
  return `${pool.leased} leased, ${pool.idle} idle, ${pool.connecting} connecting, ${pool.waiting} waiting; max ${pool.max}, overflow ${pool.overflow}`
}

/** How things were with a breaker that refused a call. */
export interface OpenCircuit {
  readonly sinceMs: number
  readonly retryInMs: number | undefined
  /** By `forceOpen()`. */
  readonly byHand: boolean
  /** The last failure. */
  readonly cause: unknown
}

/**
 * Refused at once, because too much of what was tried lately has failed: the breaker is open. Nothing was done. `cause`
 * is the last failure; undefined where it was opened by hand.
 */
export class CircuitOpenError extends MooringsError {
  /** The breaker's name: an endpoint of the database, or what `guard()` was given. */
  readonly breaker: string
  /** For how long the outage goes on, in milliseconds. */
  readonly sinceMs: number
  /** In how many milliseconds it is tried again; undefined while somebody keeps it open by hand. */
  readonly retryInMs: number | undefined
  static {
    named(this, 'CircuitOpenError')
  }
  constructor(breaker: string, { sinceMs, retryInMs, byHand, cause }: OpenCircuit) {
    const next = retryInMs === undefined ? '' : `; it is tried again in ${retryInMs} ms`
    super(
      'acquire',
      byHand
        ? `${breaker} is not called: its breaker was opened by hand ${sinceMs} ms ago, and stays open until forceClose() or reset()`
        : `${breaker} is not called: its breaker opened ${sinceMs} ms ago, because too many calls had failed${describeFailure(cause)}${next}`,
      { cause, retry: 'reconnect' },
    )
    this.breaker = breaker
    this.sinceMs = sinceMs
    this.retryInMs = retryInMs
  }
}

/** What somebody else's error says may hold anything. */
function describeFailure(cause: unknown): string {
  if (isMooringsError(cause)) return `, the last with: ${cause.message}`
  const described = describeCause(cause)
  if (described === undefined) return ''
  return `, the last with ${described.name}${described.code === undefined ? '' : ` (${described.code})`}`
}

/** The caller's AbortSignal fired while it waited; `cause` is the signal's reason. */
export class AcquireAbortedError extends MooringsError {
  static {
    named(this, 'AcquireAbortedError')
  }
  constructor(cause: unknown) {
    super('acquire', 'The wait for a connection was aborted by its signal', { cause })
  }
}
