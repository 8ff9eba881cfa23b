// The pool: a bounded set of connections, lent one caller at a time. `acquire` and `release` come first; what is done
// with the pool as a whole stands below them. Who waits, what is checked, mended, made and told has a room of its own.

import type { Clock } from '../clock.js'
import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver, TransactionSettings } from '../driver.js'
import {
  AcquireAbortedError,
  AcquireTimeoutError,
  InvalidOptionsError,
  type MooringsError,
  PoolClosedError,
  type PoolCounts,
  QueueFullError,
  SelfDeadlockError,
} from '../errors.js'
import { type CloseReason, hears, type PoolIdentity, publish } from '../events.js'
import { heldHere, holding } from '../holdings.js'
import { logEvents } from '../logger.js'
import { describeGiven } from '../option-problems.js'
import type { Resilience } from '../options.js'
import { runTransaction, type Transaction } from '../transaction.js'
import { Accounts } from './accounts.js'
import { Checks } from './checks.js'
import { chores } from './chores.js'
import { Connector } from './connector.js'
import { Farewells, unanswered } from './farewells.js'
import { HealthWatch, type Probe } from './health.js'
import { HookCalls } from './hook-calls.js'
import { LeakWatch, longestHolders } from './leaks.js'
import { type Home, Lease } from './lease.js'
import { Members } from './members.js'
import { Returns } from './returns.js'
import { type Entry, Roster } from './roster.js'
import { SelfDeadlocks } from './self-deadlock.js'
import type {
  AcquireOptions,
  ConnectionSelector,
  PoolHealth,
  PoolSetup,
  PoolSize,
  PoolState,
  PoolStats,
  StartOptions,
  SuspendOptions,
} from './setup.js'
import { changed } from './size.js'
import { snapshot } from './stats.js'
import { Supply } from './supply.js'
import { Suspension } from './suspension.js'
import { Upkeep } from './upkeep.js'
import { type Waiter, Waiters } from './waiters.js'
import { WarmUp } from './warm-up.js'

let pools = 0

/** A connection that does not live as long was not really made: connecting again at once would be a hot loop. */
const YOUNG_MS = 100

/** How long callers wait for a suspended pool, unless told otherwise. */
const REFUSE_AFTER_MS = 60_000

/**
 * Lends connections, one caller each. What it may do is in its {@link Resilience} options; a driver's package makes it
 * (`createPool` of `@moorings/postgres`).
 */
export class Pool<C extends Connection = Connection> {
  readonly name: string
  /** What its events carry. */
  readonly identity: PoolIdentity
  readonly driver: Driver<C>
  readonly resilience: Resilience
  readonly deadlines: Deadlines
  readonly #clock: Clock
  readonly #accounts: Accounts
  readonly #home: Home<C> = { giveBack: (lease, entry) => this.#giveBack(lease, entry) }
  readonly #hooks: HookCalls
  readonly #roster: Roster<C>
  readonly #members: Members<C>
  readonly #waiters: Waiters<Lease<C>>
  readonly #suspension: Suspension
  readonly #farewells: Farewells
  readonly #checks: Checks<C>
  readonly #returns: Returns<C>
  readonly #connector: Connector<C>
  readonly #supply: Supply<C>
  readonly #warmUp: WarmUp
  readonly #leaks: LeakWatch<C>
  readonly #deadlocks: SelfDeadlocks<Waiter<Lease<C>>>
  readonly #health: HealthWatch
  readonly #upkeep: Upkeep
  #state: PoolState = 'new'
  #shutDown: Promise<void> | undefined
  /** Whoever waits for the last connection to leave, and for the last lease to come back. */
  #emptied: (() => void) | undefined
  #drained: (() => void) | undefined
  #stopLogging: (() => void) | undefined

  constructor({ driver, resilience, deadlines, name = 'default', random = Math.random }: PoolSetup<C>) {
    const { pool: options } = resilience
    const pool = Object.freeze({ pool: name, poolId: ++pools })
    this.name = name
    this.identity = pool
    this.driver = driver
    this.resilience = resilience
    this.deadlines = deadlines
    this.#clock = deadlines.clock
    const hooks = new HookCalls(pool, driver, deadlines, resilience)
    const roster = new Roster<C>(pool, this.#clock)
    const waiters = new Waiters<Lease<C>>(deadlines, (error, waitedMs) => this.#wentWithout(error, waitedMs))
    const farewells = new Farewells(deadlines, hooks)
    const retire = (entry: Entry<C>, reason: CloseReason) => this.#members.retire(entry, reason)
    const evict = (entry: Entry<C>, reason: CloseReason, error: MooringsError) =>
      this.#members.evict(entry, reason, error)
    const retireSpent = (entry: Entry<C>) => this.#retireSpent(entry)
    const shared = { pool, driver, deadlines, options, random, hooks, roster, waiters, farewells, retire, evict }

    const checks = new Checks<C>({
      ...shared,
      passed: (entry) => (retireSpent(entry) ? this.#supply.fill() : this.#give(entry)),
      kept: (entry) => this.#hand(entry),
      failed: (entry, reason, error) => this.#failed(entry, reason, error),
      gone: () => this.#supply.fill(),
    })
    const connector = new Connector<C>({
      ...shared,
      arrived: (connection, epoch, tookMs) => this.#arrived(connection, epoch, tookMs),
      failed: (error) => this.#connectFailed(error),
      retry: () => this.#supply.fill(),
    })
    const open = () => this.#state === 'running'
    const epoch = () => this.#members.epoch
    const supply = new Supply<C>({ ...shared, checks, connector, open, epoch, retireSpent })
    const accounts = new Accounts(this.#clock.now())
    const leaks = new LeakWatch<C>(pool, options.leakAfterMs)
    const checkHealth = () => void this.#checkHealthQuietly()
    const cared = chores({ ...shared, checks, supply, leaks, accounts, checkHealth }, resilience)

    this.#accounts = accounts
    this.#hooks = hooks
    this.#roster = roster
    this.#waiters = waiters
    this.#farewells = farewells
    this.#checks = checks
    this.#connector = connector
    this.#supply = supply
    this.#leaks = leaks
    this.#members = new Members({ ...shared, left: (entry, reason, error) => this.#left(entry, reason, error) })
    this.#returns = new Returns({ ...shared, fit: (entry) => this.#hand(entry) })
    this.#suspension = new Suspension(pool, deadlines, waiters)
    this.#warmUp = new WarmUp(deadlines)
    this.#health = new HealthWatch(pool, resilience)
    this.#upkeep = new Upkeep(deadlines, cared, (now) => {
      accounts.rotate(now)
      supply.fill()
    })
    this.#deadlocks = new SelfDeadlocks(deadlines, {
      leases: () => (this.#exhausted ? roster.leases() : undefined),
      waiters: () => waiters.all(),
      found: (waiter) => waiters.reject(waiter, new SelfDeadlockError(this.#counts(), this.#holders())),
    })
    if (options.start === 'eager') queueMicrotask(() => this.#begin())
  }

  // --- borrowing and returning ---

  /**
   * Takes a connection out of the pool.
   *
   * @throws AcquireTimeoutError after `acquireTimeoutMs`
   * @throws QueueFullError when `maxWaiters` callers wait already
   * @throws SelfDeadlockError when the caller holds a connection itself, and all others are held by callers that wait, too
   * @throws AuthenticationError, ConnectError when no connection can be had and trying again cannot help
   * @throws HookError, PoolClosedError, PoolSuspendedError, AcquireAbortedError
   * @example
   * const lease = await pool.acquire()
   * try {
   *   await lease.connection.execute({ text: 'select 1' })
   * } finally {
   *   lease.release()
   * }
   */
  async acquire(options: AcquireOptions = {}): Promise<Lease<C>> {
    const taking = this.#leaks.note(this.acquire)
    if (options.signal?.aborted === true) throw this.#refused(new AcquireAbortedError(options.signal.reason))
    const lease = this.tryAcquire() ?? (await this.#queue(options))
    lease.taking = taking
    return lease
  }

  /** A lease if one can be had at once, without waiting for anything. No stack is kept for a report of leaks. */
  tryAcquire(): Lease<C> | undefined {
    if (this.#state !== 'running') return undefined
    const now = this.#clock.now()
    const { idle } = this.#roster
    let left = false
    for (let entry = idle.at(-1); entry !== undefined; entry = idle.at(-1)) {
      const spent = this.#checks.spent(entry, now)
      if (spent === undefined && this.#checks.needed(entry, now)) return undefined
      this.#roster.wake()
      if (spent === undefined) {
        const lease = this.#lend(entry, now, 0)
        if (left || idle.length < this.#supply.size.minIdle) this.#supply.fill()
        return lease
      }
      this.#members.retire(entry, spent)
      left = true
    }
    return undefined
  }

  #queue({ signal, timeoutMs }: AcquireOptions): Promise<Lease<C>> {
    if (this.closed) throw this.#refused(new PoolClosedError())
    this.#begin()
    const { acquireTimeoutMs, maxWaiters } = this.resilience.pool
    const { max, overflow } = this.#supply.size
    if (this.#suspension.refusing) throw this.#refused(this.#suspension.error())
    // Whoever can be given a connection without another caller's help does not count as waiting.
    const atHand = this.#checks.size + this.#roster.idle.length + max + overflow - this.#roster.size
    const waiting = this.#waiters.size - (this.#state === 'suspended' ? 0 : atHand)
    if (waiting >= maxWaiters) throw this.#refused(new QueueFullError(maxWaiters, this.#counts()))
    const limitMs = timeoutMs ?? acquireTimeoutMs
    const timedOut = () => new AcquireTimeoutError(limitMs, this.#counts(), this.#holders(), this.#connector.lastError)
    const holds = heldHere(this)
    const lease = this.#waiters.join({ limitMs, timedOut, holds, signal })
    publish('moorings:acquire:queued', this.identity, () => ({ waiting: this.#waiters.size }))
    this.#supply.fill()
    if (holds.length > 0) this.#deadlocks.watch()
    return lease
  }

  #lend(entry: Entry<C>, now: number, waitedMs: number): Lease<C> {
    const lease = new Lease(entry, now, this.#home)
    entry.state = 'leased'
    entry.lease = lease
    entry.uses++
    this.#accounts.acquired++
    this.#accounts.wait.record(waitedMs)
    if (this.resilience.pool.allowExitOnIdle) entry.connection.ref()
    if (hears('moorings:lease:taken')) this.#tellTaken(entry, waitedMs)
    return lease
  }

  #giveBack(lease: Lease<C>, entry: Entry<C>): void {
    const now = this.#clock.now()
    const heldMs = now - lease.takenAt
    entry.lease = undefined
    entry.idleSince = now
    entry.seenAt = now
    this.#accounts.use.record(heldMs)
    this.#leaks.returned(entry, lease, now)
    if (hears('moorings:lease:returned')) this.#tellReturned(entry, heldMs)
    if (this.#roster.has(entry)) {
      if (this.#returns.clean(entry)) this.#hand(entry)
      else this.#returns.tidy(entry, heldMs)
    }
    this.#drained?.()
  }

  /** To the next in line, else it rests; unless it has had its day. */
  #hand(entry: Entry<C>): void {
    if (this.#retireSpent(entry)) this.#supply.fill()
    else if (this.#waiters.size > 0 && this.#hooks.has('beforeAcquire')) this.#checks.forAcquire(entry)
    else this.#give(entry)
  }

  #give(entry: Entry<C>): void {
    if (
      this.#state === 'running' &&
      this.#waiters.serve((waitedMs) => this.#lend(entry, this.#clock.now(), waitedMs))
    ) {
      return
    }
    if (this.#roster.size > this.#supply.size.max) {
      this.#members.retire(entry, 'overflow')
      return
    }
    this.#roster.rest(entry)
    if (this.resilience.pool.allowExitOnIdle) entry.connection.unref()
  }

  #tellTaken({ connection: { id } }: Entry<C>, waitedMs: number): void {
    publish('moorings:lease:taken', this.identity, () => ({ id, waitedMs }))
  }

  #tellReturned({ connection: { id } }: Entry<C>, heldMs: number): void {
    publish('moorings:lease:returned', this.identity, () => ({ id, heldMs }))
  }

  #refused(error: MooringsError): MooringsError {
    this.#wentWithout(error, 0)
    return error
  }

  #wentWithout(error: MooringsError, waitedMs: number): void {
    this.#accounts.wentWithout(error)
    publish('moorings:acquire:failed', this.identity, () => ({ error, waitedMs }))
  }

  /** Nothing is left that could serve a waiter but what is lent. */
  get #exhausted(): boolean {
    const { max, overflow } = this.#supply.size
    const full = this.#roster.size >= max + overflow && this.#connector.size === 0
    return full && this.#roster.all().every(({ state }) => state === 'leased')
  }

  #holders(): ReturnType<typeof longestHolders> {
    return longestHolders(this.#roster.all(), this.#clock.now())
  }

  /** Runs the body with a connection of its own, which goes back when the body has ended. See {@link acquire}. */
  async lease<T>(body: (lease: Lease<C>) => Promise<T> | T, options?: AcquireOptions): Promise<T> {
    const lease = await this.acquire(options)
    try {
      return await holding(this, lease, () => body(lease))
    } finally {
      lease.release()
    }
  }

  /** BEGIN, the body, COMMIT; ROLLBACK if the body throws. See {@link Transaction}. */
  transaction<T>(body: (transaction: Transaction<C>) => Promise<T> | T, settings?: TransactionSettings): Promise<T> {
    return this.lease((lease) => runTransaction(this, lease, body, settings))
  }

  // --- arriving and leaving ---

  #arrived(connection: C, epoch: number, tookMs: number): void {
    this.#accounts.connect.record(tookMs)
    const entry = this.#members.add(connection, epoch)
    if (entry !== undefined) this.#hand(entry)
    this.#warmUp.arrived(this.#roster.size)
    this.#supply.fill()
  }

  #connectFailed(error: MooringsError): void {
    // Nothing lives and trying again cannot help (wrong password, unknown database): waiting for the timeout would only hide it.
    if (error.retry === 'never' && this.#roster.size === 0) this.#waiters.rejectAll(() => error)
    this.#warmUp.failed(error)
    this.#supply.fill()
  }

  /** It was asked, and is not to be lent. */
  #failed(entry: Entry<C>, reason: CloseReason, error: MooringsError): void {
    this.#members.evict(entry, reason, error)
    if (reason !== 'invalid') return
    // All that rest may be as dead: asked at once, not one after the other.
    for (let rest = this.#roster.wake(); rest !== undefined; rest = this.#roster.wake()) this.#checks.forAcquire(rest)
  }

  #retireSpent(entry: Entry<C>): boolean {
    const spent = this.closed ? 'closing' : this.#checks.spent(entry, this.#clock.now())
    if (spent !== undefined) this.#members.retire(entry, spent)
    return spent !== undefined
  }

  #left(entry: Entry<C>, reason: CloseReason, error: MooringsError | undefined): void {
    this.#checks.forget(entry)
    const now = this.#clock.now()
    if (reason === 'lost' || reason === 'invalid' || reason === 'destroyed') this.#checks.suspect(now)
    if (this.#roster.size === 0) this.#emptied?.()
    if (reason === 'lost' && error !== undefined && now - entry.arrivedAt < YOUNG_MS) this.#connector.lostYoung(error)
    // The others retire, and whoever retires them sees to the supply when all are gone.
    if (error !== undefined) this.#supply.fill()
  }

  // --- the pool as a whole ---

  #begin(): void {
    if (this.#state !== 'new') return
    this.#state = 'running'
    const { min, max, overflow } = this.#supply.size
    if (this.resilience.logger !== undefined) this.#stopLogging = logEvents(this.identity, this.resilience.logger)
    publish('moorings:pool:started', this.identity, () => ({ min, max, overflow }))
    this.#supply.scale(this.#clock.now(), 0)
    this.#upkeep.start()
    this.#supply.fill()
  }

  /**
   * Opens what `min` asks for, at least one connection, and resolves once it is there. Optional: the first acquire starts
   * the pool as well, but waits for one connection only.
   *
   * @throws AcquireTimeoutError after `timeoutMs`, default `acquireTimeoutMs`
   * @throws ConnectError, AuthenticationError: with `failFast` the first failure to connect, else one that trying again
   *   cannot help
   * @throws PoolClosedError
   */
  async start({ timeoutMs, failFast = false }: StartOptions = {}): Promise<void> {
    if (this.closed) throw new PoolClosedError()
    this.#begin()
    const limitMs = timeoutMs ?? this.resilience.pool.acquireTimeoutMs
    const wanted = Math.max(1, this.#supply.size.min)
    if (this.#roster.size >= wanted) return
    const late = () => new AcquireTimeoutError(limitMs, this.#counts(), this.#holders(), this.#connector.lastError)
    const warm = this.#warmUp.wait(wanted, limitMs, failFast, late)
    // What is made for somebody is made also where `min` is 0. If it fails, the warm-up hears of it as well.
    if (this.#supply.size.min === 0) this.lease(() => {}, { timeoutMs: limitMs }).catch(() => {})
    await warm
  }

  /**
   * Stops lending: callers wait until `resume()`, their time standing still, or are refused. Leases that are out go on.
   *
   * @throws InvalidOptionsError, PoolClosedError
   * @example
   * await pool.drain()       // suspends, and waits until every lease is back
   * await promoteStandby()
   * pool.evict()
   * pool.resume()
   */
  suspend({ refuseAfterMs = REFUSE_AFTER_MS }: SuspendOptions = {}): void {
    if (this.closed) throw new PoolClosedError()
    if (!Number.isInteger(refuseAfterMs) || refuseAfterMs < 0) {
      const allowed = 'an integer >= 0 (milliseconds)'
      throw new InvalidOptionsError([{ path: 'refuseAfterMs', given: describeGiven(refuseAfterMs), allowed }])
    }
    this.#begin()
    if (this.#state === 'suspended') return
    this.#state = 'suspended'
    this.#suspension.begin(refuseAfterMs)
  }

  /** Goes on lending, first to those who have waited for it. */
  resume(): void {
    if (this.#state !== 'suspended') return
    this.#state = 'running'
    this.#suspension.end()
    this.#supply.fill()
  }

  /** Suspends the pool and waits until every lease is back. False when that takes longer than `timeoutMs`. */
  async drain({ timeoutMs, ...options }: SuspendOptions & { readonly timeoutMs?: number } = {}): Promise<boolean> {
    this.suspend(options)
    const back = () => this.#roster.leases().length === 0
    if (back()) return true
    return new Promise((resolve) => {
      const late = () => resolve(false)
      const limit = this.deadlines.add(timeoutMs ?? this.resilience.pool.closeTimeoutMs, late)
      const others = this.#drained
      this.#drained = () => {
        others?.()
        if (!back()) return
        this.deadlines.delete(limit)
        resolve(true)
      }
    })
  }

  /**
   * Changes the size of the living pool. What is one too many goes now if it is idle, and at its return if it is lent.
   *
   * @throws InvalidOptionsError
   */
  resize(size: PoolSize): void {
    const { min, minIdle, max, overflow } = changed(this.#supply.size, size)
    this.#supply.resize({ min, minIdle, max, overflow })
    publish('moorings:pool:resized', this.identity, () => ({ min, minIdle, max, overflow }))
    for (const entry of [...this.#roster.idle]) {
      if (this.#roster.size > max) this.#members.retire(entry, 'overflow')
    }
    this.#supply.fill()
  }

  /**
   * Retires connections: idle ones now, leased ones at their return, those still connecting on arrival. Without a
   * selector all of today.
   *
   * @returns how many were meant, of those that live
   */
  invalidate(selector?: ConnectionSelector): number {
    const count = this.#members.invalidate(selector)
    this.#supply.fill()
    return count
  }

  /** As `invalidate`, but at once: leased ones are destroyed, too, and what runs on them rejects. */
  evict(selector?: ConnectionSelector): number {
    return this.#members.evictAll(selector)
  }

  stats(): PoolStats {
    return snapshot({
      name: this.name,
      state: this.#state,
      epoch: this.#members.epoch,
      now: this.#clock.now(),
      counts: this.#counts(),
      roster: this.#roster,
      supply: this.#supply,
      connector: this.#connector,
      accounts: this.#accounts,
      leaks: this.#leaks,
      health: this.#health.status,
    })
  }

  #counts(): PoolCounts {
    const { max, overflow } = this.#supply.size
    const idle = this.#roster.idle.length + this.#checks.size
    const leased = this.#roster.size - idle
    return { idle, leased, connecting: this.#connector.size, waiting: this.#waiters.size, max, overflow }
  }

  /** Asks the database, within `health.timeoutMs`, and says how the pool does. Never rejects. */
  async health(): Promise<PoolHealth> {
    const probe = this.#state === 'suspended' || this.closed ? {} : ((await this.#askResting()) ?? (await this.#ask()))
    return this.#health.note(this.stats(), probe)
  }

  /** From time to time: without opening a connection for it, and without taking one from a caller. */
  async #checkHealthQuietly(): Promise<void> {
    const probe = this.#state === 'running' ? await this.#askResting() : undefined
    const idle = this.#roster.size === 0 && this.#waiters.size === 0 && this.#connector.lastError === undefined
    if (!this.closed && !idle) this.#health.note(this.stats(), probe ?? {})
  }

  /** Through a connection that rests, and goes on resting. Undefined when there is none, or it was dead. */
  async #askResting(): Promise<Probe | undefined> {
    const entry = this.#roster.wake()
    if (entry === undefined) return undefined
    const startedAt = this.#clock.now()
    const error = await this.#checks.keepalive(entry)
    return error === undefined ? { latencyMs: this.#clock.now() - startedAt } : undefined
  }

  async #ask(): Promise<Probe> {
    const { timeoutMs } = this.resilience.health
    const startedAt = this.#clock.now()
    try {
      await this.lease(
        ({ connection }) => this.deadlines.limit(timeoutMs, unanswered, (signal) => connection.ping(signal)),
        {
          timeoutMs,
        },
      )
      return { latencyMs: this.#clock.now() - startedAt }
    } catch (error) {
      return { error: this.driver.classify(error, 'statement') }
    }
  }

  get closed(): boolean {
    return this.#state === 'closing' || this.#state === 'closed'
  }

  /**
   * Refuses new callers, rejects those waiting with PoolClosedError, closes what is idle, gives leases `timeoutMs`
   * (default `closeTimeoutMs`) to come back, destroys the rest. Afterwards no socket and no timer is left. Never rejects.
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#shutDown ??= this.#close(options.timeoutMs ?? this.resilience.pool.closeTimeoutMs)
    return this.#shutDown
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const startedAt = this.#clock.now()
    const { leased, waiting } = this.#counts()
    this.#state = 'closing'
    this.#members.farewellMs = timeoutMs
    publish('moorings:pool:closing', this.identity, () => ({ leased, waiting, timeoutMs }))
    this.#waiters.rejectAll(() => new PoolClosedError('The pool was closed while this caller waited for a connection'))
    this.#warmUp.rejectAll(new PoolClosedError('The pool was closed while it started'))
    this.#connector.abort(new PoolClosedError('The pool was closed while connecting'))
    this.#upkeep.stop()
    const others = this.closeOthers(timeoutMs)
    for (const entry of [...this.#roster.idle]) this.#members.retire(entry, 'closing')
    await new Promise<void>((resolve) => {
      this.deadlines.add(timeoutMs, resolve)
      void this.#allLeft().then(resolve)
    })
    const late = new PoolClosedError(`The pool was closed and this lease did not come back within ${timeoutMs} ms`)
    const destroyed = this.#roster.all()
    for (const entry of destroyed) {
      if (entry.connection.activity !== 'idle') this.#farewells.cancel(entry.connection)
      this.#members.evict(entry, 'closing', late)
    }
    this.#farewells.destroy(late)
    await Promise.all([others, this.#farewells.over()])
    this.deadlines.clear()
    this.#state = 'closed'
    const tookMs = this.#clock.now() - startedAt
    publish('moorings:pool:closed', this.identity, () => ({ tookMs, destroyed: destroyed.length }))
    this.#stopLogging?.()
  }

  /** Resolves when every connection has left and said goodbye, also those that arrive in this very turn. */
  async #allLeft(): Promise<void> {
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
