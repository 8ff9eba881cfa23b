// Guards that tell the violation of a certain constraint: of a table, of columns, or of what Drizzle makes for one.

import {
  CheckViolationError,
  ConstraintViolationError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  matches,
  NotNullViolationError,
  UniqueViolationError,
  type Violated,
  type ViolationClass,
  violationIn,
} from '@moorings/core'
import type { PgTable } from 'drizzle-orm/pg-core'
import { factsOf } from './constraint-facts.js'
import { clipped } from './constraint-names.js'
import { type ColumnLike, type ConstraintLike, type ConstraintParts, partsOf } from './constraints.js'
import { casingsOf } from './registered-tables.js'
import {
  type AnyColumn,
  type AnyTable,
  type Casing,
  isColumn,
  isTable,
  type KeyOf,
  nameOf,
  property,
  tableName,
  tableSchema,
} from './tables.js'

interface Violations<Key extends string = string> {
  any: ConstraintViolationError<Key>
  unique: UniqueViolationError<Key>
  'foreign-key': ForeignKeyViolationError<Key>
  'not-null': NotNullViolationError<Key>
  check: CheckViolationError<Key>
  exclusion: ExclusionViolationError<Key>
}

/** Columns of one table. */
type Columns<First extends AnyColumn> = readonly [First, ...ColumnBeside<First>[]]
type ColumnBeside<First extends AnyColumn> = AnyColumn & { readonly _: { readonly tableName: First['_']['tableName'] } }

/**
 * Tells the violations of one kind, of any constraint or of a certain one. It looks along the causes of what was caught, and
 * never throws.
 */
export interface ViolationGuard<Kind extends keyof Violations> {
  /** Of any constraint. */
  (error: unknown): error is Violated<Violations[Kind]>
  /**
   * Of a constraint of this table, or of a partition of it; its `keys` are then those of the table. A table without a schema
   * is the one of that name in any schema, as which one it is depends on the `search_path`.
   */
  <Table extends AnyTable>(error: unknown, table: Table): error is Violated<Violations<KeyOf<Table>>[Kind]>
  /** Of a constraint on exactly this column, or on exactly these columns of one table, in any order. */
  <First extends AnyColumn>(error: unknown, columns: First | Columns<First>): error is Violated<Violations[Kind]>
  /** Of the constraint of that name in the database. */
  (error: unknown, constraint: string): error is Violated<Violations[Kind]>
  /**
   * Of this constraint: what `unique('n').on(…)`, `uniqueIndex('n').on(…)`, `primaryKey({ … })`, `foreignKey({ … })` and
   * `check('n', …)` make, or `getTableConfig()` tells. By its name if it was given one, else by its table and columns.
   */
  <Constraint extends object>(
    error: unknown,
    constraint: ConstraintLike<Constraint>,
  ): error is Violated<Violations[Kind]>
}

/**
 * Whether an error is, or was caused by, the violation of a unique constraint, a unique index or a primary key; with a
 * table, a column, several columns of one table, a constraint of the schema or its name: of that one.
 *
 * Where the error was wrapped in another one, its fields are read by {@link violationIn}.
 *
 * @example
 * try {
 *   await db.insert(users).values(user)
 * } catch (error) {
 *   if (isUniqueViolation(error, users.email)) return 'This address is taken'
 *   if (isUniqueViolation(error, users)) return `Taken: ${error.keys?.join(', ')}`
 *   throw error
 * }
 */
export const isUniqueViolation: ViolationGuard<'unique'> = guard(UniqueViolationError)
/** The same of foreign keys, in either direction: their table and columns are the referencing ones. */
export const isForeignKeyViolation: ViolationGuard<'foreign-key'> = guard(ForeignKeyViolationError)
/** The same of columns that may not be null. */
export const isNotNullViolation: ViolationGuard<'not-null'> = guard(NotNullViolationError)
/** The same of check constraints. Their columns are those that the condition speaks of. */
export const isCheckViolation: ViolationGuard<'check'> = guard(CheckViolationError)
/** The same of exclusion constraints. */
export const isExclusionViolation: ViolationGuard<'exclusion'> = guard(ExclusionViolationError)
/** The same of constraints of any kind. */
export const isConstraintViolation: ViolationGuard<'any'> = guard(ConstraintViolationError)

function guard<Kind extends keyof Violations>(violated: ViolationClass<Violations[Kind]>): ViolationGuard<Kind> {
  // A target that is not there, as a constraint that no table has made yet, is none that could have been violated.
  return (error: unknown, ...targets: readonly unknown[]): error is never =>
    violationIn(error, violated, (violation) => targets.every((target) => isOf(violation, target))) !== undefined
}

function isOf(violation: ConstraintViolationError, target: unknown): boolean {
  if (typeof target === 'string') return matches(violation, { constraint: clipped(target) })
  if (isTable(target)) return isOn(violation, target, {})
  const columns = Array.isArray(target) ? target : [target]
  if (columns.every(isColumn)) return isOnColumns(violation, columns)
  const parts = partsOf(target)
  return parts !== undefined && violation instanceof parts.violated && isOfParts(violation, parts)
}

function isOnColumns(violation: ConstraintViolationError, columns: readonly ColumnLike[]): boolean {
  const tables = columns.map((column) => property(column, 'table')).filter(isTable)
  const [table] = tables
  if (table === undefined || tables.length !== columns.length) return false
  const isSame = (other: PgTable) => tableName(other) === tableName(table) && tableSchema(other) === tableSchema(table)
  return tables.every(isSame) && isOn(violation, table, { columns })
}

function isOfParts(violation: ConstraintViolationError, { name, table, columns }: ConstraintParts): boolean {
  const constraint = name === undefined ? undefined : clipped(name)
  if (table !== undefined) return isOn(violation, table, constraint === undefined ? { columns } : { constraint })
  return constraint !== undefined && matches(violation, { constraint })
}

interface Wanted {
  readonly columns?: readonly ColumnLike[]
  readonly constraint?: string
}

function isOn(violation: ConstraintViolationError, table: PgTable, { columns, constraint }: Wanted): boolean {
  const site = { schema: tableSchema(table), table: tableName(table), constraint }
  if (columns === undefined) return matches(violation, site)
  return casingsOf(table).some((casing) => {
    const target = { ...site, columns: columns.map((column) => nameOf(column, casing)) }
    return matches(withColumns(violation, table, casing), target)
  })
}

/** What nothing told of when the error was made, the table at hand does: of an index over expressions, too. */
function withColumns(violation: ConstraintViolationError, table: PgTable, casing: Casing | undefined) {
  const { schema, table: violated, constraint, partitionOf, columns: told = [] } = violation
  const ofTable = () => factsOf(table, casing).find((facts) => facts.name === constraint)?.columns
  return { schema, table: violated, constraint, partitionOf, columns: told.length > 0 ? told : ofTable() }
}
