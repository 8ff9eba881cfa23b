// Callers queued for a lease: first come, first served; each leaves by being served, by its deadline or by its signal.

import type { Deadline, Deadlines } from '../deadlines.js'
import { AcquireAbortedError, type MooringsError } from '../errors.js'

interface Waiter<L> {
  readonly resolve: (lease: L) => void
  readonly reject: (error: MooringsError) => void
  readonly deadline: Deadline
  readonly signal: AbortSignal | undefined
  readonly aborted: () => void
}

export class Waiters<L> {
  readonly #deadlines: Deadlines
  // A Set keeps the order of arrival and forgets any member in constant time.
  readonly #queue = new Set<Waiter<L>>()

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines
  }

  get size(): number {
    return this.#queue.size
  }

  /** Resolves with what `serve` is given on its turn. */
  join(timeoutMs: number, timedOut: () => MooringsError, signal?: AbortSignal): Promise<L> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter<L> = {
        resolve,
        reject,
        // Read while the waiter still counts: the error shows the pool as it was when the wait ended.
        deadline: this.#deadlines.add(timeoutMs, () => {
          const error = timedOut()
          this.#leave(waiter)
          reject(error)
        }),
        signal,
        aborted: () => {
          this.#leave(waiter)
          reject(new AcquireAbortedError(signal?.reason))
        },
      }
      this.#queue.add(waiter)
      signal?.addEventListener('abort', waiter.aborted, { once: true })
    })
  }

  /** Serves the first in line, if anybody waits. `take` is called only then. */
  serve(take: () => L): boolean {
    const waiter = this.#first()
    if (waiter === undefined) return false
    this.#leave(waiter)
    waiter.resolve(take())
    return true
  }

  rejectAll(error: () => MooringsError): void {
    for (let waiter = this.#first(); waiter !== undefined; waiter = this.#first()) {
      this.#leave(waiter)
      waiter.reject(error())
    }
  }

  #first(): Waiter<L> | undefined {
    for (const waiter of this.#queue) return waiter
    return undefined
  }

  #leave(waiter: Waiter<L>): void {
    this.#queue.delete(waiter)
    this.#deadlines.delete(waiter.deadline)
    waiter.signal?.removeEventListener('abort', waiter.aborted)
  }
}
