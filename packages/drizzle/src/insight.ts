// What the pool of a database has noticed, violated constraints and deadlocks; and what it is told of them in vain.

import { type ConstraintsCheck, type DeadlockReport, InvalidOptionsError, type ViolationStats } from '@moorings/core'
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

/**
 * Holds the names in `resilience.errors.constraints` and `columns` against the constraints that the database has, for a
 * test or a start: `unknown` are names that no constraint has, `withoutWords` constraints of which nothing is said.
 *
 * @param db the root database, or a session's
 * @throws MooringsError when no connection could be had, or the catalogue did not answer within ten seconds
 * @example
 * test('all names are known', async () => {
 *   expect((await checkConstraints(db)).unknown).toEqual([])
 * })
 */
export async function checkConstraints(db: TransactionHost): Promise<ConstraintsCheck> {
  return poolOf(db).checkConstraints()
}

/** A transaction's client is a connection, and knows no pool. */
function poolOf(db: TransactionHost): PostgresPool {
  const { pool } = clientOf(db)
  if (pool instanceof PostgresPool) return pool
  throw new InvalidOptionsError([{ path: 'db', given: 'a transaction', allowed: 'the root database' }])
}
