// From what is known of a constraint to the error about its violation.

import { type ConstraintViolationError, ForeignKeyViolationError } from '../errors.js'
import type { ConstraintFacts } from './facts.js'

/** Adds what is known of the constraint. To be called before anybody has seen the error. */
export function complete(error: ConstraintViolationError, facts: ConstraintFacts): void {
  const known = {
    schema: error.schema ?? facts.schema,
    table: error.table ?? facts.table,
    columns: error.columns ?? (facts.columns.length > 0 ? facts.columns : undefined),
    keys: error.keys ?? facts.keys,
    partitionOf: error.partitionOf ?? facts.partitionOf,
  }
  Object.assign(error, known)
  if (error instanceof ForeignKeyViolationError) {
    Object.assign(error, { references: error.references ?? facts.references })
  }
}
