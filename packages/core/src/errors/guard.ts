// A call that an application has guarded.

import { MooringsError, named } from './base.js'

/** A call guarded with `timeoutMs` took longer. Its signal has fired; whether it did its work cannot be told from here. */
export class GuardTimeoutError extends MooringsError {
  /** The breaker's name. */
  readonly breaker: string
  readonly timeoutMs: number
  static {
    named(this, 'GuardTimeoutError')
  }
  constructor(breaker: string, timeoutMs: number) {
    super('statement', `${breaker} did not answer within ${timeoutMs} ms`, { retry: 'unknown' })
    this.breaker = breaker
    this.timeoutMs = timeoutMs
  }
}
