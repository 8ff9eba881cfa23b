// Guards that tell the violation of a certain constraint, in the names of Kysely's database interface.

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

type Name<Names> = keyof Names & string
type Columns<Table> = Name<Table> | readonly [Name<Table>, ...Name<Table>[]]

/** A constraint by its own name in the database. */
interface ByName {
  readonly constraint: string
}

/** None, a table of the database interface and maybe columns of it, or a constraint's name. */
type Target<DB> =
  | readonly []
  | readonly [constraint: ByName]
  | (keyof DB extends never
      ? readonly [table: Missing<Hint>, columns?: string | readonly string[]]
      : { [Table in Name<DB>]: readonly [table: Table, columns?: Columns<DB[Table]>] }[Name<DB>])

/** Without a database interface there is no table that could be named. */
type NoTables = Record<never, never>

/** Nothing is of this type: the compiler's message quotes what is missing. */
interface Missing<What extends string> extends ByName {
  readonly [missing]: What
}
declare const missing: unique symbol
type Hint = 'the database interface as a type argument: isUniqueViolation<Database>(error, …)'

/**
 * Tells the violations of one kind: of any constraint; of one of a table, which may be a partition of it; of one on exactly
 * this column, or on exactly these columns, in any order; or of the one of that name. It looks along the causes of what was
 * caught, and never throws.
 *
 * Tables and columns are named as in the database interface, which is given as a type argument: a column, or an array of
 * all the columns of the constraint. `{ constraint: 'users_email_key' }` needs none. `'audit.users'` is the table of that schema, `'users'` the one
 * of that name in any schema. Names in camel case are those that Kysely's CamelCasePlugin makes of the database's, too.
 */
export type ViolationGuard<Violation extends ConstraintViolationError> = <DB = NoTables>(
  error: unknown,
  ...target: Target<NoInfer<DB>>
) => error is Violated<Violation>

/**
 * Whether an error is, or was caused by, the violation of a unique constraint, a unique index or a primary key; with a
 * table, columns of it or a constraint's name: of that one.
 *
 * Where the error was wrapped in another one, its fields are read by {@link violationIn}.
 *
 * @example
 * try {
 *   await db.insertInto('users').values(user).execute()
 * } catch (error) {
 *   if (isUniqueViolation<DB>(error, 'users', 'email')) return 'This address is taken'
 *   if (isUniqueViolation<DB>(error, 'users', ['tenant', 'name'])) return 'There is such a user'
 *   throw error
 * }
 */
export const isUniqueViolation: ViolationGuard<UniqueViolationError> = guard(UniqueViolationError)
/** The same of foreign keys, in either direction: their table and columns are the referencing ones. */
export const isForeignKeyViolation: ViolationGuard<ForeignKeyViolationError> = guard(ForeignKeyViolationError)
/** The same of columns that may not be null. */
export const isNotNullViolation: ViolationGuard<NotNullViolationError> = guard(NotNullViolationError)
/** The same of check constraints. Their columns are those that the condition speaks of. */
export const isCheckViolation: ViolationGuard<CheckViolationError> = guard(CheckViolationError)
/** The same of exclusion constraints. */
export const isExclusionViolation: ViolationGuard<ExclusionViolationError> = guard(ExclusionViolationError)
/** The same of constraints of any kind. */
export const isConstraintViolation: ViolationGuard<ConstraintViolationError> = guard(ConstraintViolationError)

type Given = readonly [] | readonly [table: string | ByName, columns?: string | readonly string[]]

function guard<Violation extends ConstraintViolationError>(
  violated: ViolationClass<Violation>,
): ViolationGuard<Violation> {
  return (error: unknown, ...target: Given): error is Violated<Violation> =>
    violationIn(error, violated, (violation) => target.length === 0 || isOf(violation, target)) !== undefined
}

/** What was given but is not there is none that could have been violated. */
function isOf(violation: ConstraintViolationError, [table, columns]: Exclude<Given, readonly []>): boolean {
  if (typeof table === 'string') return matches(violation, { ...siteOf(table), columns }, isSameName)
  const constraint: unknown = table?.constraint
  return typeof constraint === 'string' && matches(violation, { constraint })
}

/** As Kysely reads the name of a table. */
function siteOf(name: string): { schema?: string; table: string } {
  const [first = '', second] = name.split('.')
  return second === undefined ? { table: first.trim() } : { schema: first.trim(), table: second.trim() }
}

/** Or the other one in camel case, whichever way the plugin was told to go about digits and acronyms. */
function isSameName(given: string, actual: string): boolean {
  if (given === actual) return true
  return /[A-Z0-9]/.test(given) && plain(given) === plain(actual)
}

function plain(name: string): string {
  return name.replaceAll('_', '').toLowerCase()
}
