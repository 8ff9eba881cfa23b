// Statements outside of transactions that may have written something, for reads of the same call chain that are to see it.

import { noteWrite, readsItsWrites } from '@moorings/core'
import type { PostgresPool } from './pool.js'
import { evidentlyReads } from './reads.js'

/** To be called in the call chain that sends it. @param text asked for where somebody wants to know */
export function noteStatement(pool: PostgresPool, text: () => string): void {
  if (readsItsWrites() && !evidentlyReads(text())) noteWrite(pool)
}
