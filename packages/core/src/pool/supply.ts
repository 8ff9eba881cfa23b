// How many connections there should be, and what is done about it: one effort under way for every waiter, so many warm
// ones whether or not anybody waits, and so many idle ones beside those that are lent.

import type { Connection } from '../driver.js'
import { type PoolIdentity, publish } from '../events.js'
import type { Resilience } from '../options.js'
import type { Checks } from './checks.js'
import type { Connector } from './connector.js'
import type { Lease } from './lease.js'
import type { Entry, Roster } from './roster.js'
import type { Size } from './size.js'
import type { Waiters } from './waiters.js'
import type { WarmUp } from './warm-up.js'

export interface SupplyParts<C extends Connection> {
  readonly pool: PoolIdentity
  readonly options: Resilience['pool']
  readonly roster: Roster<C>
  readonly checks: Checks<C>
  readonly connector: Connector<C>
  readonly warmUp: WarmUp
  readonly waiters: Waiters<Lease<C>>
  readonly epoch: () => number
  /** Whether the pool takes anything on. */
  readonly open: () => boolean
  /** Retires it if it is not to be lent any more. */
  readonly retireSpent: (entry: Entry<C>) => boolean
}

export class Supply<C extends Connection> {
  readonly #parts: SupplyParts<C>
  #size: Size
  #warm: number
  #busyMs = 0
  #measuredAt = Number.NaN

  constructor(parts: SupplyParts<C>) {
    const { min, minIdle, max, overflow } = parts.options
    this.#parts = parts
    this.#size = { min, minIdle, max, overflow }
    this.#warm = min
  }

  get size(): Size {
    return this.#size
  }

  /** Connections kept open now. */
  get warm(): number {
    return this.#warm
  }

  resize(size: Size): void {
    this.#size = size
    this.#warm = this.#parts.options.scaling === false ? size.min : Math.min(size.max, Math.max(size.min, this.#warm))
  }

  /** Connections to begin with, whether or not anybody uses them. */
  get initial(): number {
    const { max, minIdle } = this.#size
    return Math.max(1, this.#warm, Math.min(max, minIdle))
  }

  /** Connections beyond which none is kept for having been used only. */
  get wanted(): number {
    const { roster, checks } = this.#parts
    const leased = roster.size - roster.idle.length - checks.size
    const { max, minIdle } = this.#size
    return Math.min(max, Math.max(this.#warm, minIdle === 0 ? 0 : leased + minIdle))
  }

  fill(): void {
    const { roster, checks, connector, warmUp, waiters, open, epoch, retireSpent } = this.#parts
    if (!open()) return
    // What rests comes first: a connect under way may never arrive.
    while (open() && checks.efforts < waiters.size) {
      const entry = roster.wake()
      if (entry === undefined) break
      if (!retireSpent(entry)) checks.forAcquire(entry)
    }
    // A listener to what has just been told may have closed the pool.
    if (!open()) return
    const { max, overflow } = this.#size
    // Asked once: were it not over in one look and over in the next, neither a connect nor a timer would come of it.
    const { ready } = connector
    while (
      ready &&
      (checks.efforts + connector.size < waiters.size || (waiters.size > 0 && connector.searching)) &&
      !connector.scouting &&
      (roster.size + connector.size < max + overflow || connector.makeRoom()) &&
      open()
    ) {
      connector.attempt(epoch())
    }
    // A refused password is not tried again and again behind everybody's back: servers lock accounts for less.
    const wanted = Math.max(connector.lastError?.retry === 'never' ? 0 : this.wanted, warmUp.wanted)
    while (ready && roster.size + connector.size < wanted && !connector.scouting && open()) connector.attempt(epoch())
    if (!open()) return
    if ((!ready || connector.size > 0) && (waiters.size > 0 || roster.size < wanted)) connector.retryLater()
  }

  /**
   * The number of warm connections follows the load.
   *
   * @param busyMs how long connections have been lent so far, added up
   * @returns when to measure again
   */
  scale(now: number, busyMs: number): number {
    const { options, pool } = this.#parts
    const { scaling } = options
    if (scaling === false) return Number.POSITIVE_INFINITY
    const passedMs = now - this.#measuredAt
    if (passedMs < scaling.everyMs) return this.#measuredAt + scaling.everyMs
    const utilisation = (busyMs - this.#busyMs) / passedMs / Math.max(1, this.#warm)
    this.#measuredAt = now
    this.#busyMs = busyMs
    const next = now + scaling.everyMs
    // The first time there is nothing to compare with.
    if (Number.isNaN(utilisation)) return next
    const from = this.#warm
    const step = Math.max(1, Math.round(from * scaling.step))
    if (utilisation > scaling.up) this.#warm = Math.min(this.#size.max, from + step)
    else if (utilisation < scaling.down) this.#warm = Math.max(this.#size.min, from - step)
    const to = this.#warm
    if (to !== from) publish('moorings:pool:scaled', pool, () => ({ from, to, utilisation }))
    return next
  }
}
