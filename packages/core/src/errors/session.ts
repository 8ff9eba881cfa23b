// A session has ended, or others are at work on it.

import type { SessionState } from '../driver.js'
import { MooringsError, type MooringsErrorOptions, named } from './base.js'

/** What has happened to a session as a whole; the base of those that follow. */
export class SessionError extends MooringsError {
  static {
    named(this, 'SessionError')
  }
  constructor(message: string, options: MooringsErrorOptions = {}) {
    super('session', message, options)
  }
}

/** A session was used after it had ended: its body has returned, or its `signal` has fired. Nothing was sent. */
export class SessionEndedError extends SessionError {
  static {
    named(this, 'SessionEndedError')
  }
}

/**
 * A session took longer than its `maxDurationMs`. What ran on it was stopped, an open transaction was rolled back, and its
 * connection is gone. Whatever uses it after that gets this error as well.
 */
export class SessionExpiredError extends SessionEndedError {
  static {
    named(this, 'SessionExpiredError')
  }
}

/**
 * A session's one connection was not free in time: a transaction in it went on for longer than `acquireTimeoutMs`, or for
 * one, statements did. Usually the session is used beside a transaction in it, from where it does not join that.
 */
export class SessionBusyError extends SessionError {
  static {
    named(this, 'SessionBusyError')
  }
}

/**
 * Something was asked for that needs a server's session for itself, and the way to the server leads through a pooler that
 * lends one for a transaction only: what is left on it would be lost, and met by whoever is lent it next. Nothing was sent.
 * See docs/poolers.md.
 */
export class PoolerError extends SessionError {
  /** A session as a whole, or what a statement would have left on it. */
  readonly needs: SessionState | 'session'
  static {
    named(this, 'PoolerError')
  }
  constructor(message: string, { needs, ...options }: MooringsErrorOptions & { needs: SessionState | 'session' }) {
    super(message, options)
    this.needs = needs
  }
}
