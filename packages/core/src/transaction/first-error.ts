// What a statement of a transaction failed with first: whatever fails after it only says that the transaction is aborted.

import { mooringsErrorIn } from '../errors/causes.js'
import { lendFields } from '../errors/lend-fields.js'
import { ConstraintViolationError, isMooringsError, TransactionAbortedError } from '../errors.js'

export class FirstError {
  #value: unknown

  get value(): unknown {
    return this.#value
  }

  note(error: unknown): void {
    this.#value ??= error
  }

  /** What has failed since `value` was read has been undone. */
  backTo(value: unknown): void {
    this.#value = value
  }

  /** A statement that was refused because an earlier one had failed says nothing; the earlier one's error does. */
  telling(error: unknown): unknown {
    if (!(error instanceof TransactionAbortedError) || error.cause === this.#value) return error
    // Not in the server's own words: it names a first error, and may be another transaction's.
    if (isMooringsError(error.cause)) return error
    return this.#value ?? error
  }

  /** @throws TransactionAbortedError if one has failed */
  assertNone(): void {
    if (this.#value !== undefined) throw this.aborted()
  }

  aborted(): TransactionAbortedError {
    const first = this.#value
    const named = first instanceof Error || isMooringsError(first) ? `: ${first.message}` : ''
    return standingFor(
      first,
      `The transaction was rolled back, because a statement in it had failed before COMMIT${named}`,
      (isMooringsError(first) ? first.code : undefined) ?? '25P02',
    )
  }
}

/** @param cause what the work that had joined it failed with */
export function joinedFailed(cause: unknown): TransactionAbortedError {
  const named = isMooringsError(cause) ? `: ${cause.message}` : ''
  return standingFor(
    cause,
    `The transaction was rolled back, because work that had joined it failed${named}`,
    isMooringsError(cause) ? cause.code : undefined,
  )
}

function standingFor(cause: unknown, message: string, code: string | undefined): TransactionAbortedError {
  const error = new TransactionAbortedError(message, { cause, code })
  const violation = mooringsErrorIn(cause)
  if (violation instanceof ConstraintViolationError) lendFields(error, violation)
  return error
}
