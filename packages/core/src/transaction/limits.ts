// The time a transaction has, and the signal of its caller: over all of its attempts, and the pauses between them. The
// same for a session.

import type { Deadline, Deadlines } from '../deadlines.js'
import { type MooringsError, TransactionCancelledError, TransactionTimeoutError } from '../errors.js'

export interface LimitOptions {
  /** 0 = none. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** What it ends with. */
export interface Ends {
  readonly late: (limitMs: number) => MooringsError
  readonly cancelled: (reason: unknown) => MooringsError
}

const ofTransaction: Ends = {
  late: (limitMs) => new TransactionTimeoutError(`The transaction took longer than its limit of ${limitMs} ms`),
  cancelled: (cause) => new TransactionCancelledError('The transaction was cancelled by its signal', { cause }),
}

export class Limits {
  readonly #deadlines: Deadlines
  readonly #ends: Ends
  readonly #signal: AbortSignal | undefined
  readonly #deadline: Deadline | undefined
  readonly #timeoutMs: number
  readonly #until: number
  #over: MooringsError | undefined
  #abort: AbortController | undefined
  /** Called once, when it is over. */
  whenOver: ((error: MooringsError) => void) | undefined

  constructor(deadlines: Deadlines, { timeoutMs, signal }: LimitOptions, ends: Ends = ofTransaction) {
    this.#deadlines = deadlines
    this.#ends = ends
    this.#signal = signal
    this.#timeoutMs = timeoutMs
    this.#until = timeoutMs > 0 ? deadlines.clock.now() + timeoutMs : Number.POSITIVE_INFINITY
    if (timeoutMs > 0) {
      this.#deadline = deadlines.add(timeoutMs, () => this.#end(ends.late(timeoutMs)))
    }
    if (signal?.aborted === true) this.#aborted()
    else signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  /** Why it is over, if it is. */
  get over(): MooringsError | undefined {
    return this.#over
  }

  /** As `over`, but by the clock: in a busy process the timer may not have run yet. */
  due(): MooringsError | undefined {
    if (this.leftMs <= 0) this.#end(this.#ends.late(this.#timeoutMs))
    return this.#over
  }

  /** For who waits meanwhile: fires when it is over, for whatever reason; undefined if it never is. */
  get signal(): AbortSignal | undefined {
    return this.#deadline === undefined ? this.#signal : this.ended
  }

  /** Whether it may ever be over. */
  get bounded(): boolean {
    return this.#deadline !== undefined || this.#signal !== undefined
  }

  /** Fires when it is over, with why. */
  get ended(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#over !== undefined) this.#abort.abort(this.#over)
    }
    return this.#abort.signal
  }

  get leftMs(): number {
    if (this.#deadline === undefined) return Number.POSITIVE_INFINITY
    return this.#until - this.#deadlines.clock.now()
  }

  /** The work, or why it is over if that comes first. */
  hold<T>(work: () => Promise<T> | T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) {
        reject(this.#over)
        return
      }
      this.whenOver = reject
      // Async: what it throws before its first await is a rejection, too.
      const run = async () => work()
      run().then(resolve, reject)
    })
  }

  /** Resolves after the pause, or earlier when it is over. */
  async pause(delayMs: number): Promise<void> {
    if (this.#over !== undefined) return
    await new Promise<void>((resolve) => {
      const deadline = this.#deadlines.awaited(delayMs, () => resolve())
      this.whenOver = () => {
        this.#deadlines.delete(deadline)
        resolve()
      }
    })
    this.whenOver = undefined
  }

  /** The transaction has ended; nothing is left behind. */
  end(): void {
    this.whenOver = undefined
    if (this.#deadline !== undefined) this.#deadlines.delete(this.#deadline)
    this.#signal?.removeEventListener('abort', this.#aborted)
  }

  readonly #aborted = (): void => {
    this.#end(this.#ends.cancelled(this.#signal?.reason))
  }

  #end(error: MooringsError): void {
    if (this.#over !== undefined) return
    this.#over = error
    this.#abort?.abort(error)
    this.whenOver?.(error)
  }
}
