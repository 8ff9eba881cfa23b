// The tables that a pool was told of: by the schema of a database on it, or by `registerTables`.

import type { ConstraintFacts } from '@moorings/core'
import type { PostgresPool } from '@moorings/postgres'
import type { PgTable } from 'drizzle-orm/pg-core'
import { factsOf } from './constraint-facts.js'
import { type Casing, casingOf, casings, property, tablesIn } from './tables.js'

const casingsByTable = new WeakMap<object, Set<Casing | undefined>>()
const tablesByPool = new WeakMap<object, WeakMap<object, Set<Casing | undefined>>>()

/** What may name the columns of a table that have no name of their own: where that is not known, all there is. */
export function casingsOf(table: object): readonly (Casing | undefined)[] {
  return [...(casingsByTable.get(table) ?? [undefined, ...Object.values(casings)])]
}

/**
 * Tells a pool of tables, each of them once: an application may make a database for every request. What they refer to is
 * looked at when a violation asks for it, as their modules may refer to each other.
 */
export function register(pool: PostgresPool, tables: readonly PgTable[], casing: Casing | undefined): void {
  const ofPool = tablesByPool.get(pool) ?? new WeakMap<object, Set<Casing | undefined>>()
  tablesByPool.set(pool, ofPool)
  const added = tables.filter((table) => {
    note(casingsByTable, table, casing)
    return note(ofPool, table, casing)
  })
  if (added.length > 0) pool.constraints.register(factsOfAll(added, casing))
}

/** The tables that a database was made with: 0.45's `schema`, 1.0's `relations`. */
export function registerSchemaOf(db: object, pool: PostgresPool): void {
  const known = property(db, '_')
  const values = [property(known, 'fullSchema'), property(known, 'relations')].flatMap((schema) =>
    typeof schema === 'object' && schema !== null ? Object.values(schema) : [],
  )
  register(pool, tablesIn(values), casingOf(db))
}

/** Whether it is new. */
function note(noted: WeakMap<object, Set<Casing | undefined>>, table: object, casing: Casing | undefined): boolean {
  const casings = noted.get(table) ?? new Set()
  noted.set(table, casings)
  const isNew = !casings.has(casing)
  casings.add(casing)
  return isNew
}

function* factsOfAll(tables: readonly PgTable[], casing: Casing | undefined): Generator<ConstraintFacts> {
  for (const table of tables) yield* factsOf(table, casing)
}
