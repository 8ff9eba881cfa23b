// Statements outside of transactions that may have written something, for reads of the same call chain that are to see it.

import { type Lease, noteWrite, readsItsWrites } from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import type { PostgresPool } from './pool.js'
import { evidentlyReads } from './reads.js'

/** To be called in the call chain that sends it. @param text asked for where somebody wants to know */
export function noteStatement(pool: PostgresPool, text: () => string): void {
  if (readsItsWrites() && !evidentlyReads(text())) noteWrite(pool)
}

/**
 * Of one that replicas were to carry out, as soon as it is known who does: a standby cannot write, but where the primary
 * stands in for it, a function that the text calls can.
 */
export function noteRead(pool: PostgresPool, { role }: Lease<PostgresConnection>, text: () => string): void {
  if (role !== 'standby') noteStatement(pool, text)
}
