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

  /**
   * Looks again when this one has had its time, if no look comes before. The process does not stay alive for it.
   *
   * @param spare whether there are more than `min`: if not, none goes for having been idle
   */
  watch({ idleSince, expiresAt }: Entry<unknown>, spare: boolean): void {
    const idleUntil = spare && this.#idleTimeoutMs > 0 ? idleSince + this.#idleTimeoutMs : expiresAt
    const at = Math.min(expiresAt, idleUntil)
    if (at === Number.POSITIVE_INFINITY || (this.#next !== undefined && this.#next.at <= at)) return
    if (this.#next !== undefined) this.#deadlines.delete(this.#next)
    const look = () => {
      this.#next = undefined
      this.#reap()
    }
    this.#next = this.#deadlines.add(Math.max(LEAST_MS, at - this.#deadlines.clock.now()), look, false)
  }

  rested(entry: Entry<unknown>, now: number): boolean {
    return this.#idleTimeoutMs > 0 && now - entry.idleSince >= this.#idleTimeoutMs
  }
}
