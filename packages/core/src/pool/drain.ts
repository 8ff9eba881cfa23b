// Whoever waits until every lease is back.

import type { Deadlines } from '../deadlines.js'

export class Drain {
  readonly #deadlines: Deadlines
  readonly #out: () => number
  readonly #waiting = new Set<(back: boolean) => void>()

  /** @param out how many leases there are */
  constructor(deadlines: Deadlines, out: () => number) {
    this.#deadlines = deadlines
    this.#out = out
  }

  /** False when that takes longer than the limit. */
  wait(limitMs: number): Promise<boolean> {
    if (this.#out() === 0) return Promise.resolve(true)
    return new Promise((resolve) => {
      const ended = (back: boolean) => {
        this.#deadlines.delete(limit)
        this.#waiting.delete(ended)
        resolve(back)
      }
      const limit = this.#deadlines.add(limitMs, () => ended(false))
      this.#waiting.add(ended)
    })
  }

  /** The pool closes: what is out now will not come back to it. */
  end(): void {
    for (const ended of this.#waiting) ended(false)
  }

  /** A lease has ended. */
  look(): void {
    if (this.#waiting.size === 0 || this.#out() > 0) return
    for (const ended of this.#waiting) ended(true)
  }
}
