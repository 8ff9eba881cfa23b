// Every living connection of a pool, and which of them rest. It keeps the counts; what to do is the pool's to decide.

import type { Clock } from '../clock.js'
import type { Connection } from '../driver.js'
import type { MooringsError } from '../errors.js'
import { type CloseReason, type PoolIdentity, publish } from '../events.js'

/** A connection and what the pool remembers of it. */
export interface Entry<C> {
  readonly connection: C
  readonly epoch: number
  readonly expiresAt: number
  readonly arrivedAt: number
  idleSince: number
  uses: number
}

export class Roster<C extends Connection> {
  readonly #pool: PoolIdentity
  readonly #clock: Clock
  readonly #entries = new Set<Entry<C>>()
  /** Last in, first out: what is not needed grows old at the bottom. */
  readonly #idle: Entry<C>[] = []
  #created = 0
  #closed = 0
  #lost = 0

  constructor(pool: PoolIdentity, clock: Clock) {
    this.#pool = pool
    this.#clock = clock
  }

  /** Those that live, wherever they are. */
  get size(): number {
    return this.#entries.size
  }

  get idle(): readonly Entry<C>[] {
    return this.#idle
  }

  get totals(): { readonly created: number; readonly closed: number; readonly lost: number } {
    return { created: this.#created, closed: this.#closed, lost: this.#lost }
  }

  has(entry: Entry<C>): boolean {
    return this.#entries.has(entry)
  }

  all(): Entry<C>[] {
    return [...this.#entries]
  }

  add(entry: Entry<C>): void {
    this.#created++
    this.#entries.add(entry)
  }

  rest(entry: Entry<C>): void {
    this.#idle.push(entry)
  }

  /** The one that was used last. */
  wake(): Entry<C> | undefined {
    return this.#idle.pop()
  }

  /** False if it had left before. */
  remove(entry: Entry<C>, reason: CloseReason, error: MooringsError | undefined): boolean {
    if (!this.#entries.delete(entry)) return false
    const at = this.#idle.indexOf(entry)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#closed++
    if (error !== undefined && reason !== 'closing') this.#lost++
    const { id, endpoint } = entry.connection
    const ageMs = this.#clock.now() - entry.arrivedAt
    publish('moorings:connection:closed', this.#pool, () => ({ id, endpoint, reason, ageMs, uses: entry.uses, error }))
    return true
  }
}
