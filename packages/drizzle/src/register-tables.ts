// Tables that a pool is told of by hand, where no database has them for its schema.

import { describeGiven, InvalidOptionsError } from '@moorings/core'
import { PostgresPool } from '@moorings/postgres'
import { register } from './registered-tables.js'
import { clientOf } from './resilience.js'
import { casingOf, casings, tablesIn } from './tables.js'
import type { TransactionHost } from './with-transaction.js'

/**
 * Tells a pool of Drizzle tables, so that violations of their constraints have the application's own keys (`error.keys`)
 * and are not looked up on the server. Tables in `drizzle({ schema })`, or in the relations of drizzle-orm 1.0, are known
 * without it.
 *
 * @param db a database on the pool, or the pool itself
 * @param tables a module of them, an object or an array; whatever else is in there is passed over
 * @param options `casing`: of columns that have no name of their own, as told to 0.45's `drizzle()`; by default as the
 *   database was told
 * @throws InvalidOptionsError when it is given no database of ours, or no table
 * @example
 * import * as schema from './schema.js'
 * registerTables(pool, schema)
 */
export function registerTables(
  db: TransactionHost | PostgresPool,
  tables: object,
  options: { readonly casing?: keyof typeof casings | undefined } = {},
): void {
  const pool = db instanceof PostgresPool ? db : clientOf(db).pool
  const found = tablesIn(Object.values(tables ?? {}))
  if (found.length === 0) {
    const allowed = 'tables of Drizzle, in an object or an array'
    throw new InvalidOptionsError([{ path: 'tables', given: describeGiven(tables, true), allowed }])
  }
  const { casing } = options
  if (casing !== undefined && !Object.hasOwn(casings, casing)) {
    const allowed = Object.keys(casings).join(', ')
    throw new InvalidOptionsError([{ path: 'options.casing', given: describeGiven(casing), allowed }])
  }
  register(pool, found, casing === undefined ? casingOf(db) : casings[casing])
}
