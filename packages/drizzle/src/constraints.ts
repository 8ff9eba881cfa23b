// What Drizzle makes for a constraint: the builders of a schema (`unique('n').on(…)`) and what a table has of them
// (`getTableConfig(users).uniqueConstraints[0]`), of every release.

import {
  CheckViolationError,
  type ConstraintViolationError,
  ForeignKeyViolationError,
  UniqueViolationError,
  type ViolationClass,
} from '@moorings/core'
import { is, SQL } from 'drizzle-orm'
import {
  Check,
  CheckBuilder,
  ForeignKey,
  ForeignKeyBuilder,
  Index,
  IndexBuilder,
  type PgTable,
  PrimaryKey,
  PrimaryKeyBuilder,
  UniqueConstraint,
  UniqueConstraintBuilder,
} from 'drizzle-orm/pg-core'
import { tableOfIndex } from './constraint-facts.js'
import { columnsIn, isTable, property, tableName } from './tables.js'

/** The shapes of the constraints whose types show what they are. */
type ShownConstraint =
  | { nullsNotDistinct(): unknown }
  | { readonly nullsNotDistinct: boolean; getName(): string | undefined }
  | { onDelete(action: 'cascade'): unknown; onUpdate(action: 'cascade'): unknown }
  | { reference(): object; getName(): string }
  | { readonly columns: readonly unknown[]; getName(): string }
  | { readonly _: { readonly brand: 'PgPrimaryKeyBuilder' } }
  | { readonly name: string; readonly value: { readonly queryChunks: readonly unknown[] } }
  | { concurrently(): unknown; where(condition: never): unknown }
  | { readonly config: { readonly unique: boolean; readonly table: object } }

/** A constraint of any release. The type of 0.45's `primaryKey()` has no members at all. */
export type ConstraintLike<Given extends object> = Given extends ShownConstraint
  ? Given
  : keyof Given extends never
    ? Given
    : never

/** As columns and the columns of indexes have it. */
export interface ColumnLike {
  readonly name: string
  readonly keyAsName: boolean
}

export interface ConstraintParts {
  readonly violated: ViolationClass<ConstraintViolationError>
  /** Where the schema gives it one. */
  readonly name: string | undefined
  /** Undefined where the object does not tell, and its name has to do. */
  readonly table: PgTable | undefined
  readonly columns: readonly ColumnLike[]
}

/** What a constraint is of; undefined for what is none, or none that can be violated. */
export function partsOf(constraint: unknown): ConstraintParts | undefined {
  if (is(constraint, CheckBuilder) || is(constraint, Check)) {
    return parts(CheckViolationError, constraint, columnsIn(constraint.value))
  }
  if (is(constraint, IndexBuilder) || is(constraint, Index)) {
    const config = property(constraint, 'config')
    if (property(config, 'unique') !== true) return undefined
    const columns = listOf(property(config, 'columns'))
    const table = property(config, 'table') ?? tableOfIndex(property(config, 'columns'))
    return { ...parts(UniqueViolationError, config, columns.flatMap(columnsOfIndex)), ...(isTable(table) && { table }) }
  }
  if (is(constraint, ForeignKeyBuilder) || is(constraint, ForeignKey)) {
    const reference = property(constraint, 'reference')
    const { name, columns } = typeof reference === 'function' ? reference() : {}
    return parts(ForeignKeyViolationError, { name, table: property(constraint, 'table') }, listOf(columns))
  }
  const isUnique = is(constraint, UniqueConstraintBuilder) || is(constraint, UniqueConstraint)
  if (!isUnique && !is(constraint, PrimaryKeyBuilder) && !is(constraint, PrimaryKey)) return undefined
  const found = parts(UniqueViolationError, constraint, listOf(property(constraint, 'columns')))
  if (found.table === undefined) return found
  // What Drizzle has made up itself says no more than the columns.
  const madeUp = [tableName(found.table), ...found.columns.map((column) => column.name), 'unique'].join('_')
  return { ...found, name: found.name === madeUp ? undefined : found.name }
}

function parts(
  violated: ConstraintParts['violated'],
  constraint: unknown,
  columns: readonly unknown[],
): ConstraintParts {
  const name = property(constraint, 'name')
  const table = property(constraint, 'table') ?? property(columns[0], 'table')
  return {
    violated,
    name: typeof name === 'string' && name !== '' ? name : undefined,
    table: isTable(table) ? table : undefined,
    columns: columns.filter(isColumnLike),
  }
}

function columnsOfIndex(column: unknown): unknown[] {
  return is(column, SQL) ? columnsIn(column) : [column]
}

function isColumnLike(value: unknown): value is ColumnLike {
  return typeof property(value, 'name') === 'string' && typeof property(value, 'keyAsName') === 'boolean'
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
