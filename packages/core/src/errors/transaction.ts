// A transaction was rolled back, cannot be begun or used as asked, or nobody knows what became of it.

import type { Deadlock } from '../deadlocks/deadlock.js'
import { isMooringsError, MooringsError, type MooringsErrorOptions, named } from './base.js'

/** What has happened to a transaction as a whole; the base of those that follow. */
export class TransactionError extends MooringsError {
  static {
    named(this, 'TransactionError')
  }
  constructor(message: string, options: MooringsErrorOptions = {}) {
    super('transaction', message, options)
  }
}

/** The server chose this transaction as a deadlock's victim (40P01). */
export class DeadlockError extends TransactionError {
  /** Who blocked whom, as far as it is known here. Without values: statements are shown with `?` for each literal. */
  readonly deadlock: Deadlock | undefined
  static {
    named(this, 'DeadlockError')
  }
  constructor(message: string, { deadlock, ...options }: MooringsErrorOptions & { deadlock?: Deadlock } = {}) {
    super(message, options)
    this.deadlock = deadlock
  }
}

/** Concurrent transactions could not be put in any order (40001). */
export class SerializationError extends TransactionError {
  static {
    named(this, 'SerializationError')
  }
}

/** A transaction's handle was used after it had ended. Nothing was sent. */
export class TransactionEndedError extends TransactionError {
  static {
    named(this, 'TransactionEndedError')
  }
}

/**
 * A transaction was used while a nested one is open inside of it. Nothing was sent: it would have landed in the nested
 * one, and gone with it. Use the nested one's handle, or wait for its end.
 */
export class NestedTransactionOpenError extends TransactionError {
  static {
    named(this, 'NestedTransactionOpenError')
  }
}

/** A transaction was wanted where there must be none, none where there must be one, or a durable one inside another. */
export class PropagationError extends TransactionError {
  static {
    named(this, 'PropagationError')
  }
}

/** The root database was used inside `db.transaction()`, which `rootUse: 'error'` forbids. Nothing was sent. */
export class RootUseError extends TransactionError {
  static {
    named(this, 'RootUseError')
  }
}

/** A transaction took longer than its `timeoutMs`, over all attempts. It was rolled back. */
export class TransactionTimeoutError extends TransactionError {
  static {
    named(this, 'TransactionTimeoutError')
  }
}

/** A transaction was ended by its `signal`. It was rolled back. `cause` is the signal's reason. */
export class TransactionCancelledError extends TransactionError {
  static {
    named(this, 'TransactionCancelledError')
  }
}

/**
 * A transaction was run again as often as it may be, and failed each time. Nothing of it was applied. `cause` is what the
 * last attempt failed with, and `code` its code.
 */
export class RetriesExhaustedError extends TransactionError {
  /** How often it was run. */
  readonly attempts: number
  /** What each of them failed with. Not enumerable: `cause` is the last of them. */
  declare readonly errors: readonly unknown[]
  static {
    named(this, 'RetriesExhaustedError')
  }
  constructor(errors: readonly unknown[], why: string) {
    const last = errors.at(-1)
    const said = isMooringsError(last) ? `: ${last.message}` : ''
    super(`The transaction failed ${errors.length} times, ${why}${said}`, {
      code: codeIn(last),
      cause: last,
    })
    this.attempts = errors.length
    Object.defineProperty(this, 'errors', { value: Object.freeze([...errors]), enumerable: false })
  }
}

function codeIn(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** COMMIT was answered by ROLLBACK: a statement had failed earlier. `cause` is that first error, if it passed through us. */
export class TransactionAbortedError extends TransactionError {
  static {
    named(this, 'TransactionAbortedError')
  }
}

/** The connection was lost while COMMIT was under way: it may or may not have happened. */
export class CommitOutcomeUnknownError extends TransactionError {
  static {
    named(this, 'CommitOutcomeUnknownError')
  }
  constructor(message: string, options: MooringsErrorOptions = {}) {
    super(message, { ...options, retry: 'unknown' })
  }
}
