// What is asked of the pool as a whole and takes its time: start, drain, health, close. Each must end within its limit,
// and say what is so.

import { MooringsError, PoolClosedError } from '../errors.js'
import type { Borrower } from './model-parts.js'
import type { ModelRun } from './model-run.js'
import { healthTimeoutMs } from './model-scenario.js'
import { type Watched, watch } from './watch.js'

interface Errand {
  readonly name: string
  readonly outcome: Watched<unknown>
  readonly until: number
  /** What is wrong with it as it stands. */
  readonly wrong: () => string | undefined
}

/** A server is asked to cancel what runs at the end, and may take so long for it. */
const CANCEL_MS = 1_000

export class Errands {
  readonly #run: ModelRun
  #underWay: Errand[] = []
  /** When a close that has begun must have ended. */
  closedBy = 0

  constructor(run: ModelRun) {
    this.#run = run
  }

  /** Whether any is still to end. */
  get pending(): boolean {
    return this.#underWay.length > 0
  }

  start(failFast: boolean): void {
    const { setup, model, scenario } = this.#run
    // Where `min` is 0 it borrows a connection, to have one made.
    model.asksItself = true
    model.itsLimitMs = scenario.pool.acquireTimeoutMs
    const outcome = watch(setup.pool.start({ failFast }))
    model.itsLimitMs = undefined
    this.#add('start', outcome, scenario.pool.acquireTimeoutMs, () =>
      outcome.state === 'rejected' && !(outcome.error instanceof MooringsError)
        ? `rejects with ${outcome.error}`
        : undefined,
    )
  }

  drain(timeoutMs: number, refuseAfterMs: number): void {
    const { setup, model } = this.#run
    const { now } = this
    const { closed, resumed } = model
    const out = this.#out()
    model.suspending(refuseAfterMs)
    const outcome = watch(setup.pool.drain({ timeoutMs, refuseAfterMs }))
    this.#add('drain', outcome, timeoutMs, () => {
      if (outcome.state === 'rejected') return closed ? undefined : `rejects with ${outcome.error}`
      if (closed) return 'does not reject although the pool is closed'
      const over = model.closed || model.resumed > resumed
      if (outcome.state === 'pending') {
        if (model.phase === 'closed' || model.resumed > resumed) return 'waits although the pool was resumed or closed'
        return this.#out().length > 0 ? undefined : 'waits although nothing is lent'
      }
      if (outcome.value === true) {
        const still = out.find((holder) => this.#out().includes(holder))
        return still === undefined ? undefined : `is over although ${still.name} holds something`
      }
      return over || this.now >= now + timeoutMs ? undefined : 'gives up too early'
    })
    if (!closed && model.phase !== 'suspended') model.breaches.push(`drain leaves the pool ${model.phase}`)
  }

  health(): void {
    const { setup, model } = this.#run
    model.asksItself = true
    const outcome = watch(setup.pool.health())
    this.#add('health', outcome, healthTimeoutMs, () => (outcome.state === 'rejected' ? 'rejects' : undefined))
  }

  close(timeoutMs: number): Watched<void> {
    const { setup, model } = this.#run
    if (!model.closed) {
      model.closing(timeoutMs)
      // Each of the two timers may take a millisecond more than was asked.
      this.closedBy = this.now + timeoutMs + CANCEL_MS + 2
    }
    const outcome = watch(setup.pool.close({ timeoutMs }))
    const rejects = () => (outcome.state === 'rejected' ? 'rejects' : undefined)
    this.#add('close', outcome, this.closedBy - this.now, rejects)
    return outcome
  }

  suspend(refuseAfterMs: number): void {
    const { setup, model } = this.#run
    const closed = this.#run.model.closed
    model.suspending(refuseAfterMs)
    try {
      setup.pool.suspend({ refuseAfterMs })
    } catch (error) {
      if (closed && error instanceof PoolClosedError) return
      throw error
    }
    if (closed || model.phase !== 'suspended') model.breaches.push(`suspend leaves the pool ${model.phase}`)
  }

  /** What is wrong with those under way. */
  wrong(): string[] {
    const found = this.#underWay.flatMap(({ name, outcome, until, wrong }) => {
      const late = outcome.state === 'pending' && !this.#run.stalled && this.now > until + 1
      const how = late ? 'does not end in time' : wrong()
      return how === undefined ? [] : [`${name} ${how}`]
    })
    this.#underWay = this.#underWay.filter(({ outcome }) => outcome.state === 'pending')
    return found
  }

  get now(): number {
    return this.#run.setup.clock.now()
  }

  /** Those who hold a connection. */
  #out(): Borrower[] {
    return [...this.#run.model.holders.values()]
  }

  #add(name: string, outcome: Watched<unknown>, limitMs: number, wrong: () => string | undefined): void {
    this.#underWay.push({ name, outcome, until: this.now + limitMs, wrong })
  }
}
