// Callers queued for a lease: each leaves by being served, by its deadline or by its signal. Who is next is the line's to say.

import type { Deadline, Deadlines } from '../deadlines.js'
import { AcquireAbortedError, type MooringsError } from '../errors.js'
import type { Lease } from './lease.js'
import { type InLine, Line, type QueueOrder } from './line.js'
import type { Taking } from './stacks.js'
import { TypicalLease } from './typical-lease.js'

export interface Waiter<L> extends InLine<Waiter<L>> {
  readonly resolve: (lease: L) => void
  readonly reject: (error: MooringsError) => void
  /** Moved on by what it has waited while the queue stood still. */
  joinedAt: number
  readonly passed: () => void
  /** The leases its own call chain holds while it waits. */
  readonly holds: readonly Lease[]
  readonly signal: AbortSignal | undefined
  readonly brief: boolean
  readonly taking: Taking | undefined
  readonly aborted: (() => void) | undefined
  /** None while the queue stands still; then `leftMs` is what it had left. */
  deadline: Deadline | undefined
  leftMs: number
}

export interface Wait {
  readonly limitMs: number
  readonly timedOut: () => MooringsError
  readonly holds: readonly Lease[]
  readonly signal: AbortSignal | undefined
  readonly brief: boolean
  readonly taking: Taking | undefined
  /** Before all others. */
  readonly urgent: boolean
}

export class Waiters<L> {
  readonly #deadlines: Deadlines
  readonly #failed: (error: MooringsError, waitedMs: number) => void
  readonly #typical = new TypicalLease()
  readonly #line: Line<Waiter<L>>
  #paused = false
  #pausedAt = 0

  /** @param failed called with the error of each caller that goes without, before the caller hears of it */
  constructor(deadlines: Deadlines, order: QueueOrder, failed: (error: MooringsError, waitedMs: number) => void) {
    this.#deadlines = deadlines
    this.#line = new Line(order, this.#typical)
    this.#failed = failed
  }

  get size(): number {
    return this.#line.size
  }

  all(): Iterable<Waiter<L>> {
    return this.#line
  }

  /** A lease has ended while somebody waits. */
  noteLease(heldMs: number): void {
    this.#typical.note(heldMs)
  }

  /** Resolves with what it is given on its turn. */
  join({ limitMs, timedOut, holds, signal, brief, taking, urgent }: Wait): Promise<L> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter<L> = {
        next: undefined,
        previous: undefined,
        resolve,
        reject,
        joinedAt: this.#deadlines.clock.now(),
        // Made while the waiter still counts: the error shows the pool as it was when the wait ended.
        passed: () => this.#leaveUnserved(waiter, timedOut()),
        holds,
        signal,
        brief,
        taking,
        aborted: signal && (() => this.#leaveUnserved(waiter, new AcquireAbortedError(signal.reason))),
        urgent,
        limitMs,
        place: undefined,
        deadline: undefined,
        leftMs: limitMs,
      }
      this.#line.add(waiter)
      if (!this.#paused) waiter.deadline = this.#deadlines.add(limitMs, waiter.passed, true, waiter.joinedAt)
      if (waiter.aborted !== undefined) signal?.addEventListener('abort', waiter.aborted, { once: true })
    })
  }

  /** Whoever is to be served now: it waits no more. */
  next(now: number): Waiter<L> | undefined {
    const waiter = this.first(now)
    if (waiter !== undefined) this.#leave(waiter)
    return waiter
  }

  /** Nothing happens if it does not wait any more. */
  reject(waiter: Waiter<L>, error: MooringsError): void {
    if (waiter.place === undefined) return
    this.#leave(waiter)
    this.#failed(error, this.#deadlines.clock.now() - waiter.joinedAt)
    waiter.reject(error)
  }

  rejectAll(error: () => MooringsError): void {
    // Those of now: whoever hears of it may ask again.
    for (const waiter of [...this.#line]) this.reject(waiter, error())
  }

  /** Nobody's time runs until `resume`. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    const now = this.#deadlines.clock.now()
    this.#pausedAt = now
    for (const waiter of this.#line) {
      if (waiter.deadline === undefined) continue
      waiter.leftMs = Math.max(0, waiter.deadline.at - now)
      this.#deadlines.delete(waiter.deadline)
      waiter.deadline = undefined
    }
  }

  resume(): void {
    this.#paused = false
    const now = this.#deadlines.clock.now()
    for (const waiter of this.#line) {
      waiter.joinedAt += now - Math.max(waiter.joinedAt, this.#pausedAt)
      this.#wait(waiter)
    }
  }

  #wait(waiter: Waiter<L>): void {
    waiter.deadline ??= this.#deadlines.add(waiter.leftMs, waiter.passed)
  }

  /** Whoever would be served now. */
  first(now: number): Waiter<L> | undefined {
    return this.#line.next(now)
  }

  #leaveUnserved(waiter: Waiter<L>, error: MooringsError): void {
    this.#line.goesUnserved(waiter, this.#deadlines.clock.now())
    this.reject(waiter, error)
  }

  #leave(waiter: Waiter<L>): void {
    this.#line.delete(waiter)
    if (waiter.deadline !== undefined) this.#deadlines.delete(waiter.deadline)
    if (waiter.aborted !== undefined) waiter.signal?.removeEventListener('abort', waiter.aborted)
  }
}
