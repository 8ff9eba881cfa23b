// What the pool of a database has noticed, violated constraints and deadlocks; and what it is told of them in vain.

import type { ConstraintsCheck, DeadlockReport, ViolationStats } from '@moorings/core'
import type { Kysely } from 'kysely'
import { handleOf } from './driver.js'

/**
 * How often which constraint was violated by the statements of this database's pool, since it was made or the counts were
 * reset.
 *
 * @param options `reset`: counts from zero again, after this answer
 */
export async function violationStats<DB>(
  db: Kysely<DB>,
  options?: { readonly reset?: boolean },
): Promise<ViolationStats> {
  const { pool } = await handleOf(db)
  return pool.violationStats(options)
}

/**
 * The deadlocks that statements of this database's pool were victims of: which statements were in each other's way, how
 * often, how bad it is, and what may be done about it. Asks the catalogue for foreign keys without an index.
 *
 * @param options `reset`: counts from zero again, after this answer
 */
export async function deadlockReport<DB>(
  db: Kysely<DB>,
  options?: { readonly reset?: boolean },
): Promise<DeadlockReport> {
  const { pool } = await handleOf(db)
  return pool.deadlockReport(options)
}

/**
 * Holds the names in `resilience.errors.constraints` and `columns` against the constraints that the database has, for a
 * test or a start: `unknown` are names that no constraint has, `withoutWords` constraints of which nothing is said.
 *
 * @throws MooringsError when no connection could be had, or the catalogue did not answer within ten seconds
 * @example
 * test('all names are known', async () => {
 *   expect((await checkConstraints(db)).unknown).toEqual([])
 * })
 */
export async function checkConstraints<DB>(db: Kysely<DB>): Promise<ConstraintsCheck> {
  const { pool } = await handleOf(db)
  return pool.checkConstraints()
}
