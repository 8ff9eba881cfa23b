// What the current call chain holds: carried by AsyncLocalStorage through everything the chain awaits or starts.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Lease } from './pool/lease.js'

interface Holding {
  readonly pool: object
  readonly lease: Lease
  readonly outer: Holding | undefined
}

const holdings = new AsyncLocalStorage<Holding>()

/** Runs the body as one that holds this lease of the pool. */
export function holding<T>(pool: object, lease: Lease, body: () => T): T {
  return holdings.run({ pool, lease, outer: holdings.getStore() }, body)
}

/** The leases of a pool that the current call chain still holds, the innermost first. */
export function heldHere(pool: object): Lease[] {
  const held: Lease[] = []
  for (let at = holdings.getStore(); at !== undefined; at = at.outer) {
    if (at.pool === pool && !at.lease.released) held.push(at.lease)
  }
  return held
}
