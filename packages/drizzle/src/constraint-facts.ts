// What the tables of a Drizzle schema tell of the constraints in the database: by the names that the schema gives them, and
// by those they have got if it gives them none.

import type { ConstraintFacts } from '@moorings/core'
import { is, Name, SQL, StringChunk } from 'drizzle-orm'
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import { clipped, foreignKeyNames, primaryKeyNames, uniqueIndexNames, uniqueNames } from './constraint-names.js'
import { type Casing, columnsIn, columnsOf, nameOf, tableName, tableSchema } from './tables.js'

/** A constraint under one of the names it may have. */
interface Named {
  readonly name: string
  /** Whether the schema itself gives it this name. */
  readonly isGiven: boolean
  readonly facts: Omit<ConstraintFacts, 'name' | 'schema' | 'table' | 'keys'>
}

type Columns = readonly { readonly name: string; readonly keyAsName: boolean }[]

const tablesByIndex = new WeakMap<object, PgTable>()

/** The table of an index, by its list of columns: what is built of an index that is not a table's yet, has the same. */
export function tableOfIndex(columns: unknown): PgTable | undefined {
  return typeof columns === 'object' && columns !== null ? tablesByIndex.get(columns) : undefined
}

const known = new WeakMap<object, Map<Casing | undefined, readonly ConstraintFacts[]>>()

/**
 * The constraints of a table, each once for every name that it may have; and one that says NOT NULL for each of its
 * columns, as the database may be stricter than the schema. Empty for a table whose definition cannot be evaluated.
 */
export function factsOf(table: PgTable, casing?: Casing): readonly ConstraintFacts[] {
  const ofTable = known.get(table) ?? new Map<Casing | undefined, readonly ConstraintFacts[]>()
  known.set(table, ofTable)
  try {
    const facts = ofTable.get(casing) ?? readFacts(table, casing)
    ofTable.set(casing, facts)
    return facts
  } catch {
    // It refers to a module that is not evaluated yet, or has what this release does not know: Drizzle itself will say so.
    return []
  }
}

function readFacts(table: PgTable, casing: Casing | undefined): readonly ConstraintFacts[] {
  const keys = new Map(columnsOf(table).map(([key, column]) => [nameOf(column, casing), key]))
  const site = { schema: tableSchema(table), table: tableName(table) }
  const byName = new Map<string, Named | undefined>()
  for (const one of namedIn(table, casing)) {
    const other = byName.get(one.name)
    const isTaken = byName.has(one.name)
    if (!isTaken || (one.isGiven && other?.isGiven !== true)) byName.set(one.name, one)
    // `t_a_b_key` of a column `a_b`, and of the columns `a` and `b`: which one has got it is not known.
    else if (!one.isGiven && other?.isGiven === false && !isSame(one, other)) byName.set(one.name, undefined)
  }
  const constraints = [...byName.values()].flatMap((one) => {
    if (one === undefined) return []
    const { name, facts } = one
    const known = facts.columns.map((column) => keys.get(column)).filter((key) => key !== undefined)
    const isWhole = known.length > 0 && known.length === facts.columns.length
    return [{ ...facts, ...site, name, keys: isWhole ? known : undefined }]
  })
  const columns = [...keys].map(([column, key]) => {
    // Without a name: the server tells none when it is violated.
    return { kind: 'not-null', ...site, name: '', columns: [column], keys: [key] } satisfies ConstraintFacts
  })
  return [...constraints, ...columns]
}

function isSame(one: Named, other: Named): boolean {
  return one.facts.columns.join('\0') === other.facts.columns.join('\0')
}

function namedIn(table: PgTable, casing: Casing | undefined): Named[] {
  const config = getTableConfig(table)
  const name = tableName(table)
  const namesOf = (columns: Columns) => columns.map((column) => nameOf(column, casing))
  const own = new Set(columnsOf(table).map(([, column]) => nameOf(column, casing)))
  const keyOf = new Map(columnsOf(table).map(([key, column]) => [column.name, key]))
  const named = (facts: Named['facts'], given: string | undefined, others: readonly string[]): Named[] => [
    ...(given === undefined ? [] : [{ name: clipped(given), isGiven: !others.includes(clipped(given)), facts }]),
    ...others.map((other) => ({ name: other, isGiven: false, facts })),
  ]
  const unique = (columns: Columns, given: string | undefined): Named[] => {
    const names = namesOf(columns)
    // In 1.0 a column's name is what the database calls it, also where that was made of its key.
    const keys = columns.map(({ name, keyAsName }) => (keyAsName ? (keyOf.get(name) ?? name) : name))
    return named({ kind: 'unique', columns: names }, given, uniqueNames(name, names, keys))
  }
  const primary = (columns: Columns, given?: string): Named[] => {
    const names = namesOf(columns)
    return named({ kind: 'primary-key', columns: names }, given, primaryKeyNames(name, names))
  }

  const inline = config.columns.filter((column) => column.primary)
  return [
    ...config.primaryKeys.flatMap((key) => primary(key.columns, key.name)),
    ...(inline.length > 0 && config.primaryKeys.length === 0 ? primary(inline) : []),
    ...config.columns.filter((column) => column.isUnique).flatMap((column) => unique([column], column.uniqueName)),
    ...config.uniqueConstraints.flatMap((constraint) => unique(constraint.columns, constraint.getName())),
    ...config.indexes.flatMap(({ config: index }) => {
      if (!index.unique) return []
      tablesByIndex.set(index.columns, table)
      const isTold = index.columns.every((column) => !is(column, SQL) || tellsAll(column, own))
      const columns = isTold ? [...new Set(index.columns.flatMap((column) => indexed(column, casing)))] : []
      const facts: Named['facts'] = { kind: 'unique', columns }
      // Without a name it cannot have expressions.
      return named(facts, index.name, index.name === undefined ? uniqueIndexNames(name, columns) : [])
    }),
    ...config.foreignKeys.flatMap((key) => {
      const { columns, foreignTable, foreignColumns, name: given } = key.reference()
      const [from, to, parent] = [namesOf(columns), namesOf(foreignColumns), tableName(foreignTable)]
      const references = { schema: tableSchema(foreignTable), table: parent, columns: to }
      const facts: Named['facts'] = { kind: 'foreign-key', columns: from, references }
      return named(facts, given, foreignKeyNames(name, from, parent, to))
    }),
    ...config.checks.flatMap((check) => {
      const isTold = tellsAll(check.value, own)
      const columns = new Set(isTold ? columnsIn(check.value).map((column) => nameOf(column, casing)) : [])
      return named({ kind: 'check', columns: [...columns] }, check.name, [])
    }),
  ]
}

const inQuotes = /'(?:''|[^'])*'/g
/** Not what is called, nor a type. */
const words = /(?<!::\s*"?)(?<![\p{L}\p{N}_$])[\p{L}_][\p{L}\p{N}_$]*(?![\p{L}\p{N}_$]|\s*\()/gu

/** Whether all columns that a piece of SQL speaks of are there as columns, none by its mere name in a text. */
function tellsAll(sql: SQL, names: ReadonlySet<string>): boolean {
  return sql.queryChunks.every((chunk) => {
    if (is(chunk, SQL)) return tellsAll(chunk, names)
    if (is(chunk, Name)) return !names.has(chunk.value)
    if (!is(chunk, StringChunk)) return true
    // In 1.0 it is one text, in 0.45 several.
    const text = [chunk.value].flat().join('').replace(inQuotes, "''")
    return !(text.match(words) ?? []).some((word) => names.has(word) || names.has(word.toLowerCase()))
  })
}

/** What an index has for a column: a column's name, or an expression, whose columns are what a user can be told of. */
function indexed(column: object, casing: Casing | undefined): string[] {
  if (is(column, SQL)) return columnsIn(column).map((one) => nameOf(one, casing))
  const { name, keyAsName }: { name?: unknown; keyAsName?: unknown } = column
  return typeof name === 'string' ? [nameOf({ name, keyAsName: keyAsName === true }, casing)] : []
}
