// What a developer may do about a violated constraint, for a log line or an answer in development.

import { type ConstraintViolationError, ForeignKeyViolationError } from '../errors/constraint.js'
import { violationIn } from './matching.js'
import { kindOf } from './violation-stats.js'

/**
 * A sentence for developers on how to recover from a violated constraint, with the names of the database and none of its
 * values. Users are shown {@link toIssues} instead.
 *
 * @returns undefined for what is no violation of a constraint, nor was caused by one
 * @example
 * log.warn({ error, suggestion: suggestRecovery(error) })
 * // 'A row with this email is in users already: update it (ON CONFLICT (email) DO UPDATE), leave it (DO NOTHING), or …'
 */
export function suggestRecovery(error: unknown): string | undefined {
  const violation = violationIn(error)
  return violation && suggestionFor(violation)
}

function suggestionFor(violation: ConstraintViolationError): string {
  const { constraint, domain } = violation
  const table = violation.partitionOf?.table ?? violation.table ?? 'the table'
  const columns = violation.columns?.join(', ')
  const named = constraint === undefined ? '' : ` (${constraint})`
  switch (kindOf(violation)) {
    case 'unique': {
      const target = columns === undefined ? '' : ` (${columns})`
      return `A row with this ${columns ?? 'key'} is in ${table} already: update it (ON CONFLICT${target} DO UPDATE), leave it (DO NOTHING), or ask for another value. Where nobody chose the value, see whether its sequence was left behind`
    }
    case 'foreign-key':
      return violation instanceof ForeignKeyViolationError ? forForeignKey(violation, table, named) : checkAgain(named)
    case 'not-null':
      return `${table}.${columns ?? '(column)'} needs a value: give one, or let the column have a DEFAULT`
    case 'exclusion':
      return `The row conflicts with one that is in ${table} already${named}: offer what is still free, and try again`
    case 'check':
      return `The value is not allowed in ${domain ?? table}${named}: check it by the same rule before it is sent`
    default:
      return checkAgain(named)
  }
}

function forForeignKey(
  { direction, references, columns }: ForeignKeyViolationError,
  table: string,
  named: string,
): string {
  const parent = references?.table ?? 'the table that it refers to'
  if (direction === 'missing-parent') {
    return `${columns?.join(', ') ?? 'The row'} of ${table} refers to what is not in ${parent}${named}: insert that first, in the same transaction, or make the constraint DEFERRABLE`
  }
  if (direction === 'still-referenced') {
    return `Rows of ${table} still refer to this one${named}: delete or change those first, in the same transaction, or let the constraint do it (ON DELETE CASCADE, SET NULL)`
  }
  return `${table} and ${parent} would not fit together any more${named}: insert what is referred to first, and delete what refers first`
}

function checkAgain(named: string): string {
  return `The row breaks a constraint${named}: hold it against that before it is sent again`
}
