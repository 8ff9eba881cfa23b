// A caller that holds a connection and waits for another one can wait for itself: when every connection of the pool is
// held by such callers, and none of them moves, none will come back. The pool says so long before the timeout would.

import type { Deadline, Deadlines } from '../deadlines.js'
import type { Lease } from './lease.js'

/**
 * How long everybody must have stood still. A holder that goes on working may not be waiting for what it asked for: it
 * may have started that on the side.
 */
const STANDSTILL_MS = 1_000

interface Holder {
  readonly holds: readonly Lease[]
}

export interface Standing<W extends Holder> {
  /** Leases out, when there is nothing else that could serve a waiter; undefined otherwise. */
  readonly leases: () => readonly Lease[] | undefined
  readonly waiters: () => Iterable<W>
  /** This one will never be served. */
  readonly found: (waiter: W) => void
}

function holdsAny({ holds }: Holder): boolean {
  return holds.some(({ released }) => !released)
}

export class SelfDeadlocks<W extends Holder = Holder> {
  readonly #deadlines: Deadlines
  readonly #standing: Standing<W>
  #next: Deadline | undefined

  constructor(deadlines: Deadlines, standing: Standing<W>) {
    this.#deadlines = deadlines
    this.#standing = standing
  }

  /** To be called when somebody who holds a lease begins to wait. */
  watch(): void {
    if (this.#next !== undefined) return
    const before = this.#seen()
    this.#next = this.#deadlines.add(
      STANDSTILL_MS,
      () => {
        this.#next = undefined
        const suspects = this.#suspects()
        const [first] = suspects ?? []
        if (first !== undefined && before !== undefined && this.#seen() === before) this.#standing.found(first)
        if ([...this.#standing.waiters()].some(holdsAny)) this.watch()
        // Whoever waits keeps the process alive by their own limit.
      },
      false,
    )
  }

  /** Those who wait while they hold, if between them they hold everything. */
  #suspects(): W[] | undefined {
    const leases = this.#standing.leases()
    if (leases === undefined) return undefined
    const waiting = [...this.#standing.waiters()].filter(holdsAny)
    const held = new Set(waiting.flatMap(({ holds }) => holds))
    return leases.every((lease) => held.has(lease)) ? waiting : undefined
  }

  /** What has been done on the leases so far, in a word that changes with anything that happens; undefined while one works. */
  #seen(): string | undefined {
    const leases = this.#suspects() === undefined ? undefined : this.#standing.leases()
    if (leases === undefined) return undefined
    const seen: string[] = []
    for (const lease of leases) {
      if (lease.lost || lease.released || lease.connection.activity !== 'idle') return undefined
      const { id, statements } = lease.connection
      seen.push(`${id}:${lease.takenAt}:${statements}`)
    }
    return seen.join()
  }
}
