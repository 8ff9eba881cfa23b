// Whether an error is, or has been caused by, the violation of a constraint; of a certain one, if that is asked. It reads
// whatever somebody has caught, so it does not throw.

import { mooringsErrorsIn } from '../errors/causes.js'
import {
  CheckViolationError,
  ConstraintViolationError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  type MooringsError,
  NotNullViolationError,
  UniqueViolationError,
} from '../errors.js'
import type { TableSite } from './facts.js'

/** Which constraint is meant, in the database's own names. What is left out may be any. */
export interface ViolationTarget {
  /** Without it the table of that name in any schema: which one it is depends on the `search_path`. */
  readonly schema?: string | undefined
  /** Of a partition: its own name, or that of the table it is a part of. */
  readonly table?: string | undefined
  /** The constraint's columns: all of them, in any order, and no other. */
  readonly columns?: string | readonly string[] | undefined
  /** The constraint's name; of a partition's also that of the constraint it is a part of. */
  readonly constraint?: string | undefined
}

/** What is compared with a target: a violation, or what is known of one. */
export interface ViolationSite {
  readonly schema?: string | undefined
  readonly table?: string | undefined
  readonly columns?: readonly string[] | undefined
  readonly constraint?: string | undefined
  readonly partitionOf?: TableSite | undefined
}

/**
 * What a guard has told to be a violation, or to be caused by one: it has a violation's fields where it is one, or one of
 * ours or of Drizzle's that stands for one. Of an error of anybody else's around it they are undefined; there
 * {@link violationIn} gives the violation itself.
 */
export type Violated<Violation extends ConstraintViolationError = ConstraintViolationError> = Error &
  Pick<Violation, Exclude<keyof Violation, Exclude<keyof MooringsError, 'code'>>>

/** One of the classes of violations. */
export type ViolationClass<Violation extends ConstraintViolationError> = abstract new (...args: never) => Violation

/**
 * The violation that an error is or was caused by: the first one, from the outside in, that is of the class and that
 * `accepts` takes. Looks along `cause` and into the `errors` of an AggregateError, but not behind another one of our
 * errors, which speaks for itself: a transaction that was cancelled because of somebody's violation violated nothing.
 * Only one that was aborted (TransactionAbortedError) stands for its cause. Never throws.
 *
 * A guard such as {@link isUniqueViolation} says only that there is one; this gives it, so that its fields can be read
 * where the error at hand is a wrapper around it.
 *
 * @example
 * const violation = violationIn(error)
 * if (violation !== undefined) form.reject(violation.columns)
 */
export function violationIn(error: unknown): ConstraintViolationError | undefined
export function violationIn<Violation extends ConstraintViolationError>(
  error: unknown,
  violationClass: ViolationClass<Violation>,
  accepts?: (violation: Violation) => boolean,
): Violation | undefined
export function violationIn(
  error: unknown,
  violationClass: ViolationClass<ConstraintViolationError> = ConstraintViolationError,
  accepts: (violation: ConstraintViolationError) => boolean = () => true,
): ConstraintViolationError | undefined {
  for (const one of mooringsErrorsIn(error)) if (isAccepted(one, violationClass, accepts)) return one
  return undefined
}

function isAccepted(
  value: unknown,
  violationClass: ViolationClass<ConstraintViolationError>,
  accepts: (violation: ConstraintViolationError) => boolean,
): value is ConstraintViolationError {
  try {
    return value instanceof violationClass && accepts(value)
  } catch {
    // Somebody else's getter or proxy, with our brand: none of ours.
    return false
  }
}

/**
 * Whether a violation was of the constraint that is meant. What the violation does not know is not taken for granted: one
 * without columns matches no column.
 *
 * @param isSame compares a name of the target with one of the database; by default they are the same to the letter
 */
export function matches(
  site: ViolationSite,
  target: ViolationTarget,
  isSame: (given: string, actual: string) => boolean = Object.is,
): boolean {
  const { partitionOf } = site
  const isNamed = (given: string | undefined, actual: string | undefined) =>
    given === undefined || (actual !== undefined && isSame(given, actual))
  const isAt = (schema: string | undefined, table: string | undefined) =>
    isNamed(target.table, table) && isNamed(target.schema, schema)
  if (!isAt(site.schema, site.table) && (partitionOf === undefined || !isAt(partitionOf.schema, partitionOf.table))) {
    return false
  }
  if (!isNamed(target.constraint, site.constraint) && !isNamed(target.constraint, partitionOf?.name)) return false
  if (target.columns === undefined) return true
  const wanted = typeof target.columns === 'string' ? [target.columns] : target.columns
  return isSameSet(wanted, site.columns ?? partitionOf?.columns ?? [], isSame)
}

function isSameSet(
  given: readonly string[],
  actual: readonly string[],
  isSame: (given: string, actual: string) => boolean,
): boolean {
  if (given.length === 0 || actual.length === 0) return false
  return (
    given.every((name) => actual.some((column) => isSame(name, column))) &&
    actual.every((column) => given.some((name) => isSame(name, column)))
  )
}

/** Tells the violations of one kind, of any constraint or of a certain one. */
export type ViolationGuard<Violation extends ConstraintViolationError> = (
  error: unknown,
  target?: ViolationTarget,
) => error is Violated<Violation>

function guard<Violation extends ConstraintViolationError>(
  violationClass: ViolationClass<Violation>,
): ViolationGuard<Violation> {
  return (error, target): error is Violated<Violation> =>
    violationIn(error, violationClass, (violation) => target === undefined || matches(violation, target)) !== undefined
}

/**
 * Whether an error is, or was caused by, the violation of a unique constraint, a unique index or a primary key; with a
 * target, of that one. The ORMs' packages have it with the ORM's own tables and columns for a target.
 *
 * @example
 * if (isUniqueViolation(error, { table: 'users', columns: 'email' })) return 'This address is taken'
 */
export const isUniqueViolation: ViolationGuard<UniqueViolationError> = guard(UniqueViolationError)
/** The same of foreign keys, in either direction. A table is the referencing one. */
export const isForeignKeyViolation: ViolationGuard<ForeignKeyViolationError> = guard(ForeignKeyViolationError)
/** The same of columns that may not be null. */
export const isNotNullViolation: ViolationGuard<NotNullViolationError> = guard(NotNullViolationError)
/** The same of check constraints, of tables and of domains. */
export const isCheckViolation: ViolationGuard<CheckViolationError> = guard(CheckViolationError)
/** The same of exclusion constraints. */
export const isExclusionViolation: ViolationGuard<ExclusionViolationError> = guard(ExclusionViolationError)
/** The same of constraints of any kind. */
export const isConstraintViolation: ViolationGuard<ConstraintViolationError> = guard(ConstraintViolationError)
