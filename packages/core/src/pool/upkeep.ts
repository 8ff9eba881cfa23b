// What is done for the pool from time to time, on one timer: whoever borrows or returns sets none. It fires when the
// first thing falls due, and looks again after that; nothing keeps the process alive.

import type { Deadline, Deadlines } from '../deadlines.js'

/** Looking more often than this finds nothing that could not wait. */
const LEAST_MS = 1_000

/** One kind of upkeep. */
export interface Chore {
  /** How long after something has happened it can fall due at the earliest; 0 switches it off. */
  readonly afterMs: number
  /** Does what is due, and says when the next is. */
  readonly run: (now: number) => number
}

export class Upkeep {
  readonly #deadlines: Deadlines
  readonly #chores: readonly Chore[]
  readonly #done: (now: number) => void
  /** Nothing that happens from now on falls due earlier. */
  readonly #horizonMs: number
  #next: Deadline | undefined

  /** @param done called when all that was due has been done */
  constructor(deadlines: Deadlines, chores: readonly Chore[], done: (now: number) => void) {
    this.#deadlines = deadlines
    this.#done = done
    this.#chores = chores.filter(({ afterMs }) => afterMs > 0)
    this.#horizonMs = Math.min(...this.#chores.map(({ afterMs }) => afterMs))
  }

  start(): void {
    if (this.#next !== undefined || this.#chores.length === 0) return
    this.#arm(this.#deadlines.clock.now() + this.#horizonMs)
  }

  #look(): void {
    const now = this.#deadlines.clock.now()
    let next = now + this.#horizonMs
    for (const chore of this.#chores) next = Math.min(next, chore.run(now))
    this.#arm(next)
    this.#done(now)
  }

  #arm(at: number): void {
    const delayMs = Math.max(Math.min(LEAST_MS, this.#horizonMs), at - this.#deadlines.clock.now())
    this.#next = this.#deadlines.add(delayMs, () => this.#look(), false)
  }

  stop(): void {
    if (this.#next !== undefined) this.#deadlines.delete(this.#next)
    this.#next = undefined
  }
}
