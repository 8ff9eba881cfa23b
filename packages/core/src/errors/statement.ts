// A statement was refused, stopped, or took too long.

import { MooringsError, type MooringsErrorOptions, named } from './base.js'

/** A statement was refused for a reason with no class of its own: syntax, privileges, a bad or undefined value. */
export class StatementError extends MooringsError {
  /** False when it surely was not sent: the state of the connection does not allow it. Undefined when the server refused it. */
  readonly sent: false | undefined
  static {
    named(this, 'StatementError')
  }
  constructor(message: string, { sent, ...options }: MooringsErrorOptions & { sent?: false | undefined } = {}) {
    super('statement', message, options)
    this.sent = sent
  }
}

/** A statement took longer than our limit. The server's own `statement_timeout` shows as StatementCancelledError. */
export class StatementTimeoutError extends StatementError {
  static {
    named(this, 'StatementTimeoutError')
  }
}

/** A statement was cancelled: by an AbortSignal, `query.cancel()`, or somebody on the server (57014). */
export class StatementCancelledError extends StatementError {
  static {
    named(this, 'StatementCancelledError')
  }
}

/** A lock was not had within `lock_timeout`, or at once with NOWAIT (55P03). */
export class LockTimeoutError extends StatementError {
  static {
    named(this, 'LockTimeoutError')
  }
}
