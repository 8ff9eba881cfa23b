// A violated constraint as a form shows it: a message beside each field that it is about.

import { isViolation, mooringsErrorsIn } from '../errors/causes.js'
import { type ConstraintViolationError, ForeignKeyViolationError } from '../errors/constraint.js'
import { kindOf } from './violation-stats.js'

/**
 * A `StandardSchemaV1.Issue`, as form libraries take it (https://standardschema.dev, `@standard-schema/spec` 1). Without
 * `path` it is about the whole.
 */
export interface Issue {
  readonly message: string
  readonly path?: readonly (string | number)[] | undefined
}

/**
 * What was violated, as issues of [Standard Schema](https://standardschema.dev): the application's own message, or a plain
 * one, and where it belongs. The path is the application's own; else there is one issue for each property key, or for
 * each column where no keys are known. A row that others still refer to has nothing to do with fields: no path, as long
 * as the application has not given one. Those of all violations in an AggregateError, if there is nothing else in it.
 *
 * @returns undefined for what is no violation of a constraint, nor was caused by one
 * @example
 * try {
 *   await db.insert(users).values(form)
 * } catch (error) {
 *   const issues = toIssues(error)
 *   if (issues === undefined) throw error
 *   return { issues } // [{ message: 'This is already taken', path: ['email'] }]
 * }
 */
export function toIssues(error: unknown): readonly Issue[] | undefined {
  const errors = [...mooringsErrorsIn(error)]
  const violations = errors.filter(isViolation)
  // What else has gone wrong is not to be taken for the form's fault.
  if (violations.length === 0 || violations.length < errors.length) return undefined
  return violations.flatMap((violation) => {
    const message = messageFor(violation)
    const paths = pathsOf(violation)
    return paths.length === 0 ? [{ message }] : paths.map((path) => ({ message, path }))
  })
}

/** The application's own, or one that names nothing of the database. */
export function messageFor(violation: ConstraintViolationError): string {
  return violation.userMessage ?? plainMessage(violation)
}

function plainMessage(violation: ConstraintViolationError): string {
  switch (kindOf(violation)) {
    case 'unique':
      return columnsOf(violation).length > 1 ? 'This combination is already taken' : 'This is already taken'
    case 'foreign-key':
      if (!(violation instanceof ForeignKeyViolationError)) break
      if (violation.direction === 'missing-parent') return 'What this refers to does not exist'
      if (violation.direction === 'still-referenced') return 'This is still in use'
      return 'What this refers to does not exist, or this is still in use'
    case 'not-null':
      return 'This is required'
    case 'exclusion':
      return 'This conflicts with something that is already there'
  }
  return 'This is not allowed'
}

/** Those that are to be shown beside; none where it is about the whole. */
export function pathsOf(violation: ConstraintViolationError): readonly (readonly (string | number)[])[] {
  const { path } = violation
  if (path !== undefined) return path.length === 0 ? [] : [path]
  // Its columns are those of the rows that refer to it.
  if (violation instanceof ForeignKeyViolationError && violation.direction !== 'missing-parent') return []
  return columnsOf(violation).map((name) => [name])
}

function columnsOf({ keys, columns }: ConstraintViolationError): readonly string[] {
  return keys ?? columns ?? []
}
