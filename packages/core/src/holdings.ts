// What the current call chain holds: carried by AsyncLocalStorage through everything the chain awaits or starts.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Lease } from './pool/lease.js'

interface Holding {
  readonly pool: object
  readonly lease: () => Lease | undefined
  readonly outer: Holding | undefined
}

const holdings = new AsyncLocalStorage<Holding>()

/** What is over is let go of: work that goes on starting new work would make an endless chain. */
function outer(): Holding | undefined {
  let at = holdings.getStore()
  while (at?.lease()?.released === true) at = at.outer
  return at
}

/** Runs the body as one that holds this lease of the pool. */
export function holding<T>(pool: object, lease: Lease, body: () => T): T {
  return holdings.run({ pool, lease: () => lease, outer: outer() }, body)
}

/**
 * The same for what follows in the current call chain, where there is no body to run: an async function that calls this
 * before its first `await` does so for whoever called it, too.
 *
 * @param lease which may be taken later
 */
export function holdFromHere(pool: object, lease: () => Lease | undefined): void {
  holdings.enterWith({ pool, lease, outer: outer() })
}

/** The leases of a pool that the current call chain still holds, the innermost first. */
export function heldHere(pool: object): Lease[] {
  const held: Lease[] = []
  for (let at = holdings.getStore(); at !== undefined; at = at.outer) {
    const lease = at.pool === pool ? at.lease() : undefined
    if (lease !== undefined && !lease.released) held.push(lease)
  }
  return held
}
