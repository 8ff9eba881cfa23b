// What the pool of a database has noticed: violated constraints and deadlocks.

import { type DeadlockReport, InvalidOptionsError, type ViolationStats } from '@moorings/core'
import { PostgresPool } from '@moorings/postgres'
import { clientOf } from './resilience.js'
import type { TransactionHost } from './with-transaction.js'

/**
 * How often which constraint was violated by the statements of this database's pool, since it was made or the counts were
 * reset.
 *
 * @param db the root database, or a session's
 * @param options `reset`: counts from zero again, after this answer
 * @throws InvalidOptionsError for anything else, a transaction included
 */
export async function violationStats(
  db: TransactionHost,
  options?: { readonly reset?: boolean },
): Promise<ViolationStats> {
  return poolOf(db).violationStats(options)
}

/**
 * The deadlocks that statements of this database's pool were victims of: which statements were in each other's way, how
 * often, how bad it is, and what may be done about it. Asks the catalogue for foreign keys without an index.
 *
 * @param db the root database, or a session's
 * @param options `reset`: counts from zero again, after this answer
 * @throws InvalidOptionsError for anything else, a transaction included
 */
export async function deadlockReport(
  db: TransactionHost,
  options?: { readonly reset?: boolean },
): Promise<DeadlockReport> {
  return poolOf(db).deadlockReport(options)
}

/** A transaction's client is a connection, and knows no pool. */
function poolOf(db: TransactionHost): PostgresPool {
  const { pool } = clientOf(db)
  if (pool instanceof PostgresPool) return pool
  throw new InvalidOptionsError([{ path: 'db', given: 'a transaction', allowed: 'the root database' }])
}
