// What a pool is made of, what may be asked of it, and what it tells.

import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver } from '../driver.js'
import type { PoolCounts } from '../errors.js'
import type { Resilience } from '../options.js'

export interface AcquireOptions {
  /** Ends the wait with AcquireAbortedError. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds; default `resilience.pool.acquireTimeoutMs`. */
  readonly timeoutMs?: number | undefined
}

/** A snapshot; plain numbers. */
export interface PoolStats extends PoolCounts {
  readonly epoch: number
  /** Connections made since the pool began. */
  readonly created: number
  /** Connections that left it. */
  readonly closed: number
  /** Those of them that were lost rather than retired. */
  readonly lost: number
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
