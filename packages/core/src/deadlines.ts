// Many deadlines on one timer. A statement or a waiter costs an object and a Set entry, not a timer of its own:
// the timer stays armed for the earliest deadline it knew and looks again when it fires.

import { AsyncResource } from 'node:async_hooks'
import type { Clock, Timer } from './clock.js'
import type { MooringsError } from './errors.js'
import { List, type Listed } from './list.js'

export interface Deadline extends Listed<Deadline> {
  readonly at: number
  /** @param cleared why all were forgotten, if it has not passed by itself */
  readonly passed: (cleared?: MooringsError) => void
  /** Whether the process should stay alive for it. */
  readonly holds: boolean
  /** Whether somebody waits for it, who is not to wait for ever when all are forgotten. */
  readonly awaited: boolean
}

/**
 * A timer so late has slept through what came in on the sockets, as after a long computation or a stopped process: the
 * answers that lie there are looked at before anybody is told that none came.
 */
const LATE_MS = 50

/** A timer's longest. */
const LONGEST_MS = 2 ** 31 - 1

export class Deadlines {
  readonly clock: Clock
  readonly #pending = new List<Deadline>()
  readonly #scope = new AsyncResource('moorings:deadlines')
  #timer: Timer | undefined
  #armedFor = Number.POSITIVE_INFINITY
  #holding = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  /**
   * Calls `passed` once, `delayMs` from now and never earlier, unless deleted before.
   *
   * @param now by the clock, for whoever has just asked it
   */
  add(delayMs: number, passed: () => void, holds = true, now: number = this.clock.now()): Deadline {
    return this.#add({ at: now + delayMs, passed, holds, awaited: false, next: undefined, previous: undefined })
  }

  /** As `add`, for what somebody waits for: `passed` is called by `clear`, too, and told why. */
  awaited(delayMs: number, passed: (cleared?: MooringsError) => void): Deadline {
    const at = this.clock.now() + delayMs
    return this.#add({ at, passed, holds: true, awaited: true, next: undefined, previous: undefined })
  }

  #add(deadline: Deadline): Deadline {
    this.#pending.add(deadline)
    if (deadline.at < this.#armedFor) this.#arm(deadline.at)
    if (deadline.holds && ++this.#holding === 1) this.#timer?.ref()
    return deadline
  }

  delete(deadline: Deadline): void {
    if (!this.#pending.delete(deadline)) return
    // The timer is left armed: cancelling and arming it again for every statement would cost more than one idle firing.
    if (deadline.holds && --this.#holding === 0) this.#timer?.unref()
  }

  /**
   * Gives the work a limit that holds even if the work ignores its signal: then its outcome is nobody's any more.
   *
   * @param late what it rejects with at the limit; the signal's reason, too
   */
  limit<T>(limitMs: number, late: () => Error, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const abort = new AbortController()
      const deadline = this.add(limitMs, () => {
        const error = late()
        abort.abort(error)
        reject(error)
      })
      work(abort.signal)
        .then(resolve, reject)
        .finally(() => this.delete(deadline))
    })
  }

  /**
   * Forgets all deadlines and leaves no timer behind.
   *
   * @param why for who waits for one
   */
  clear(why?: MooringsError): void {
    const awaited = [...this.#pending].filter((deadline) => deadline.awaited)
    this.#pending.clear()
    this.#holding = 0
    this.#disarm()
    for (const { passed } of awaited) passed(why)
  }

  #arm(at: number): void {
    this.#timer?.cancel()
    this.#armedFor = at
    const delayMs = Math.min(LONGEST_MS, Math.max(1, Math.ceil(at - this.clock.now())))
    // In nobody's async context: what falls due is not the business of whoever happened to set the timer.
    this.#timer = this.#scope.runInAsyncScope(() => this.clock.setTimer(() => this.#fire(), delayMs))
    if (this.#holding === 0) this.#timer.unref()
  }

  #disarm(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  #fire(): void {
    const late = this.clock.now() - this.#armedFor >= LATE_MS
    this.#disarm()
    if (late) void this.clock.turn().then(() => this.#pass())
    else this.#pass()
  }

  #pass(): void {
    const now = this.clock.now()
    let next = Number.POSITIVE_INFINITY
    const passed: Deadline[] = []
    for (const deadline of this.#pending) {
      if (deadline.at <= now) passed.push(deadline)
      else if (deadline.at < next) next = deadline.at
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next)
    passed.sort((a, b) => a.at - b.at)
    for (const deadline of passed) {
      // One that has passed may have deleted another in the same batch.
      if (!this.#pending.has(deadline)) continue
      this.delete(deadline)
      deadline.passed()
    }
  }
}
