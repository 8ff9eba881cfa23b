// What has happened to callers so far, in plain numbers and histograms.

import {
  AcquireAbortedError,
  AcquireTimeoutError,
  type MooringsError,
  PoolSuspendedError,
  QueueFullError,
} from '../errors.js'
import { Histogram } from './histogram.js'

/** How long durations stay in the percentiles: one to two of these. */
const ROTATE_MS = 60_000

export class Accounts {
  /** How long callers waited, held a connection, and how long connecting took. */
  readonly wait: Histogram = new Histogram()
  readonly use: Histogram = new Histogram()
  readonly connect: Histogram = new Histogram()
  acquired = 0
  timeouts = 0
  refused = 0
  aborted = 0
  failed = 0
  #rotatedAt: number

  constructor(now: number) {
    this.#rotatedAt = now
  }

  /** A caller went without. */
  wentWithout(error: MooringsError): void {
    if (error instanceof AcquireTimeoutError) this.timeouts++
    else if (error instanceof QueueFullError || error instanceof PoolSuspendedError) this.refused++
    else if (error instanceof AcquireAbortedError) this.aborted++
    else this.failed++
  }

  /** To be called now and then, and before the histograms are read. */
  rotate(now: number): void {
    for (let turns = 0; turns < 2 && now - this.#rotatedAt >= ROTATE_MS; turns++) {
      this.#rotatedAt = turns === 0 ? this.#rotatedAt + ROTATE_MS : now
      this.wait.rotate()
      this.use.rotate()
      this.connect.rotate()
    }
  }
}
