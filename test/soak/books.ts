// What has come of the operations so far: counts only, so that the books weigh the same after a hundred thousand.

import type { Tally } from './messages.js'

/** Findings kept in words; of the rest only the number is told. */
const kept = 20

export class Books {
  #started = 0
  #settled = 0
  #wrong = 0
  readonly #findings: string[] = []
  readonly #provoked: Record<string, number> = {}
  readonly #byFaults: Record<string, number> = {}
  readonly #acknowledged: Record<string, number> = {}
  readonly #uncertain: Record<string, number> = {}

  started(): void {
    this.#started++
  }

  settled(): void {
    this.#settled++
  }

  /** An error that the operation meant to get. */
  provoked(name: string): void {
    count(this.#provoked, name)
  }

  /** An error that a fault explains. */
  byFault(name: string): void {
    count(this.#byFaults, name)
  }

  /** The row is there for certain. */
  acknowledged(kind: string): void {
    count(this.#acknowledged, kind)
  }

  /** Whether the row is there cannot be known. */
  uncertain(kind: string): void {
    count(this.#uncertain, kind)
  }

  wrong(finding: string): void {
    if (++this.#wrong <= kept) this.#findings.push(finding)
  }

  get tally(): Tally {
    return {
      started: this.#started,
      settled: this.#settled,
      provoked: { ...this.#provoked },
      byFaults: { ...this.#byFaults },
      acknowledged: { ...this.#acknowledged },
      uncertain: { ...this.#uncertain },
      wrong: this.#wrong,
      findings: [...this.#findings],
    }
  }
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1
}
