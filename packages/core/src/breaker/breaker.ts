// Stands in front of something that may be down, and once it is spares it, and its callers, calls that would only fail:
// while the breaker is open they are refused at once, but for one probe now and then that finds out whether it is back.

import { systemClock } from '../clock.js'
import { type Deadline, Deadlines } from '../deadlines.js'
import { describeCause } from '../errors/base.js'
import { CircuitOpenError } from '../errors.js'
import { type BreakerKind, type BreakerOwner, publish } from '../events.js'
import { type BreakerOptions, type ResolvedBreakerOptions, resolveBreaker } from './breaker-options.js'
import { registerBreaker, unregisterBreaker } from './breakers.js'
import { Circuit } from './circuit.js'
import { type Counts, failsUnlessCancelled, judged } from './counts.js'

/**
 * - `closed`: every call is let through
 * - `open`: none is
 * - `half-open`: one is, and decides which of the two comes next
 * - `forced-open`, `forced-closed`: so by hand, until `reset()`
 */
export type BreakerState = 'closed' | 'open' | 'half-open' | 'forced-open' | 'forced-closed'

export interface BreakerSetup extends BreakerOptions {
  /** What it is called in errors, events and lists. If another of its kind is called so, ` (2)` is added, or ` (3)`… */
  readonly name: string
  readonly kind: BreakerKind
  /** The pool it belongs to, if any: its events carry that, and the pool's logger writes them. */
  readonly owner?: BreakerOwner | undefined
  /** Whose clock it follows. Default: its own, by the system's clock. */
  readonly deadlines?: Deadlines | undefined
}

/** How things are, and what has been since the breaker was made. Times in milliseconds. */
export interface BreakerStats {
  readonly name: string
  readonly kind: BreakerKind
  readonly state: BreakerState
  /** Calls let through: those that ended, and those under way. */
  readonly fires: number
  /** Calls that were answered, be it by an error that does not count. */
  readonly successes: number
  /** Calls that failed, those included that ended too late to decide anything. */
  readonly failures: number
  /** Calls refused. */
  readonly rejected: number
  /** How often it opened by itself; a probe that failed is not one more. */
  readonly openedCount: number
  /** For how long the outage goes on, half-open included, or for how long there has been none. */
  readonly sinceMs: number
  /** As {@link Breaker.retryInMs}. */
  readonly retryInMs: number | undefined
  /** The last failure's name and code: what else it says may be anything. */
  readonly lastError: { readonly name: string; readonly code?: string } | undefined
}

/**
 * A circuit breaker. Applications get one by `guard()`; the pool has one for each endpoint.
 *
 * It bounds nothing but its probe: the calls have limits of their own. Calls that were begun before it last changed its
 * state decide nothing any more. While it is closed it sets no timer, and none that keeps the process alive at all.
 *
 * @example
 * const breaker = new Breaker({ name: 'mail', kind: 'external' })
 * await breaker.run(() => mail.send(letter))
 */
export class Breaker {
  readonly name: string
  readonly kind: BreakerKind
  readonly #owner: BreakerOwner
  readonly #options: ResolvedBreakerOptions
  readonly #deadlines: Deadlines
  readonly #ownsDeadlines: boolean
  #circuit: Circuit | undefined
  #phase: 'closed' | 'open' | 'half-open' = 'closed'
  #forced: 'open' | 'closed' | undefined
  #shut = false
  /** Goes up with each change of state: a call that was let through in another era decides nothing. */
  #era = 0
  /** The era it opened in: whatever was let through in a later one was a probe. */
  #outage = 0
  #probedAt: number | undefined
  /** Of the next probe while it is open, of the one under way while it is half-open. */
  #deadline: Deadline | undefined
  #since: number
  #fires = 0
  #successes = 0
  #failures = 0
  #rejected = 0
  #openedCount = 0
  #lastFailure: unknown

  /** @throws InvalidOptionsError */
  constructor({ name, kind, owner, deadlines, ...options }: BreakerSetup) {
    this.#options = resolveBreaker(options, 'breaker')
    this.kind = kind
    this.#owner = owner ?? { pool: undefined, poolId: undefined }
    this.#ownsDeadlines = deadlines === undefined
    this.#deadlines = deadlines ?? new Deadlines(systemClock)
    this.#since = this.#deadlines.clock.now()
    this.name = registerBreaker(this, kind, name)
  }

  /**
   * Runs the action, unless the breaker is open, and gives back what comes of it. An action that throws is one that rejects.
   *
   * @param counts which errors are failures. Default: all but an AbortError, with which a caller gives up
   * @throws CircuitOpenError at once, without running the action
   */
  async run<T>(action: () => Promise<T> | T, counts: Counts = failsUnlessCancelled): Promise<T> {
    const era = this.#admit()
    let result: T
    try {
      result = await action()
    } catch (error) {
      this.#ended(era, error, counts)
      throw error
    }
    this.#succeeded(era)
    return result
  }

  get state(): BreakerState {
    return this.#forced === undefined ? this.#phase : `forced-${this.#forced}`
  }

  /**
   * How long until a call may be let through, in milliseconds. While a probe is under way nobody knows: then when the next
   * one would be, if this one fails. Undefined while calls are let through, and while it is open by hand.
   */
  get retryInMs(): number | undefined {
    if (this.#forced !== undefined || this.#deadline === undefined) return undefined
    const left = Math.max(0, Math.ceil(this.#deadline.at - this.#now()))
    return this.#phase === 'open' ? left : Math.min(left, this.#options.resetTimeoutMs)
  }

  /** What a call would be refused with now: for who has to know without calling. Undefined where it would be let through. */
  get refusal(): CircuitOpenError | undefined {
    const byHand = this.#forced === 'open'
    const open =
      (this.#phase === 'open' && !this.#isDue) || (this.#phase === 'half-open' && this.#probedAt !== undefined)
    if (!byHand && !open) return undefined
    return new CircuitOpenError(this.name, {
      sinceMs: this.#sinceMs(),
      retryInMs: this.retryInMs,
      byHand,
      cause: byHand ? undefined : this.#lastFailure,
    })
  }

  /** Refuses every call until `forceClose()` or `reset()`. Calls under way go on. */
  forceOpen(): void {
    this.#force('open')
  }

  /** Lets every call through, whatever comes of it, until `forceOpen()` or `reset()`. */
  forceClose(): void {
    this.#force('closed')
  }

  /** Closed, with everything forgotten but the counts of `stats()`. */
  reset(): void {
    this.#force(undefined)
  }

  /** Frozen, and safe to log. */
  stats(): BreakerStats {
    return Object.freeze({
      name: this.name,
      kind: this.kind,
      state: this.state,
      fires: this.#fires,
      successes: this.#successes,
      failures: this.#failures,
      rejected: this.#rejected,
      openedCount: this.#openedCount,
      sinceMs: this.#sinceMs(),
      retryInMs: this.retryInMs,
      lastError: describeCause(this.#lastFailure),
    })
  }

  /** Takes it out of `breakers()` and ends its timer. From then on it lets every call through, and counts on. */
  shutdown(): void {
    if (this.#shut) return
    this.#shut = true
    if (this.#letsNothingThrough) this.#since = this.#now()
    this.#forced = undefined
    this.#enter('closed')
    this.#circuit?.shutdown()
    if (this.#ownsDeadlines) this.#deadlines.clear()
    unregisterBreaker(this)
  }

  /** @returns the era of the call */
  #admit(): number {
    // The timer that says so may be late.
    if (this.#isDue) this.#halfOpen()
    const { refusal } = this
    if (refusal !== undefined) {
      this.#rejected++
      throw refusal
    }
    this.#fires++
    if (this.#forced === undefined && this.#phase === 'half-open') this.#startProbe()
    return this.#era
  }

  get #isDue(): boolean {
    return this.#phase === 'open' && this.#deadline !== undefined && this.#deadline.at <= this.#now()
  }

  #startProbe(): void {
    this.#probedAt = this.#now()
    this.#arm(this.#options.probeTimeoutMs, () => this.#probeFailed())
  }

  #ended(era: number, error: unknown, counts: Counts): void {
    const failed = judged(error, counts)
    if (failed === undefined) this.#saidNothing(era)
    else if (failed) this.#failed(era, error)
    else this.#succeeded(era)
  }

  #failed(era: number, error: unknown): void {
    this.#failures++
    this.#lastFailure = error
    if (!this.#decides(era)) return
    if (this.#phase === 'half-open') this.#probeFailed()
    else if (this.#counting().failed()) this.#open()
  }

  #succeeded(era: number): void {
    this.#successes++
    // Also a probe's that took too long to be waited for.
    if (this.#phase !== 'closed' && this.#forced === undefined && era > this.#outage) this.#close()
    else if (this.#decides(era)) this.#counting().succeeded()
  }

  /** Of a probe: then the next call is one. */
  #saidNothing(era: number): void {
    if (!this.#decides(era) || this.#phase !== 'half-open') return
    this.#probedAt = undefined
    this.#disarm()
  }

  #decides(era: number): boolean {
    return era === this.#era && this.#forced === undefined && !this.#shut
  }

  #counting(): Circuit {
    this.#circuit ??= new Circuit(this.#options, this.#deadlines.clock)
    return this.#circuit
  }

  // --- the changes of state ---

  #open(): void {
    this.#openedCount++
    this.#since = this.#now()
    this.#enter('open')
    this.#outage = this.#era
    this.#arm(this.#options.resetTimeoutMs, () => this.#halfOpen())
    this.#tellOpened(false)
  }

  #halfOpen(): void {
    this.#enter('half-open')
    publish('moorings:breaker:half-opened', this.#owner, () => ({ ...this.#identity(), openMs: this.#sinceMs() }))
  }

  #probeFailed(): void {
    const tookMs = this.#now() - (this.#probedAt ?? this.#now())
    this.#enter('open')
    this.#arm(Math.max(0, this.#options.resetTimeoutMs - tookMs), () => this.#halfOpen())
    this.#tellOpened(true)
  }

  #close(): void {
    const openMs = this.#sinceMs()
    this.#since = this.#now()
    this.#enter('closed')
    this.#tellClosed(openMs, false)
  }

  #force(forced: 'open' | 'closed' | undefined): void {
    if (this.#shut) return
    const before = this.state
    const wasOpen = this.#letsNothingThrough
    const openMs = wasOpen ? this.#sinceMs() : 0
    if (wasOpen !== (forced === 'open')) this.#since = this.#now()
    this.#forced = forced
    this.#enter('closed')
    this.#circuit?.forget()
    if (this.state === before) return
    if (forced === 'open') this.#tellOpened(false)
    else this.#tellClosed(openMs, true)
  }

  /** But for a probe. */
  get #letsNothingThrough(): boolean {
    return this.#forced === undefined ? this.#phase !== 'closed' : this.#forced === 'open'
  }

  #enter(phase: 'closed' | 'open' | 'half-open'): void {
    this.#phase = phase
    this.#era++
    this.#probedAt = undefined
    this.#disarm()
  }

  #arm(delayMs: number, passed: () => void): void {
    this.#deadline = this.#deadlines.add(delayMs, passed, false)
  }

  #disarm(): void {
    if (this.#deadline === undefined) return
    this.#deadlines.delete(this.#deadline)
    this.#deadline = undefined
  }

  #tellOpened(again: boolean): void {
    publish('moorings:breaker:opened', this.#owner, () => ({
      ...this.#identity(),
      byHand: this.#forced !== undefined,
      again,
      retryInMs: this.retryInMs,
      lastError: describeCause(this.#lastFailure),
    }))
  }

  #tellClosed(openMs: number, byHand: boolean): void {
    publish('moorings:breaker:closed', this.#owner, () => ({ ...this.#identity(), byHand, openMs }))
  }

  #identity(): { breaker: string; kind: BreakerKind } {
    return { breaker: this.name, kind: this.kind }
  }

  #sinceMs(): number {
    return Math.round(this.#now() - this.#since)
  }

  #now(): number {
    return this.#deadlines.clock.now()
  }
}
