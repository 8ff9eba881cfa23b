// Leases that are held for too long: each is told once, with the stack of its taking, and once more when it comes back.

import type { Connection } from '../driver.js'
import type { LeaseHolder } from '../errors.js'
import { type PoolIdentity, publish } from '../events.js'
import type { Lease } from './lease.js'
import type { Entry } from './roster.js'
import { applicationFrame, stackOfNow, type Taking } from './stacks.js'

export class LeakWatch<C extends Connection> {
  readonly #pool: PoolIdentity
  readonly #afterMs: number
  /** Weak: one that is never given back must not be kept for that. */
  readonly #reported = new WeakSet<Lease<C>>()
  found = 0
  reclaimed = 0

  /** @param afterMs 0: never */
  constructor(pool: PoolIdentity, afterMs: number) {
    this.#pool = pool
    this.#afterMs = afterMs
  }

  /** Where a lease is taken, if anybody will want to know. */
  note(below: (...args: never) => unknown, depth?: number): Taking | undefined {
    return this.#afterMs > 0 ? stackOfNow(below, depth) : undefined
  }

  /** How many of these were reported. */
  count(leases: readonly Lease<C>[]): number {
    return leases.filter((lease) => this.#reported.has(lease)).length
  }

  /** Reports what is due. Returns those to be taken back, if that is wanted, and when to look again. */
  look(entries: readonly Entry<C>[], now: number, reclaim: boolean): { taken: Entry<C>[]; next: number } {
    let next = Number.POSITIVE_INFINITY
    const taken: Entry<C>[] = []
    for (const entry of entries) {
      const { lease } = entry
      if (lease === undefined || !lease.watched || this.#reported.has(lease)) continue
      if (lease.takenAt + this.#afterMs > now) {
        next = Math.min(next, lease.takenAt + this.#afterMs)
        continue
      }
      this.found++
      this.#reported.add(lease)
      this.#tell('moorings:leak:found', entry, lease, now)
      // Whoever was told may have given it back.
      if (!reclaim || entry.lease !== lease) continue
      this.reclaimed++
      taken.push(entry)
      this.#tell('moorings:leak:reclaimed', entry, lease, now)
    }
    return { taken, next }
  }

  /** To be called at every return. */
  returned(entry: Entry<C>, lease: Lease<C>, now: number): void {
    if (this.found === 0 || !this.#reported.delete(lease)) return
    this.#tell('moorings:leak:returned', entry, lease, now)
  }

  #tell(
    name: 'moorings:leak:found' | 'moorings:leak:returned' | 'moorings:leak:reclaimed',
    { connection }: Entry<C>,
    lease: Lease<C>,
    now: number,
  ): void {
    publish(name, this.#pool, () => ({ id: connection.id, heldMs: now - lease.takenAt, stack: lease.taking?.stack }))
  }
}

/** The three that are held for longest. */
export function longestHolders<C extends Connection>(entries: readonly Entry<C>[], now: number): LeaseHolder[] {
  return entries
    .flatMap(({ connection, lease }) =>
      lease === undefined ? [] : [{ id: connection.id, heldMs: now - lease.takenAt, lease }],
    )
    .sort((a, b) => b.heldMs - a.heldMs)
    .slice(0, 3)
    .map(({ id, heldMs, lease }) => ({ id, heldMs, takenAt: applicationFrame(lease.taking?.stack) }))
}
