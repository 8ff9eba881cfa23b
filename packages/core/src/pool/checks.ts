// Whether a connection may be lent: not spent, alive as far as can be told, and to the liking of the application's hook.

import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver } from '../driver.js'
import { HookError, type MooringsError } from '../errors.js'
import { type CloseReason, type PoolIdentity, publish } from '../events.js'
import type { Resilience } from '../options.js'
import { unanswered } from './farewells.js'
import { type HookCalls, messageOf } from './hook-calls.js'
import type { Lease } from './lease.js'
import type { Entry, Roster } from './roster.js'
import type { Waiters } from './waiters.js'

/**
 * A server that ends a connection says so at once, but we hear of it only when the event loop looks at the socket. What was
 * used within this time goes out unseen; what has rested longer waits for one look, which costs no round trip.
 */
const FRESH_MS = 20

/** A sign of life that takes longer is not all that is done for whoever waits: a connect is made beside it. */
const SLOW_MS = 250

/** The least that a sign of life is given, in however much of a hurry its caller is. */
const LEAST_MS = 250

export interface ChecksParts<C extends Connection> {
  readonly pool: PoolIdentity
  readonly driver: Driver<C>
  readonly deadlines: Deadlines
  readonly options: Resilience['pool']
  readonly roster: Roster<C>
  readonly waiters: Waiters<Lease<C>>
  readonly hooks: HookCalls
  /** It may be lent now, to the first in line. */
  readonly passed: (entry: Entry<C>, now: number) => void
  /** It lives, and nobody in particular is to have it. */
  readonly kept: (entry: Entry<C>, now: number) => void
  readonly failed: (entry: Entry<C>, reason: CloseReason, error: MooringsError) => void
  /** It left by itself meanwhile. */
  readonly gone: () => void
}

export class Checks<C extends Connection> {
  readonly #parts: ChecksParts<C>
  readonly #asksHook: boolean
  readonly #running = new Set<Entry<C>>()
  /** Those of them that are looked at for a caller. */
  readonly #efforts = new Set<Entry<C>>()
  /** When a connection was last found dead: what was last seen alive before then is asked before it is lent. */
  #suspectUntil = Number.NEGATIVE_INFINITY

  constructor(parts: ChecksParts<C>) {
    this.#parts = parts
    this.#asksHook = parts.hooks.has('beforeAcquire')
  }

  /** Connections taken from those that rest, for as long as they are looked at. */
  get size(): number {
    return this.#running.size
  }

  /** How many of them are looked at because somebody waits. */
  get efforts(): number {
    return this.#efforts.size
  }

  /** Why it is not to be lent again, whatever its health. */
  spent(entry: Entry<C>, now: number): CloseReason | undefined {
    const { maxUses } = this.#parts.options
    if (entry.stale) return 'epoch'
    if (now >= entry.expiresAt) return 'lifetime'
    if (maxUses > 0 && entry.uses >= maxUses) return 'uses'
    return entry.connection.worn === true ? 'worn' : undefined
  }

  /** Whether it cannot be lent at once. */
  needed(entry: Entry<C>, now: number): boolean {
    return this.#asksHook || this.doubt(entry, now) !== 'none'
  }

  /** How little is known of whether it still lives, after its rest. */
  doubt(entry: Entry<C>, now: number): 'none' | 'little' | 'much' {
    const unseen = now - entry.seenAt
    if (unseen >= this.#parts.options.validateAfterIdleMs || entry.seenAt < this.#suspectUntil) return 'much'
    return unseen < FRESH_MS ? 'none' : 'little'
  }

  /** One was found dead: its siblings may be, too. */
  suspect(now: number): void {
    this.#suspectUntil = now
  }

  forget(entry: Entry<C>): void {
    this.#running.delete(entry)
    this.#efforts.delete(entry)
  }

  /** Before it is lent; it must not be among those that rest. */
  forAcquire(entry: Entry<C>): void {
    const now = this.#parts.deadlines.clock.now()
    const doubt = this.doubt(entry, now)
    if (doubt === 'none' && !this.#asksHook) {
      this.#parts.passed(entry, now)
      return
    }
    if (doubt === 'much') void this.#run(entry, 'acquire', () => this.#askNotAlone(entry))
    else void this.#run(entry, 'acquire', doubt === 'none' ? noDoubt : () => this.#parts.deadlines.clock.turn())
  }

  /**
   * While it rests, so that its turn as the last one used does not change.
   *
   * @param effort whether somebody who waits may get it
   * @returns the error, if it gave no sign of life
   */
  keepalive(entry: Entry<C>, effort = false): Promise<MooringsError | undefined> {
    if (effort) this.#efforts.add(entry)
    return this.#run(entry, 'keepalive', () => this.#ask(entry, 'keepalive'))
  }

  async #run(
    entry: Entry<C>,
    why: 'acquire' | 'keepalive',
    look: () => Promise<void>,
  ): Promise<MooringsError | undefined> {
    const { deadlines, driver, roster, passed, kept, failed, gone } = this.#parts
    entry.state = 'checking'
    this.#running.add(entry)
    if (why === 'acquire') this.#efforts.add(entry)
    try {
      await look()
    } catch (cause) {
      this.forget(entry)
      const error = driver.classify(cause, 'statement')
      failed(entry, 'invalid', error)
      return error
    }
    entry.seenAt = deadlines.clock.now()
    if (!roster.has(entry)) {
      this.forget(entry)
      gone()
      return undefined
    }
    const next = why === 'acquire' ? await this.#approval(entry) : 'keep'
    this.forget(entry)
    if (!roster.has(entry)) gone()
    else if (next === 'pass') passed(entry, deadlines.clock.now())
    else if (next === 'keep') kept(entry, deadlines.clock.now())
    else failed(entry, 'hook', next)
    return undefined
  }

  async #askNotAlone(entry: Entry<C>): Promise<void> {
    const { deadlines, gone, options, waiters } = this.#parts
    // Whoever waits must have time left for another one, should this one be dead.
    const now = deadlines.clock.now()
    const { at: until = Number.POSITIVE_INFINITY } = waiters.first(now)?.deadline ?? {}
    const limitMs = Math.min(options.validationTimeoutMs, Math.max(LEAST_MS, (until - now) / 4))
    const slow = deadlines.add(SLOW_MS, () => {
      this.#efforts.delete(entry)
      gone()
    })
    try {
      await this.#ask(entry, 'acquire', limitMs)
    } finally {
      deadlines.delete(slow)
    }
  }

  /** Whatever its validity depends on: a round trip. */
  async #ask(entry: Entry<C>, why: 'acquire' | 'keepalive', limitMs?: number): Promise<void> {
    const { deadlines, driver, options, pool } = this.#parts
    const { connection } = entry
    const startedAt = deadlines.clock.now()
    const tell = (error: MooringsError | undefined) =>
      publish('moorings:connection:checked', pool, () => ({
        id: connection.id,
        why,
        tookMs: deadlines.clock.now() - startedAt,
        error,
      }))
    try {
      await deadlines.limit(limitMs ?? options.validationTimeoutMs, unanswered, (signal) => connection.ping(signal))
      tell(undefined)
    } catch (error) {
      tell(driver.classify(error, 'statement'))
      throw error
    }
  }

  /** What the application's hook wants: to lend it, to keep it for another, or why it is to go. */
  async #approval(entry: Entry<C>): Promise<'pass' | 'keep' | HookError> {
    const { deadlines, hooks, waiters, roster } = this.#parts
    const { connection } = entry
    if (!this.#asksHook) return 'pass'
    const waiter = waiters.first(deadlines.clock.now())
    if (waiter === undefined) return 'keep'
    try {
      entry.givenUp = new AbortController()
      const verdict = await hooks.beforeAcquire(connection, entry.givenUp.signal)
      if (!roster.has(entry)) return 'keep'
      if (verdict === undefined || verdict === 'use') return 'pass'
      if (verdict === 'replace') return new HookError('beforeAcquire', 'wanted another connection')
      const { fail: cause } = verdict
      const error = new HookError('beforeAcquire', `refused: ${messageOf(cause)}`, { cause })
      waiters.reject(waiter, error)
      return verdict.connection === 'keep' ? 'keep' : error
    } catch (cause) {
      if (!roster.has(entry)) return 'keep'
      const error = cause instanceof HookError ? cause : new HookError('beforeAcquire', messageOf(cause), { cause })
      waiters.reject(waiter, error)
      return error
    }
  }
}

async function noDoubt(): Promise<void> {}
