// A pool that stands still on purpose: callers wait for it to go on, for so long, and their own time does not run.

import type { Deadline, Deadlines } from '../deadlines.js'
import { PoolSuspendedError } from '../errors.js'
import { type PoolIdentity, publish } from '../events.js'
import type { Waiters } from './waiters.js'

type Queue = Pick<Waiters<unknown>, 'size' | 'pause' | 'resume' | 'rejectAll'>

export class Suspension {
  readonly #pool: PoolIdentity
  readonly #deadlines: Deadlines
  readonly #waiters: Queue
  #since = 0
  #refusing = false
  #limit: Deadline | undefined

  constructor(pool: PoolIdentity, deadlines: Deadlines, waiters: Queue) {
    this.#pool = pool
    this.#deadlines = deadlines
    this.#waiters = waiters
  }

  /** Whether nobody is to wait for it any more. */
  get refusing(): boolean {
    return this.#refusing
  }

  error(): PoolSuspendedError {
    return new PoolSuspendedError(this.#deadlines.clock.now() - this.#since)
  }

  /** @param refuseAfterMs how long callers wait */
  begin(refuseAfterMs: number): void {
    this.#since = this.#deadlines.clock.now()
    this.#waiters.pause()
    if (refuseAfterMs === 0) this.#refuse()
    else this.#limit = this.#deadlines.add(refuseAfterMs, () => this.#refuse())
    publish('moorings:pool:suspended', this.#pool, () => ({ refuseAfterMs }))
  }

  end(): void {
    if (this.#limit !== undefined) this.#deadlines.delete(this.#limit)
    this.#limit = undefined
    this.#refusing = false
    this.#waiters.resume()
    const suspendedMs = this.#deadlines.clock.now() - this.#since
    publish('moorings:pool:resumed', this.#pool, () => ({ suspendedMs, waiting: this.#waiters.size }))
  }

  #refuse(): void {
    this.#limit = undefined
    this.#refusing = true
    this.#waiters.rejectAll(() => this.error())
  }
}
