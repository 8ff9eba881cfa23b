// opossum, as far as it can be trusted: it keeps the rolling window and says when too much of it has failed. Calls do not
// run inside of it, they are told to it when they have ended: then neither those still under way nor those it refused are
// in the sum its percentage is of, and no listener stands between a caller and a result. Its timers and its half-open
// state are not used: they follow no clock but the process's own, any call may decide that state, and one that hangs may
// hold it for ever. All of it as measured on opossum 9, through what it documents.

import { EventEmitter } from 'node:events'
import Opossum from 'opossum'
import type { Clock } from '../clock.js'
import type { ResolvedBreakerOptions } from './breaker-options.js'

/** Its own default. */
const BUCKETS = 10

const failure = new Error('a call has failed')
const success = Promise.resolve()

export class Circuit {
  readonly #clock: Clock
  readonly #bucketMs: number
  readonly #rotation = new EventEmitter()
  readonly #opossum: Opossum<[failed: boolean], void>
  #rotatedAt: number
  #tripped = false

  constructor(options: ResolvedBreakerOptions, clock: Clock) {
    this.#clock = clock
    this.#bucketMs = options.rollingWindowMs / BUCKETS
    this.#rotatedAt = clock.now()
    this.#opossum = new Opossum(outcome, {
      volumeThreshold: options.volumeThreshold,
      errorThresholdPercentage: options.errorThresholdPercentage,
      timeout: false,
      rollingCountBuckets: BUCKETS,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: this.#rotation,
    })
    this.#opossum.on('open', () => {
      this.#tripped = true
      // Which also ends the timer it has just set.
      this.#opossum.close()
    })
  }

  succeeded(): void {
    this.#rotate()
    void this.#opossum.fire(false)
  }

  /** @returns whether that was too much; then everything is forgotten */
  failed(): boolean {
    this.#rotate()
    this.#opossum.fire(true).catch(() => {})
    const tripped = this.#tripped
    if (tripped) this.forget()
    return tripped
  }

  /** What was before an outage, or was done by hand, says nothing about what comes after. */
  forget(): void {
    this.#tripped = false
    this.#turn(BUCKETS)
    this.#rotatedAt = this.#clock.now()
  }

  shutdown(): void {
    this.#opossum.shutdown()
  }

  /** By the clock, when something is to be counted, rather than by a timer that runs while nothing happens. */
  #rotate(): void {
    const turns = Math.floor((this.#clock.now() - this.#rotatedAt) / this.#bucketMs)
    if (turns <= 0) return
    this.#turn(Math.min(turns, BUCKETS))
    this.#rotatedAt += turns * this.#bucketMs
  }

  #turn(turns: number): void {
    // It notes how long each call took, also where nobody asks for percentiles.
    for (const bucket of this.#opossum.status.window) bucket.latencyTimes.length = 0
    for (let turn = 0; turn < turns; turn++) this.#rotation.emit('rotate')
  }
}

/** Throws rather than rejects: then opossum has decided by the time `fire` returns. */
function outcome(failed: boolean): Promise<void> {
  if (failed) throw failure
  return success
}
