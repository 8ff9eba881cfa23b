// Every living connection of a pool, what the pool remembers of it, and which of them rest. It keeps the counts; what to
// do is the pool's to decide.

import type { Clock } from '../clock.js'
import type { Connection, Role } from '../driver.js'
import type { MooringsError } from '../errors.js'
import { type CloseReason, type PoolIdentity, publish } from '../events.js'
import type { Lease } from './lease.js'

/** A connection and what the pool remembers of it. */
export interface Entry<C extends Connection = Connection> {
  readonly connection: C
  readonly expiresAt: number
  readonly arrivedAt: number
  /** When it was last given back, or arrived. */
  idleSince: number
  /** When it was last known to live. */
  seenAt: number
  /** How often it was lent. */
  uses: number
  /** As it was when last looked at. */
  role: Role | undefined
  /** To be replaced at the next occasion. */
  stale: boolean
  /** Who has it. */
  lease: Lease<C> | undefined
  state: 'idle' | 'leased' | 'checking' | 'resetting'
  /** Tells the hook that works on it that it has left the pool. */
  givenUp: AbortController | undefined
}

const reasons: readonly CloseReason[] = [
  'lost',
  'destroyed',
  'overflow',
  'lifetime',
  'uses',
  'worn',
  'idle',
  'epoch',
  'evicted',
  'unfit',
  'invalid',
  'hook',
  'reclaimed',
  'closing',
]

/** Those that are nobody's wish. */
const faults: ReadonlySet<CloseReason> = new Set(['lost', 'destroyed', 'invalid', 'unfit'])

export class Roster<C extends Connection> {
  readonly #pool: PoolIdentity
  readonly #clock: Clock
  readonly #entries = new Set<Entry<C>>()
  /** Last in, first out: what is not needed grows old at the bottom. */
  readonly #idle: Entry<C>[] = []
  readonly closedBy: Record<CloseReason, number> = countsOf(reasons)
  /** Called when the last one has left, while somebody waits for that. */
  emptied: (() => void) | undefined
  created = 0
  closed = 0
  lost = 0

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

  has(entry: Entry<C>): boolean {
    return this.#entries.has(entry)
  }

  all(): Entry<C>[] {
    return [...this.#entries]
  }

  /** Leases out, the oldest first. */
  leases(): Lease<C>[] {
    const leases = [...this.#entries].flatMap(({ lease }) => lease ?? [])
    return leases.sort((a, b) => a.takenAt - b.takenAt)
  }

  add(entry: Entry<C>): void {
    this.created++
    this.#entries.add(entry)
  }

  /** By when each was used last: one that only gave a sign of life stays in its place. */
  rest(entry: Entry<C>): void {
    entry.state = 'idle'
    const idle = this.#idle
    let at = idle.length
    while (at > 0 && (idle[at - 1]?.idleSince ?? 0) > entry.idleSince) at--
    if (at === idle.length) idle.push(entry)
    else idle.splice(at, 0, entry)
  }

  /** The one that was used last. */
  wake(): Entry<C> | undefined {
    return this.#idle.pop()
  }

  /** This one, if it rests. */
  rouse(entry: Entry<C>): boolean {
    const at = this.#idle.indexOf(entry)
    if (at >= 0) this.#idle.splice(at, 1)
    return at >= 0
  }

  /** False if it had left before. */
  remove(entry: Entry<C>, reason: CloseReason, error: MooringsError | undefined): boolean {
    if (!this.#entries.delete(entry)) return false
    if (entry.state === 'idle') this.rouse(entry)
    entry.givenUp?.abort(error)
    this.closed++
    this.closedBy[reason]++
    if (error !== undefined && faults.has(reason)) this.lost++
    publish('moorings:connection:closed', this.#pool, () => ({
      id: entry.connection.id,
      endpoint: entry.connection.endpoint,
      reason,
      ageMs: this.#clock.now() - entry.arrivedAt,
      uses: entry.uses,
      error,
    }))
    if (this.#entries.size === 0) this.emptied?.()
    return true
  }
}

function countsOf(names: readonly CloseReason[]): Record<CloseReason, number> {
  // Every reason is listed above, which a test compares with the type.
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<CloseReason, number>
}
