// A server that is made to crash now and then, and brought back with its data.

import type { Cluster } from '../support/cluster.js'
import type { StopSignal } from '../support/postmaster.js'

export class CrashingServer {
  readonly #cluster: Cluster
  readonly #restMs: number
  #left: number
  #count = 0
  #underWay: Promise<void> | undefined

  /**
   * @param most how often it crashes at most
   * @param restMs how long it is left alone once it is back
   */
  constructor(cluster: Cluster, most: number, restMs = 200) {
    this.#cluster = cluster
    this.#left = most
    this.#restMs = restMs
  }

  /** How often it was asked to crash and did. */
  get count(): number {
    return this.#count
  }

  /** From the moment that it is asked to crash until it has been back for a while. */
  get underWay(): boolean {
    return this.#underWay !== undefined
  }

  /** After that time. Resolves when it is down; undefined if it is so already, has just come back, or crashed enough. */
  crash(signal: StopSignal, afterMs: number): Promise<void> | undefined {
    if (this.#underWay !== undefined || this.#left === 0) return undefined
    this.#left -= 1
    this.#count += 1
    const down = rest(afterMs).then(() => this.#cluster.kill(signal))
    this.#underWay = this.#bringBack(down)
    // Whoever waits for `over` is told; the process is not to end for it before.
    this.#underWay.catch(() => {})
    return down
  }

  /** Resolves when it is up and no crash is under way; rejects if it did not come back. */
  async over(): Promise<void> {
    await this.#underWay
  }

  async #bringBack(down: Promise<void>): Promise<void> {
    await down
    await this.#cluster.restart()
    await rest(this.#restMs)
    this.#underWay = undefined
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
