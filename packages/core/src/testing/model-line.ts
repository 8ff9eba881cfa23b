// Who waits in a pool's model, in the order in which they came, and who of them is to be served next: by the rules, in
// plain arrays.

import type { QueueOrder } from '../pool/line.js'
import { TypicalLease } from '../pool/typical-lease.js'
import type { Borrower } from './model-parts.js'

/** Nobody who has waited for less is a sign of overload. */
const STANDING_MS = 100

export class ModelLine {
  readonly #adaptive: boolean
  readonly #typical = new TypicalLease()
  #waiting: Borrower[] = []
  /** In the order in which they were found to be late. */
  #late: Borrower[] = []
  /** What is known of overload: until when, and from which wait of the first in line on. */
  #overload = { until: Number.NEGATIVE_INFINITY, fromMs: 0 }

  constructor(order: QueueOrder | undefined) {
    this.#adaptive = order === 'adaptive'
  }

  /** All of them, in the order in which they came. */
  get all(): readonly Borrower[] {
    return this.#waiting
  }

  join(borrower: Borrower): void {
    this.#waiting.push(borrower)
  }

  leave(borrower: Borrower): void {
    this.#waiting = this.#waiting.filter((other) => other !== borrower)
    this.#late = this.#late.filter((other) => other !== borrower)
  }

  leaseEnded(heldMs: number): void {
    if (this.#waiting.length > 0) this.#typical.note(heldMs)
  }

  /** It goes by its limit or by its signal. */
  goesUnserved(borrower: Borrower, now: number): void {
    if (borrower !== this.#inTime[0]) return
    const waitedMs = now - borrower.joinedAt
    if (waitedMs < Math.min(STANDING_MS, borrower.limitMs / 2)) return
    this.#overload = { until: now + Math.max(STANDING_MS, waitedMs), fromMs: waitedMs / 2 }
  }

  /** Whoever is served now. */
  next(now: number): Borrower | undefined {
    const [first] = this.#inTime
    if (first !== undefined && this.#adaptive) {
      const { until, fromMs } = this.#overload
      const overloaded = now < until && now - first.joinedAt >= fromMs
      if (!overloaded) this.#overload.until = Number.NEGATIVE_INFINITY
      if (!overloaded && !this.#isLate(first, now)) return first
      for (const newest of this.#inTime.reverse()) {
        if (!this.#isLate(newest, now)) return newest
        this.#late.push(newest)
      }
    }
    return this.#inTime[0] ?? this.#late[0]
  }

  get #inTime(): Borrower[] {
    return this.#waiting.filter((borrower) => !this.#late.includes(borrower))
  }

  #isLate({ joinedAt, limitMs }: Borrower, now: number): boolean {
    return now - joinedAt > limitMs - Math.min(this.#typical.ms, limitMs / 2)
  }
}
