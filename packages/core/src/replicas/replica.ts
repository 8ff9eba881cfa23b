// One replica: its pool, and what is known of how much it shows.

import type { Deadline, Deadlines } from '../deadlines.js'
import type { Connection } from '../driver.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { AcquireOptions } from '../pool/setup.js'
import { isBusy } from './asking.js'
import type { Positions } from './positions.js'
import type { ResolvedReplicasOptions } from './replicas-options.js'

/**
 * - `unchecked`: nobody knows yet how much it shows
 * - `fit`: it is read from
 * - `lagging`: it shows too little
 * - `down`: it cannot be reached, does not answer, or its pool is suspended or closed
 */
export type ReplicaState = 'unchecked' | 'fit' | 'lagging' | 'down'

/** How soon a reader that waits sees that it waits in vain. */
const LOOK_MS = 50
/** How long a replica may take to make a connection while it has none, before the reader goes elsewhere. */
const HOPE_MS = 1_000

export class Replica<C extends Connection> {
  readonly pool: Pool<C>
  /** How often it has lent a connection to a reader. */
  reads = 0
  readonly #deadlines: Deadlines
  readonly #options: ResolvedReplicasOptions
  #silent = false
  #checked = false
  #untold = false
  #shownAt: number | undefined
  #position: bigint | undefined
  #strayed = false

  constructor(pool: Pool<C>, deadlines: Deadlines, options: ResolvedReplicasOptions) {
    this.pool = pool
    this.#deadlines = deadlines
    this.#options = options
  }

  state(now: number): ReplicaState {
    const { maxLagMs, checkEveryMs } = this.#options
    if (this.#silent || this.pool.reach === 'none') return 'down'
    if (maxLagMs === 0 || this.#untold) return 'fit'
    if (this.#shownAt === undefined) return this.#checked ? 'lagging' : 'unchecked'
    // Between two checks it cannot be known to have caught up, and mostly has.
    return now - this.#shownAt <= maxLagMs + checkEveryMs ? 'fit' : 'lagging'
  }

  /** How long ago everything it shows was all there was; undefined where that is not known. */
  lagMs(now: number): number | undefined {
    return this.#shownAt === undefined ? undefined : now - this.#shownAt
  }

  /** Whether a check has told all that it can, or another one soon may tell more. */
  get known(): boolean {
    return this.#silent || this.#untold || this.#shownAt !== undefined
  }

  silent(): void {
    this.#silent = true
  }

  /** It cannot tell where its log is, or there is nothing to hold that against. */
  untold(): void {
    this.#silent = false
    this.#untold = true
    this.#shownAt = undefined
  }

  /**
   * It has told where its log is.
   *
   * @param primary the primary's, which was asked before; undefined where that did not answer
   */
  told(position: bigint, primary: bigint | undefined, positions: Positions): void {
    const before = this.#position
    this.#position = position
    this.#silent = this.#untold = false
    this.#checked = true
    // Further than the primary was later on: it has what another primary had, that is none any more, and stays there.
    const ahead = primary !== undefined && before !== undefined && before > primary && position >= before
    this.#strayed = ahead || (this.#strayed && position === before)
    // The first time it may have gone on since the primary was asked, or not.
    const unsure = primary !== undefined && before === undefined && position > primary
    this.#shownAt = this.#strayed || unsure ? undefined : positions.shownBy(position)
  }

  /** How much it has to do. One that has no connection yet is asked when the others are busy with something. */
  get load(): number {
    const { load, reach } = this.pool
    return reach === 'ready' ? load : load + 1
  }

  /**
   * A connection of its own. It is not waited for while there is none at all; where there are some, and others hold them, it
   * is: what is too much for the replicas would be too much for the primary.
   *
   * @returns undefined when it is to be had elsewhere
   * @throws QueueFullError, AcquireTimeoutError when the replica is busy; AcquireAbortedError
   */
  async lend(options: AcquireOptions, limitMs: number): Promise<Lease<C> | undefined> {
    const { clock } = this.#deadlines
    const hopeUntil = clock.now() + Math.min(HOPE_MS, limitMs / 2)
    const vain = new AbortController()
    const signal = options.signal === undefined ? vain.signal : AbortSignal.any([options.signal, vain.signal])
    let next: Deadline
    const look = () => {
      const { reach } = this.pool
      if (this.#silent || reach === 'none' || (reach === 'unknown' && clock.now() >= hopeUntil)) vain.abort()
      else next = this.#deadlines.add(LOOK_MS, look)
    }
    next = this.#deadlines.add(LOOK_MS, look)
    try {
      return await this.pool.acquire({ ...options, timeoutMs: limitMs, patient: false, signal })
    } catch (error) {
      if (options.signal?.aborted === true || isBusy(error)) throw error
      return undefined
    } finally {
      this.#deadlines.delete(next)
    }
  }
}
