// What a pool is made of, what may be asked of it, and what it tells.

import type { BreakerState } from '../breaker/breaker.js'
import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver, Endpoint, Role } from '../driver.js'
import type { MooringsError, PoolCounts } from '../errors.js'
import type { CloseReason, HealthStatus } from '../events.js'
import type { Resilience } from '../options.js'
import type { SessionStats } from '../session/session-stats.js'
import type { StatementStats } from '../statement/accounts.js'
import type { TransactionStats } from '../transaction/accounts.js'
import type { Percentiles } from './histogram.js'
import type { Taking } from './stacks.js'

export interface AcquireOptions {
  /** Ends the wait with AcquireAbortedError. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds; default `resilience.pool.acquireTimeoutMs`. */
  readonly timeoutMs?: number | undefined
  /**
   * For a single statement: it cannot be forgotten, so no stack is kept for a report of leaks; and what it leaves on the
   * session stays there. Default false.
   */
  readonly brief?: boolean | undefined
  /** Where it is asked for, by whoever has noted that already. Default: where `acquire` is called. */
  readonly taking?: Taking | undefined
  /**
   * Waits also while no server answers, as if there was hope: for what is under way already. Default false.
   */
  readonly patient?: boolean | undefined
  /**
   * Waits before all others: for what they may be waiting for themselves, such as the end of a transaction that is in doubt.
   * Default false.
   */
  readonly urgent?: boolean | undefined
}

export interface StartOptions {
  /** Milliseconds; default `resilience.pool.acquireTimeoutMs`. */
  readonly timeoutMs?: number | undefined
  /** Whether the first failure to connect is told at once, rather than tried again until the time is over. Default false. */
  readonly failFast?: boolean | undefined
}

export interface SuspendOptions {
  /**
   * How long callers wait for `resume()`, in milliseconds from now: after that those that wait are rejected with
   * PoolSuspendedError, and so is everybody who comes. Default 60 000; 0 refuses at once.
   */
  readonly refuseAfterMs?: number | undefined
}

/** Which connections: one by its id, those that lead to an endpoint, or all. */
export type ConnectionSelector =
  | { readonly id: number; readonly endpoint?: undefined }
  | { readonly endpoint: Pick<Endpoint, 'host' | 'port'>; readonly id?: undefined }

/** What `pool.resize()` may change; what is not given stays. */
export interface PoolSize {
  readonly min?: number | undefined
  readonly minIdle?: number | undefined
  readonly max?: number | undefined
  readonly overflow?: number | undefined
}

export type PoolState = 'new' | 'running' | 'suspended' | 'closing' | 'closed'

/** One connection, as it is now. */
export interface ConnectionStats {
  readonly id: number
  /** `host:port`. */
  readonly endpoint: string
  readonly state: 'idle' | 'leased' | 'checking' | 'resetting'
  readonly ageMs: number
  /** Milliseconds in its present state, or leased and not yet clean again. */
  readonly forMs: number
  /** How often it was lent. */
  readonly uses: number
}

/** A snapshot: plain numbers and strings, fit for JSON. Totals count from when the pool was made. */
export interface PoolStats extends PoolCounts {
  readonly name: string
  readonly state: PoolState
  readonly epoch: number
  readonly min: number
  readonly minIdle: number
  /** How many connections it keeps open now, between `min` and `max`; follows the load. */
  readonly warm: number
  /** Connections beyond `max`, now. */
  readonly overflowing: number
  /** The share of `max` that is lent, now; above 1 while overflow connections are. */
  readonly utilisation: number

  /** Connections made. */
  readonly created: number
  /** Connections that left it. */
  readonly closed: number
  readonly closedBy: Readonly<Record<CloseReason, number>>
  /** Those of them that were lost, or destroyed for a fault, rather than retired. */
  readonly lost: number
  /** Connects that failed. */
  readonly connectFailures: number
  readonly lastConnectError:
    | { readonly name: string; readonly code: string | undefined; readonly message: string }
    | undefined

  /** Callers that were given a connection. */
  readonly acquired: number
  /** Callers that were not: by timeout, by a full queue, by their own signal, by anything else. */
  readonly timeouts: number
  readonly refused: number
  readonly aborted: number
  readonly failed: number

  /** Leases held past `leakAfterMs`: now, ever reported, ever taken back. */
  readonly leaks: { readonly now: number; readonly found: number; readonly reclaimed: number }

  /** How long callers waited for a connection, held it, and how long connecting took, in milliseconds. */
  readonly wait: Percentiles
  readonly use: Percentiles
  readonly connect: Percentiles

  /** Statements that took long, see `statement.livenessAfterMs`. */
  readonly liveness: LivenessStats
  /** What its transactions came to. */
  readonly transactions: TransactionStats
  /** What became of statements outside of transactions whose connections were lost. */
  readonly statements: StatementStats
  /** Those that go on, the oldest first. */
  readonly sessions: readonly SessionStats[]

  readonly connections: readonly ConnectionStats[]
  /** By `host:port`. */
  readonly endpoints: Readonly<Record<string, EndpointStats>>
  /** What the last check said, if there was one. */
  readonly health: HealthStatus | undefined
}

/** Since the pool was made. */
export interface LivenessStats {
  /** How often a server was asked what it works on. */
  readonly asks: number
  /** Statements that were not waited for any longer, as it did not work on them, or was not there any more. */
  readonly lost: number
}

export interface EndpointStats {
  /**
   * As its newest connection shows it; undefined before there was one, where the server was not asked, and of one that was
   * the primary, since another was found to be it.
   */
  readonly role: Role | undefined
  /** Whether connects to it are let through; undefined without a breaker. */
  readonly breaker: BreakerState | undefined
  readonly connections: number
  readonly leased: number
}

/** Whether the pool does its work, why not, and what to do about it. */
export interface PoolHealth {
  readonly status: HealthStatus
  /** What is wrong; empty when healthy. */
  readonly reasons: readonly string[]
  /** One for each reason that has one. */
  readonly recommendations: readonly string[]
  /** How long the database took to answer, in milliseconds; undefined when it did not. */
  readonly latencyMs: number | undefined
  readonly error: MooringsError | undefined
  readonly stats: PoolStats
}

export interface PoolSetup<C extends Connection> {
  readonly driver: Driver<C>
  readonly resilience: Resilience
  /** In events; default `default`. */
  readonly name?: string | undefined
  /** Shared with the driver, so that pool and statements wait on one timer. */
  readonly deadlines: Deadlines
  readonly random?: () => number
}
