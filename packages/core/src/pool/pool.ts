// The pool: a bounded set of connections, lent one caller at a time. `acquire` and `release` come first; what keeps
// the set supplied stands below them.

import type { Clock } from '../clock.js'
import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver, TransactionSettings } from '../driver.js'
import {
  AcquireAbortedError,
  AcquireTimeoutError,
  ConnectionLostError,
  type MooringsError,
  PoolClosedError,
  type PoolCounts,
  QueueFullError,
} from '../errors.js'
import type { CloseReason, PoolIdentity } from '../events.js'
import type { Resilience } from '../options.js'
import { runTransaction, type Transaction } from '../transaction.js'
import { Connector } from './connector.js'
import { Farewells, unanswered } from './farewells.js'
import { Lease } from './lease.js'
import { Reaper } from './reaper.js'
import { type Entry, Roster } from './roster.js'
import type { AcquireOptions, PoolSetup, PoolStats } from './setup.js'
import { Waiters } from './waiters.js'

let pools = 0

type State = 'new' | 'running' | 'closing' | 'closed'

/** Enough for ROLLBACK, which takes the server no time, on a link that still works. */
const RESET_TIMEOUT_MS = 5_000

/**
 * A server that ends a connection says so at once, but we hear of it only when the event loop looks at the socket. What was
 * used within this time goes out unseen; what has rested longer waits for one look, which costs no round trip.
 */
const FRESH_MS = 20

/** A connection that does not live as long was not really made: connecting again at once would be a hot loop. */
const YOUNG_MS = 100

/**
 * Lends connections, one caller each. What it may do is in its {@link Resilience} options; a driver's package makes it
 * (`createPool` of `@moorings/postgres`).
 */
export class Pool<C extends Connection = Connection> {
  readonly name: string
  readonly identity: PoolIdentity
  readonly driver: Driver<C>
  readonly resilience: Resilience
  readonly deadlines: Deadlines
  readonly #clock: Clock
  readonly #random: () => number
  readonly #waiters: Waiters<Lease<C>>
  readonly #connector: Connector<C>
  readonly #reaper: Reaper
  readonly #roster: Roster<C>
  readonly #farewells: Farewells
  #state: State = 'new'
  #epoch = 0
  /** Taken from those that rest, to see whether they live. */
  readonly #validating = new Set<Entry<C>>()
  /** When a connection was last found dead: what has rested since before then is asked before it is lent. */
  #suspectUntil = Number.NEGATIVE_INFINITY
  #closeTimeoutMs: number
  #shutDown: Promise<void> | undefined
  #emptied: (() => void) | undefined

  constructor(setup: PoolSetup<C>) {
    this.name = setup.name ?? 'default'
    this.identity = Object.freeze({ pool: this.name, poolId: ++pools })
    this.driver = setup.driver
    this.resilience = setup.resilience
    this.deadlines = setup.deadlines
    this.#clock = setup.deadlines.clock
    this.#random = setup.random ?? Math.random
    this.#closeTimeoutMs = setup.resilience.pool.closeTimeoutMs
    this.#waiters = new Waiters(this.deadlines)
    this.#roster = new Roster(this.identity, this.#clock)
    this.#farewells = new Farewells(this.deadlines)
    this.#reaper = new Reaper(this.deadlines, setup.resilience.pool.idleTimeoutMs, () => this.#reap())
    this.#connector = new Connector({
      pool: this.identity,
      driver: setup.driver,
      timeoutMs: setup.resilience.pool.connectTimeoutMs,
      clock: this.#clock,
      deadlines: this.deadlines,
      random: this.#random,
      arrived: (connection, epoch) => this.#arrived(connection, epoch),
      failed: (error) => this.#connectFailed(error),
      retry: () => this.#supply(),
    })
  }

  /**
   * Takes a connection out of the pool.
   *
   * @throws AcquireTimeoutError after `acquireTimeoutMs`
   * @throws QueueFullError when `maxWaiters` callers wait already
   * @throws AuthenticationError, ConnectError when no connection can be had and trying again cannot help
   * @throws PoolClosedError, AcquireAbortedError
   * @example
   * const lease = await pool.acquire()
   * try {
   *   await lease.connection.ping(signal)
   * } finally {
   *   lease.release()
   * }
   */
  async acquire(options: AcquireOptions = {}): Promise<Lease<C>> {
    const { signal } = options
    if (signal?.aborted === true) throw new AcquireAbortedError(signal.reason)
    return this.tryAcquire() ?? this.#queue(options)
  }

  /** A lease if one can be had at once, without waiting for anything. */
  tryAcquire(): Lease<C> | undefined {
    if (this.#state !== 'running') return undefined
    const now = this.#clock.now()
    const { idle } = this.#roster
    let left = false
    for (let entry = idle.at(-1); entry !== undefined; entry = idle.at(-1)) {
      const spent = this.#spent(entry, now)
      if (spent === undefined && this.#doubt(entry, now) !== 'none') return undefined
      this.#roster.wake()
      if (spent === undefined) {
        if (left) this.#supply()
        return this.#lend(entry)
      }
      this.#retire(entry, spent)
      left = true
    }
    return undefined
  }

  #queue({ signal, timeoutMs }: AcquireOptions): Promise<Lease<C>> {
    if (this.closed) throw new PoolClosedError()
    const { acquireTimeoutMs, maxWaiters, max, overflow } = this.resilience.pool
    // Whoever can be given a connection without another caller's help does not count as waiting.
    const atHand = this.#validating.size + this.#roster.idle.length + max + overflow - this.#roster.size
    if (this.#waiters.size - atHand >= maxWaiters) throw new QueueFullError(maxWaiters, this.#counts())
    this.#state = 'running'
    const limitMs = timeoutMs ?? acquireTimeoutMs
    const timedOut = () => new AcquireTimeoutError(limitMs, this.#counts(), [], this.#connector.lastError)
    const lease = this.#waiters.join(limitMs, timedOut, signal)
    this.#supply()
    return lease
  }

  #lend(entry: Entry<C>): Lease<C> {
    return new Lease(entry.connection, () => this.#release(entry))
  }

  #release(entry: Entry<C>): void {
    const { connection } = entry
    if (!this.#roster.has(entry)) return
    if (connection.activity === 'idle' && connection.transactionStatus === 'idle') this.#hand(entry)
    else if (connection.activity === 'running' || connection.transactionStatus === 'failed') {
      if (connection.activity === 'running') this.#farewells.cancel(connection)
      this.#evict(entry, 'unfit', new ConnectionLostError('The connection was released with work under way on it'))
    } else this.#reset(entry)
  }

  /** To the next in line; else it rests, unless it has had its day or is one too many. */
  #hand(entry: Entry<C>): void {
    const now = this.#clock.now()
    const spent = this.#spent(entry, now)
    if (spent !== undefined) {
      this.#retire(entry, spent)
      this.#supply()
    } else if (!this.#waiters.serve(() => this.#lend(entry))) {
      if (this.#roster.size > this.resilience.pool.max) {
        this.#retire(entry, 'overflow')
        return
      }
      entry.idleSince = now
      this.#roster.rest(entry)
      this.#reaper.watch(entry, this.#roster.size > this.resilience.pool.min)
    }
  }

  /** Left in an open transaction, or with a cancel under way: bounded, or it goes. */
  #reset(entry: Entry<C>): void {
    const { connection } = entry
    this.deadlines
      .limit(RESET_TIMEOUT_MS, unanswered, (signal) => connection.reset(signal))
      .then(
        () => this.#roster.has(entry) && this.#hand(entry),
        (error: unknown) => this.#evict(entry, 'unfit', this.driver.classify(error, 'statement')),
      )
  }

  // --- what a connection has to be, to be lent ---

  #spent(entry: Entry<C>, now: number): CloseReason | undefined {
    if (this.#state === 'closing') return 'closing'
    if (entry.epoch !== this.#epoch) return 'epoch'
    return now >= entry.expiresAt ? 'lifetime' : undefined
  }

  /** How little is known of whether it still lives, after its rest. */
  #doubt(entry: Entry<C>, now: number): 'none' | 'little' | 'much' {
    const rested = now - entry.idleSince
    if (rested >= this.resilience.pool.validateAfterIdleMs || entry.idleSince < this.#suspectUntil) return 'much'
    return rested < FRESH_MS ? 'none' : 'little'
  }

  /** In much doubt the server is asked; in little, the event loop is given the chance to notice that it has hung up. */
  #validate(entry: Entry<C>): void {
    const { connection } = entry
    const { validationTimeoutMs } = this.resilience.pool
    const asked =
      this.#doubt(entry, this.#clock.now()) === 'much'
        ? this.deadlines.limit(validationTimeoutMs, unanswered, (signal) => connection.ping(signal))
        : this.#clock.turn()
    this.#validating.add(entry)
    asked.then(
      () => {
        this.#validating.delete(entry)
        if (this.#roster.has(entry)) this.#hand(entry)
        else this.#supply()
      },
      (error: unknown) => {
        this.#validating.delete(entry)
        this.#evict(entry, 'invalid', this.driver.classify(error, 'statement'))
        // All that rest may be as dead: asked at once, not one after the other.
        for (let rest = this.#roster.wake(); rest !== undefined; rest = this.#roster.wake()) this.#validate(rest)
      },
    )
  }

  // --- supply: an effort under way for every waiter, and `min` connections whether or not anybody waits ---

  #supply(): void {
    if (this.#state !== 'running') return
    const { min, max, overflow } = this.resilience.pool
    // What rests comes first: a connect under way may never arrive.
    while (this.#validating.size < this.#waiters.size) {
      const entry = this.#roster.wake()
      if (entry === undefined) break
      const spent = this.#spent(entry, this.#clock.now())
      if (spent === undefined) this.#validate(entry)
      else this.#retire(entry, spent)
    }
    // A listener to what has just been told may have closed the pool.
    if (this.closed) return
    while (
      this.#validating.size + this.#connector.size < this.#waiters.size &&
      this.#roster.size + this.#connector.size < max + overflow &&
      this.#connector.ready
    ) {
      this.#connector.attempt(this.#epoch)
    }
    // A refused password is not tried again and again behind everybody's back: servers lock accounts for less.
    const refill = this.#connector.lastError?.retry === 'never' ? 0 : min
    while (this.#roster.size + this.#connector.size < refill && this.#connector.ready) {
      this.#connector.attempt(this.#epoch)
    }
    if (this.#waiters.size > 0 || this.#roster.size < refill) this.#connector.retryLater()
  }

  #arrived(connection: C, epoch: number): void {
    const { maxLifetimeMs, lifetimeJitter } = this.resilience.pool
    const now = this.#clock.now()
    const lifetimeMs = maxLifetimeMs === 0 ? Number.POSITIVE_INFINITY : maxLifetimeMs
    // Connections made together must not die together.
    const expiresAt = now + lifetimeMs * (1 - lifetimeJitter * this.#random())
    const entry: Entry<C> = { connection, epoch, expiresAt, arrivedAt: now, idleSince: now, uses: 0 }
    this.#roster.add(entry)
    connection.onLost((reason, how) => this.#forget(entry, how, reason))
    if (this.#roster.has(entry)) this.#hand(entry)
    this.#supply()
  }

  #connectFailed(error: MooringsError): void {
    // Nothing lives and trying again cannot help (wrong password, unknown database): waiting for the timeout would only hide it.
    if (error.retry === 'never' && this.#roster.size === 0) this.#waiters.rejectAll(() => error)
    this.#supply()
  }

  #reap(): void {
    const { min } = this.resilience.pool
    const now = this.#clock.now()
    for (const entry of [...this.#roster.idle]) {
      const idle = this.#roster.size > min && this.#reaper.rested(entry, now)
      const reason = this.#spent(entry, now) ?? (idle ? 'idle' : undefined)
      if (reason !== undefined) this.#retire(entry, reason)
    }
    this.#supply()
    for (const entry of this.#roster.idle) this.#reaper.watch(entry, this.#roster.size > min)
  }

  // --- leaving the pool ---

  /** Politely. */
  #retire(entry: Entry<C>, reason: CloseReason): void {
    this.#forget(entry, reason, undefined)
    this.#farewells.say(entry.connection, this.#closeTimeoutMs)
  }

  /** At once. */
  #evict(entry: Entry<C>, reason: CloseReason, error: MooringsError): void {
    this.#forget(entry, reason, error)
    entry.connection.destroy(error)
    this.#supply()
  }

  #forget(entry: Entry<C>, reason: CloseReason, error: MooringsError | undefined): void {
    if (!this.#roster.remove(entry, reason, error)) return
    this.#validating.delete(entry)
    const now = this.#clock.now()
    if (reason === 'lost' || reason === 'invalid' || reason === 'destroyed') this.#suspectUntil = now
    if (this.#roster.size === 0) this.#emptied?.()
    if (reason === 'lost' && error !== undefined && now - entry.arrivedAt < YOUNG_MS) this.#connector.lostYoung(error)
    if (reason === 'lost' || reason === 'destroyed') this.#supply()
  }

  // --- the pool as a whole ---

  /** Opens what `min` asks for, and resolves once a first connection was had. Optional: the first acquire does as well. */
  async start(): Promise<void> {
    const lease = await this.acquire()
    lease.release()
  }

  /** BEGIN, the body, COMMIT; ROLLBACK if the body throws. See {@link Transaction}. */
  transaction<T>(body: (transaction: Transaction<C>) => Promise<T> | T, settings?: TransactionSettings): Promise<T> {
    return runTransaction(this, body, settings)
  }

  /** Retires every connection of today: idle ones now, leased ones at their return, those still connecting on arrival. */
  invalidate(): void {
    this.#epoch++
    for (const entry of [...this.#roster.idle]) this.#retire(entry, 'epoch')
    this.#supply()
  }

  stats(): PoolStats {
    return { ...this.#counts(), epoch: this.#epoch, ...this.#roster.totals }
  }

  #counts(): PoolCounts {
    const { max, overflow } = this.resilience.pool
    const idle = this.#roster.idle.length + this.#validating.size
    const leased = this.#roster.size - idle
    return { idle, leased, connecting: this.#connector.size, waiting: this.#waiters.size, max, overflow }
  }

  get closed(): boolean {
    return this.#state === 'closing' || this.#state === 'closed'
  }

  /**
   * Refuses new callers, rejects those waiting with PoolClosedError, closes what is idle, gives leases `timeoutMs`
   * (default `closeTimeoutMs`) to come back, destroys the rest. Afterwards no socket and no timer is left. Never rejects.
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#shutDown === undefined) {
      this.#closeTimeoutMs = options.timeoutMs ?? this.#closeTimeoutMs
      this.#shutDown = this.#close(this.#closeTimeoutMs)
    }
    return this.#shutDown
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#state = 'closing'
    this.#waiters.rejectAll(() => new PoolClosedError('The pool was closed while this caller waited for a connection'))
    this.#connector.abort(new PoolClosedError('The pool was closed while connecting'))
    const others = this.closeOthers(timeoutMs)
    for (const entry of [...this.#roster.idle]) this.#retire(entry, 'closing')
    await new Promise<void>((resolve) => {
      this.deadlines.add(timeoutMs, resolve)
      void this.#left().then(resolve)
    })
    const late = new PoolClosedError(`The pool was closed and this lease did not come back within ${timeoutMs} ms`)
    for (const entry of this.#roster.all()) {
      if (entry.connection.activity !== 'idle') this.#farewells.cancel(entry.connection)
      this.#evict(entry, 'closing', late)
    }
    this.#farewells.destroy(late)
    await Promise.all([others, this.#farewells.over()])
    this.deadlines.clear()
    this.#state = 'closed'
  }

  /** Resolves when every connection has left and said goodbye, also those that arrive in this very turn. */
  async #left(): Promise<void> {
    do {
      if (this.#roster.size > 0) {
        await new Promise<void>((resolve) => {
          this.#emptied = resolve
        })
      }
      await this.#farewells.over()
    } while (this.#roster.size + this.#farewells.size > 0)
  }

  /** What a pool of a certain driver holds besides its connections. Never rejects. */
  protected async closeOthers(_timeoutMs: number): Promise<void> {}
}
