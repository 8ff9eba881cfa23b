// Time moved by hand. Timers run in the order of their time, each at its own moment, and what they set off is let run
// out before the next one.

import type { Clock, Timer } from '../clock.js'

interface PendingTimer {
  readonly at: number
  readonly run: () => void
  holds: boolean
}

/** Resolves when everything that can run by itself, without time going on, has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export class FakeClock implements Clock {
  readonly #timers = new Set<PendingTimer>()
  #now: number
  #fired = 0

  /** Monotonic clocks start anywhere, and not at a whole number. */
  constructor(now = 1_234.5) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  setTimer(run: () => void, delayMs: number): Timer {
    const timer: PendingTimer = { at: this.#now + delayMs, run, holds: true }
    this.#timers.add(timer)
    return {
      cancel: () => {
        this.#timers.delete(timer)
      },
      ref: () => {
        timer.holds = true
      },
      unref: () => {
        timer.holds = false
      },
    }
  }

  turn(): Promise<void> {
    return settled()
  }

  /** Timers not yet run or cancelled. */
  get pending(): number {
    return this.#timers.size
  }

  /** Those of them that would keep a process alive. */
  get holding(): number {
    return [...this.#timers].filter(({ holds }) => holds).length
  }

  /** Timers that have run so far. */
  get fired(): number {
    return this.#fired
  }

  /** Lets `ms` pass, and whatever falls due in it happen. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settled()
    for (let timer = this.#next(); timer !== undefined && timer.at <= end; timer = this.#next()) {
      this.#now = Math.max(this.#now, timer.at)
      this.#run(timer)
      await settled()
    }
    this.#now = end
  }

  /** Lets time pass up to the next timer, and it run. Returns how long that was. */
  async advanceToNext(): Promise<number> {
    const next = this.#next()
    if (next === undefined) throw new Error('no timer is pending: nothing would ever happen')
    const before = this.#now
    this.#now = Math.max(before, next.at)
    await this.advance(0)
    return this.#now - before
  }

  /** Lets `ms` pass in which the process is busy: what falls due runs late, with the next `advance`. */
  stall(ms: number): void {
    this.#now += ms
  }

  #next(): PendingTimer | undefined {
    let next: PendingTimer | undefined
    for (const timer of this.#timers) if (next === undefined || timer.at < next.at) next = timer
    return next
  }

  #run(timer: PendingTimer): void {
    this.#timers.delete(timer)
    this.#fired++
    timer.run()
  }
}
