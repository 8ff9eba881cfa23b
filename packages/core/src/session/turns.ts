// Whose turn it is on a session's connection: single statements may share it, a transaction has it to itself. First come,
// first served: nobody overtakes a transaction that waits.

import type { Deadlines } from '../deadlines.js'
import { AcquireAbortedError, type MooringsError, SessionBusyError } from '../errors.js'

interface Waiting {
  readonly alone: boolean
  readonly go: () => void
  readonly fail: (error: MooringsError) => void
}

export interface Patience {
  readonly limitMs: number
  readonly signal: AbortSignal | undefined
}

export class Turns {
  readonly #deadlines: Deadlines
  readonly #line: Waiting[] = []
  /** How many are at it. */
  #sharing = 0
  #taken = false

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines
  }

  /** Without waiting. Returns whether it is granted. */
  tryTake(alone: boolean): boolean {
    if (this.#line.length > 0 || !this.#free(alone)) return false
    this.#grant(alone)
    return true
  }

  /** @throws SessionBusyError, AcquireAbortedError, or what `end` is told */
  async take(alone: boolean, { limitMs, signal }: Patience): Promise<void> {
    if (signal?.aborted === true) throw new AcquireAbortedError(signal.reason)
    if (this.tryTake(alone)) return
    await new Promise<void>((resolve, reject) => {
      const over = () => {
        this.#deadlines.delete(deadline)
        signal?.removeEventListener('abort', aborted)
        const at = this.#line.indexOf(waiting)
        if (at >= 0) this.#line.splice(at, 1)
      }
      const waiting: Waiting = {
        alone,
        go: () => {
          over()
          resolve()
        },
        fail: (error) => {
          over()
          reject(error)
          // Others may have waited for nothing but this one.
          this.#next()
        },
      }
      const aborted = () => waiting.fail(new AcquireAbortedError(signal?.reason))
      const deadline = this.#deadlines.awaited(limitMs, (closed) => waiting.fail(closed ?? busy(limitMs)))
      signal?.addEventListener('abort', aborted, { once: true })
      this.#line.push(waiting)
    })
  }

  leave(alone: boolean): void {
    if (alone) this.#taken = false
    else this.#sharing--
    this.#next()
  }

  /** Nobody's turn comes any more. */
  end(error: MooringsError): void {
    for (const waiting of [...this.#line]) waiting.fail(error)
  }

  #next(): void {
    for (let [first] = this.#line; first !== undefined && this.#free(first.alone); [first] = this.#line) {
      this.#grant(first.alone)
      first.go()
    }
  }

  #free(alone: boolean): boolean {
    return !this.#taken && (!alone || this.#sharing === 0)
  }

  #grant(alone: boolean): void {
    if (alone) this.#taken = true
    else this.#sharing++
  }
}

function busy(limitMs: number): SessionBusyError {
  return new SessionBusyError(
    `The session's connection was not free within ${Math.round(limitMs)} ms: other work in the session has it. ` +
      'Inside a transaction, use its own handle or the root database, which joins it',
  )
}
