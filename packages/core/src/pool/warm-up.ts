// Whoever waits for the pool to have its first connections.

import type { Deadlines } from '../deadlines.js'
import type { MooringsError } from '../errors.js'

interface Starter {
  readonly failFast: boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class WarmUp {
  readonly #deadlines: Deadlines
  readonly #goal: () => number
  readonly #starters = new Set<Starter>()

  /** @param goal how many connections there should be, as of now */
  constructor(deadlines: Deadlines, goal: () => number) {
    this.#deadlines = deadlines
    this.#goal = goal
  }

  /** How many connections somebody waits for. */
  get wanted(): number {
    return this.#starters.size === 0 ? 0 : this.#goal()
  }

  /**
   * Resolves when the pool has as many connections as it should have to begin with.
   *
   * @param failFast whether the first failure to connect ends the wait
   */
  wait(timeoutMs: number, failFast: boolean, late: () => MooringsError): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadline = this.#deadlines.add(timeoutMs, () => starter.reject(late()))
      const over = () => {
        this.#deadlines.delete(deadline)
        this.#starters.delete(starter)
      }
      const starter: Starter = {
        failFast,
        resolve: () => {
          over()
          resolve()
        },
        reject: (error) => {
          over()
          reject(error)
        },
      }
      this.#starters.add(starter)
    })
  }

  /** So many live now. */
  arrived(size: number): void {
    for (const starter of this.#starters) if (size >= this.#goal()) starter.resolve()
  }

  /** One that trying again cannot help ends every wait. */
  failed(error: MooringsError): void {
    for (const starter of this.#starters) if (starter.failFast || error.retry === 'never') starter.reject(error)
  }

  rejectAll(error: MooringsError): void {
    for (const starter of this.#starters) starter.reject(error)
  }
}
