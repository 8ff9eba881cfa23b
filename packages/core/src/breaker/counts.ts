// Which errors are the other side's failure, and which are answers.

import { mooringsErrorIn } from '../errors/causes.js'
import { StatementTimeoutError } from '../errors/statement.js'
import { TransactionTimeoutError } from '../errors/transaction.js'
import type { BreakerKind } from '../events.js'

/**
 * What an error says about the other side: true that it failed, false that it answered, however unwelcome the answer
 * is; undefined nothing at all, as when the caller has given up.
 */
export type Counts = (error: unknown) => boolean | undefined

/** All are failures but an AbortError, with which a caller gives up. */
export function failsUnlessCancelled(error: unknown): boolean | undefined {
  return isCancellation(error) ? undefined : true
}

/**
 * Of Moorings' own errors, those of connections that may pass, and time limits; that none could be had of a pool, or that
 * another breaker is open, says nothing about the database. All others are as in `failsUnlessCancelled`.
 */
function databaseFails(error: unknown): boolean | undefined {
  const ours = mooringsErrorIn(error)
  if (ours === undefined) return failsUnlessCancelled(error)
  if (ours.kind === 'acquire') return undefined
  if (ours instanceof StatementTimeoutError || ours instanceof TransactionTimeoutError) return true
  return ours.kind === 'connection' && ours.retry !== 'never'
}

/** What counts where nobody says otherwise. */
export const countsOf: { readonly [Kind in BreakerKind]: Counts } = {
  database: databaseFails,
  external: failsUnlessCancelled,
}

/** A predicate that throws does not take the place of the error it was asked about, which is then a failure. */
export function judged(error: unknown, counts: Counts): boolean | undefined {
  try {
    return counts(error)
  } catch {
    return true
  }
}

/** By its name: what a signal is aborted with may be of another realm. */
function isCancellation(error: unknown): boolean {
  try {
    return typeof error === 'object' && error !== null && 'name' in error && error.name === 'AbortError'
  } catch {
    return false
  }
}
