// Who of those that wait is next: first come, first served, and the newest first under overload.
//
// A queue that is longer than its callers' patience serves only those who are about to give up: each is given a connection
// in the last moment, is gone before its work is done, and the next one has come just as far meanwhile. Taking the newest
// first leaves the same number unserved, but what is served still has a caller. That is the "adaptive LIFO" of B. Maurer,
// Fail at Scale (ACM Queue 13/8, 2015, https://queue.acm.org/detail.cfm?id=2839461), where it goes with a variant of
// CoDel's test for a standing queue (K. Nichols, V. Jacobson, Controlling Queue Delay, ACM Queue 10/5, 2012; RFC 8289).
//
// Those tests ask whether the delay is above a few milliseconds. Ours asks whether it is above what the callers have: a
// hundred workers on ten connections stand in line for as long as they live, nobody goes unserved, and were the newest
// served first, those who come back at once would keep all others out. So it begins when the first in line goes unserved,
// and it ends when the first in line has waited for less than half as long as that one, or when nobody at the head of the
// line has gone unserved for as long. It holds, too, while the first in line could not be served in time any more.

import { List, type Listed } from '../list.js'
import type { TypicalLease } from './typical-lease.js'

export type QueueOrder = 'adaptive' | 'fifo'

/** CoDel's interval: who gives up earlier than this has not waited in a standing queue. */
const INTERVAL_MS = 100

/** The share of a caller's time that may pass while it waits. Under overload what is left is kept free for its lease. */
const FAIR_SHARE = 0.5

export interface InLine<W extends Listed<W>> extends Listed<W> {
  readonly urgent: boolean
  /** How long it waits at most. */
  readonly limitMs: number
  joinedAt: number
  /** Where it stands; undefined when it waits no more. */
  place: List<W> | undefined
}

export class Line<W extends InLine<W>> {
  readonly #adaptive: boolean
  readonly #typical: TypicalLease
  readonly #queue = new List<W>()
  /** Those with too little time left: for when nobody else waits. */
  readonly #late = new List<W>()
  /** How long the last one waited that went unserved although it was the first in line; 0 while there is no overload. */
  #patienceMs = 0
  #overloadedUntil = 0

  constructor(order: QueueOrder, typical: TypicalLease) {
    this.#adaptive = order === 'adaptive'
    this.#typical = typical
  }

  get size(): number {
    return this.#queue.size + this.#late.size
  }

  *[Symbol.iterator](): Generator<W> {
    yield* this.#queue
    yield* this.#late
  }

  add(waiter: W): void {
    if (waiter.urgent) this.#queue.addFirst(waiter)
    else this.#queue.add(waiter)
    waiter.place = this.#queue
  }

  delete(waiter: W): void {
    waiter.place?.delete(waiter)
    waiter.place = undefined
  }

  /** In constant time, but for those found late, each of whom is set aside once. */
  next(now: number): W | undefined {
    const first = this.#queue.first
    if (first === undefined) return this.#late.first
    if (!this.#adaptive || first.urgent) return first
    if (!this.#overloaded(first, now) && !this.#isLate(first, now)) return first
    for (let newest = this.#queue.last; newest !== undefined; newest = this.#queue.last) {
      if (!this.#isLate(newest, now)) return newest
      this.delete(newest)
      this.#late.add(newest)
      newest.place = this.#late
    }
    return this.#late.first
  }

  /** It is about to leave, by its limit or by its caller's wish, without having been served. */
  goesUnserved(waiter: W, now: number): void {
    if (waiter !== this.#queue.first) return
    const waitedMs = now - waiter.joinedAt
    if (waitedMs < Math.min(INTERVAL_MS, FAIR_SHARE * waiter.limitMs)) return
    this.#patienceMs = waitedMs
    this.#overloadedUntil = now + Math.max(INTERVAL_MS, waitedMs)
  }

  #overloaded(first: W, now: number): boolean {
    if (this.#patienceMs === 0) return false
    if (now - first.joinedAt >= FAIR_SHARE * this.#patienceMs && now < this.#overloadedUntil) return true
    this.#patienceMs = 0
    return false
  }

  /** Its time would be over before its work is done, as far as can be told from others. */
  #isLate({ joinedAt, limitMs }: W, now: number): boolean {
    const neededMs = Math.min(this.#typical.ms, FAIR_SHARE * limitMs)
    return now - joinedAt > limitMs - neededMs
  }
}
