// Drizzle's tables and columns, of every release: what its types show of them, and how they are read. The releases differ
// in their classes, but know each other's objects, and keep what is read here under the same names.

import { Column, is, SQL } from 'drizzle-orm'
import { toCamelCase, toSnakeCase } from 'drizzle-orm/casing'
import { PgTable } from 'drizzle-orm/pg-core'

/** A table of any release. */
export interface AnyTable {
  readonly _: { readonly brand: 'Table'; readonly name: string; readonly columns: object }
}

/** A column of any release. */
export interface AnyColumn {
  readonly _: { readonly name: string; readonly tableName: string }
  readonly name: string
  readonly keyAsName: boolean
}

/** What an application calls the columns of its table. */
export type KeyOf<Table extends AnyTable> = keyof Table['_']['columns'] & string

/** What makes a column's name of its key, where the schema does not name it: 0.45's `casing`, told to the database. */
export type Casing = (key: string) => string

export const casings = { snake_case: toSnakeCase, camelCase: toCamelCase } as const

/** The casing of a database. In 1.0 a table has it itself, and its columns their names. */
export function casingOf(db: object): Casing | undefined {
  const convert = property(property(property(db, 'dialect'), 'casing'), 'convert')
  return Object.values(casings).find((known) => known === convert)
}

/** A column's name in the database; also that of a column of an index, which is none of its table's. */
export function nameOf(column: { name?: string | undefined; keyAsName: boolean }, casing: Casing | undefined): string {
  const { name = '', keyAsName } = column
  return keyAsName && casing !== undefined ? casing(name) : name
}

export function isTable(value: unknown): value is PgTable {
  return is(value, PgTable)
}

export function isColumn(value: unknown): value is Column {
  return is(value, Column)
}

/** Its name in the database, also of an alias. */
export function tableName(table: object): string {
  return String(Reflect.get(table, Symbol.for('drizzle:OriginalName')))
}

/** Undefined where it depends on the `search_path`. */
export function tableSchema(table: object): string | undefined {
  const schema: unknown = Reflect.get(table, Symbol.for('drizzle:Schema'))
  return typeof schema === 'string' ? schema : undefined
}

export function columnsOf(table: object): [key: string, column: Column][] {
  const columns: unknown = Reflect.get(table, Symbol.for('drizzle:Columns'))
  return typeof columns === 'object' && columns !== null ? Object.entries(columns) : []
}

/** The columns that a piece of SQL speaks of. */
export function columnsIn(sql: SQL): Column[] {
  return sql.queryChunks.flatMap((chunk) => (is(chunk, SQL) ? columnsIn(chunk) : isColumn(chunk) ? [chunk] : []))
}

/** The tables among the values of a schema module, or those of a 1.0 database's relations. */
export function tablesIn(values: Iterable<unknown>): PgTable[] {
  return [...values].map((value) => (isTable(value) ? value : property(value, 'table'))).filter(isTable)
}

export function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
