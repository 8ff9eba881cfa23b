// A connection could not be made, or it is gone.

import { MooringsError, type MooringsErrorOptions, named } from './base.js'

/** A connection could not be made. With several endpoints, `cause` is an AggregateError of one failure each. */
export class ConnectError extends MooringsError {
  readonly endpoint: string | undefined
  static {
    named(this, 'ConnectError')
  }
  constructor(message: string, options: MooringsErrorOptions & { endpoint?: string } = {}) {
    super('connection', message, { retry: 'reconnect', ...options })
    this.endpoint = options.endpoint
  }
}

/** The server refused the credentials (28000, 28P01), or none could be had. Retrying the same ones cannot help. */
export class AuthenticationError extends ConnectError {
  static {
    named(this, 'AuthenticationError')
  }
  constructor(message: string, options: MooringsErrorOptions & { endpoint?: string } = {}) {
    super(message, { ...options, retry: 'never' })
  }
}

/** The connection went away. `code` keeps the server's own reason (57P01, 25P03, …) when it gave one. */
export class ConnectionLostError extends MooringsError {
  /**
   * False when the statement it is about surely was not carried out: the server was not asked to. Undefined when it may
   * have been.
   */
  readonly sent: false | undefined
  static {
    named(this, 'ConnectionLostError')
  }
  constructor(message: string, { sent, ...options }: MooringsErrorOptions & { sent?: false | undefined } = {}) {
    super('connection', message, { retry: 'reconnect', ...options })
    this.sent = sent
  }
}

/** A lease was used after it had been given back. */
export class LeaseReleasedError extends MooringsError {
  static {
    named(this, 'LeaseReleasedError')
  }
  constructor() {
    super('connection', 'This lease was released: its connection may belong to somebody else by now')
  }
}

/** The endpoint accepts no writes (25006): it is a standby, or was demoted. */
export class ReadOnlyEndpointError extends MooringsError {
  static {
    named(this, 'ReadOnlyEndpointError')
  }
  constructor(message: string, options: MooringsErrorOptions = {}) {
    super('connection', message, { retry: 'transaction', ...options })
  }
}
