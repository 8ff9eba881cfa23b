// Looks after connections that rest: sooner or later each has been idle too long, or has lived long enough.

import type { Deadline, Deadlines } from '../deadlines.js'
import type { Entry } from './roster.js'

/** Looking more often than this finds nothing that could not wait. */
const LEAST_MS = 1_000

export class Reaper {
  readonly #deadlines: Deadlines
  readonly #idleTimeoutMs: number
  readonly #reap: () => void
  #next: Deadline | undefined

  /** @param idleTimeoutMs 0: however long they rest */
  constructor(deadlines: Deadlines, idleTimeoutMs: number, reap: () => void) {
    this.#deadlines = deadlines
    this.#idleTimeoutMs = idleTimeoutMs
    this.#reap = reap
  }

  /** Looks again when one of them has had its time. The process does not stay alive for it. */
  watch(idle: readonly Entry<unknown>[]): void {
    if (this.#next !== undefined || idle.length === 0) return
    let at = Number.POSITIVE_INFINITY
    for (const { idleSince, expiresAt } of idle) {
      at = Math.min(at, expiresAt, this.#idleTimeoutMs === 0 ? at : idleSince + this.#idleTimeoutMs)
    }
    if (at === Number.POSITIVE_INFINITY) return
    const delayMs = Math.max(LEAST_MS, at - this.#deadlines.clock.now())
    const look = () => {
      this.#next = undefined
      this.#reap()
    }
    this.#next = this.#deadlines.add(delayMs, look, false)
  }

  rested(entry: Entry<unknown>, now: number): boolean {
    return this.#idleTimeoutMs > 0 && now - entry.idleSince >= this.#idleTimeoutMs
  }
}
