// The borrow path: how a caller comes to a connection and how the connection comes back. Who waits, what is checked,
// mended, made and told has a room of its own; this is where they meet.

import { Breaker } from '../breaker/breaker.js'
import type { Clock } from '../clock.js'
import type { Connection, Endpoint } from '../driver.js'
import { Endpoints } from '../endpoints/endpoints.js'
import {
  AcquireAbortedError,
  AcquireTimeoutError,
  type LeaseHolder,
  type MooringsError,
  PoolClosedError,
  type PoolCounts,
  QueueFullError,
  SelfDeadlockError,
} from '../errors.js'
import { type CloseReason, hears, type PoolIdentity, publish } from '../events.js'
import { Scopes } from '../scope.js'
import type { Session } from '../session/session.js'
import type { TransactionScope } from '../transaction/transaction.js'
import { Accounts } from './accounts.js'
import { checkLimit, checkSignal } from './arguments.js'
import { Checks } from './checks.js'
import { Connector } from './connector.js'
import { Drain } from './drain.js'
import { Farewells } from './farewells.js'
import { HookCalls } from './hook-calls.js'
import { LeakWatch, longestHolders } from './leaks.js'
import { type Home, Lease } from './lease.js'
import { Lifecycle } from './lifecycle.js'
import { Liveness } from './liveness.js'
import { Members } from './members.js'
import { Returns } from './returns.js'
import { type Entry, Roster } from './roster.js'
import { SelfDeadlocks } from './self-deadlock.js'
import type { AcquireOptions, PoolSetup } from './setup.js'
import type { Taking } from './stacks.js'
import { Supply } from './supply.js'
import { Suspension } from './suspension.js'
import { type Waiter, Waiters } from './waiters.js'
import { WarmUp } from './warm-up.js'

export class Lending<C extends Connection> implements Home<C> {
  readonly identity: PoolIdentity
  readonly lifecycle: Lifecycle = new Lifecycle()
  readonly accounts: Accounts
  readonly roster: Roster<C>
  readonly members: Members<C>
  readonly waiters: Waiters<Lease<C>>
  readonly suspension: Suspension
  readonly farewells: Farewells
  readonly checks: Checks<C>
  readonly liveness: Liveness<C>
  readonly endpoints: Endpoints<C>
  readonly connector: Connector<C>
  readonly supply: Supply<C>
  readonly warmUp: WarmUp
  readonly leaks: LeakWatch<C>
  readonly drain: Drain
  readonly scopes: Scopes<TransactionScope<C>, Session<C>>
  readonly #setup: PoolSetup<C>
  readonly #clock: Clock
  readonly #returns: Returns<C>
  readonly #deadlocks: SelfDeadlocks<Waiter<Lease<C>>>
  /** Hot, and looked up once. */
  readonly #allowExitOnIdle: boolean
  readonly #asksHook: boolean

  readonly #begun: () => void

  /** @param begun called when the pool is used for the first time */
  constructor(identity: PoolIdentity, setup: PoolSetup<C>, begun: () => void) {
    const { driver, resilience, deadlines, random = Math.random } = setup
    const { pool: options } = resilience
    this.identity = identity
    this.#setup = setup
    this.#begun = begun
    this.#clock = deadlines.clock
    this.#allowExitOnIdle = options.allowExitOnIdle
    this.accounts = new Accounts(this.#clock.now())
    this.leaks = new LeakWatch(identity, options.leakAfterMs)
    this.warmUp = new WarmUp(deadlines, () => this.supply.initial)
    this.roster = new Roster(identity, this.#clock)
    this.scopes = new Scopes(this)
    this.drain = new Drain(deadlines, () => this.roster.leases().length)
    this.waiters = new Waiters(deadlines, options.queue, (error, waitedMs) => this.#wentWithout(error, waitedMs))
    this.suspension = new Suspension(identity, deadlines, this.waiters)
    const hooks = new HookCalls(identity, driver, deadlines, resilience)
    this.#asksHook = hooks.has('beforeAcquire')
    this.farewells = new Farewells(deadlines, hooks)

    const { roster, waiters, farewells } = this
    const parts = {
      ...{ pool: identity, driver, deadlines, options, random, hooks, roster, waiters, farewells },
      evict: (entry: Entry<C>, reason: CloseReason, error: MooringsError) => this.members.evict(entry, reason, error),
    }
    this.members = new Members({ ...parts, left: (entry, reason, error) => this.#left(entry, reason, error) })
    const retire = (entry: Entry<C>, reason: CloseReason) => {
      this.members.retire(entry, reason)
      this.supply.fill()
    }
    this.#returns = new Returns({ ...parts, retire, fit: (entry) => this.#hand(entry, this.#clock.now()) })
    this.checks = new Checks({
      ...parts,
      passed: (entry, now) => (this.retireSpent(entry, now) ? this.supply.fill() : this.#give(entry, now)),
      kept: (entry, now) => this.#hand(entry, now),
      failed: (entry, reason, error) => this.#failed(entry, reason, error),
      gone: () => this.supply.fill(),
    })
    this.liveness = new Liveness({ ...parts, resilience })
    const { breaker } = resilience
    this.endpoints = new Endpoints({
      ...parts,
      breaker: (endpoint) => {
        if (breaker === false) return undefined
        const name = identity.pool === 'default' ? endpoint : `${identity.pool} ${endpoint}`
        return new Breaker({ ...breaker, name, kind: 'database', owner: identity, deadlines })
      },
      moved: (endpoint) => this.#useless(endpoint),
    })
    this.connector = new Connector({
      ...parts,
      endpoints: this.endpoints,
      arrived: (connection, epoch, tookMs) => this.#arrived(connection, epoch, tookMs),
      failed: (error) => this.#connectFailed(error),
      retry: () => this.supply.fill(),
    })
    this.supply = new Supply({
      ...parts,
      checks: this.checks,
      connector: this.connector,
      warmUp: this.warmUp,
      open: () => this.lifecycle.running,
      epoch: () => this.members.epoch,
      retireSpent: (entry) => this.retireSpent(entry, this.#clock.now()),
    })
    this.#deadlocks = new SelfDeadlocks(deadlines, {
      leases: () => (this.#exhausted ? roster.leases() : undefined),
      waiters: () => waiters.all(),
      found: (waiter) => waiters.reject(waiter, new SelfDeadlockError(this.counts(), this.holders())),
    })
  }

  // --- borrowing ---

  /** Not async: in a crowd, the promise of the queue is the only one that is needed. */
  acquire(options: AcquireOptions, from: (...args: never) => unknown): Promise<Lease<C>> {
    const brief = options.brief === true
    const taking = brief ? undefined : (options.taking ?? this.leaks.note(from))
    try {
      if (options.timeoutMs !== undefined) checkLimit('timeoutMs', options.timeoutMs)
      if (options.signal !== undefined) checkSignal(options.signal)
      if (options.signal?.aborted === true) throw this.#refused(new AcquireAbortedError(options.signal.reason))
      const lease = this.tryAcquire()
      if (lease === undefined) return this.#queue(options, brief, taking)
      lease.taking = taking
      lease.brief = brief
      return Promise.resolve(lease)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  tryAcquire(): Lease<C> | undefined {
    const { idle } = this.roster
    // Nobody overtakes those who wait.
    if (idle.length === 0 || this.waiters.size > 0 || !this.lifecycle.running) return undefined
    const now = this.#clock.now()
    let left = false
    let lease: Lease<C> | undefined
    for (let entry = idle.at(-1); entry !== undefined && lease === undefined; entry = idle.at(-1)) {
      const spent = this.checks.spent(entry, now)
      if (spent === undefined && this.checks.needed(entry, now)) break
      this.roster.wake()
      if (spent === undefined) lease = this.#lend(entry, now, 0)
      else {
        this.members.retire(entry, spent)
        left = true
      }
    }
    if (left || (lease !== undefined && idle.length < this.supply.size.minIdle)) this.supply.fill()
    return lease
  }

  #queue(
    { signal, timeoutMs, urgent = false, patient = urgent }: AcquireOptions,
    brief: boolean,
    taking: Taking | undefined,
  ): Promise<Lease<C>> {
    this.begin()
    if (this.lifecycle.closed) throw this.#refused(new PoolClosedError())
    if (this.suspension.refusing) throw this.#refused(this.suspension.error())
    const { acquireTimeoutMs, maxWaiters } = this.#setup.resilience.pool
    // Nothing lives that could come back, and no server is even to be asked.
    if (!patient && this.roster.size === 0) {
      const { refusal } = this.endpoints
      if (refusal !== undefined) throw this.#refused(refusal)
    }
    if (this.waiters.size - this.#atHand >= maxWaiters) {
      throw this.#refused(new QueueFullError(maxWaiters, this.counts()))
    }
    const limitMs = timeoutMs ?? acquireTimeoutMs
    const holds = this.scopes.held
    const lease = this.waiters.join({
      limitMs,
      timedOut: () => this.timedOut(limitMs),
      holds,
      signal,
      brief,
      taking,
      urgent,
    })
    publish('moorings:acquire:queued', this.identity, () => ({ waiting: this.waiters.size }))
    this.supply.fill()
    if (holds.length > 0) this.#deadlocks.watch()
    return lease
  }

  #lend(entry: Entry<C>, now: number, waitedMs: number): Lease<C> {
    const lease = new Lease(entry, now, this)
    entry.state = 'leased'
    entry.lease = lease
    entry.uses++
    this.accounts.acquired++
    this.accounts.wait.record(waitedMs)
    if (this.#allowExitOnIdle) entry.connection.ref()
    if (hears('moorings:lease:taken')) {
      publish('moorings:lease:taken', this.identity, () => ({ id: entry.connection.id, waitedMs }))
    }
    return lease
  }

  // --- returning ---

  giveBack(lease: Lease<C>, entry: Entry<C>): void {
    const now = this.#clock.now()
    const heldMs = now - lease.takenAt
    this.leaks.returned(entry, lease, now)
    if (this.roster.has(entry)) {
      this.#ended(entry, heldMs)
      entry.idleSince = now
      entry.seenAt = now
      // Whoever listened may have evicted it.
      if (!this.roster.has(entry)) return
      if (this.#returns.clean(entry, lease)) this.#hand(entry, now)
      else this.#returns.tidy(entry, heldMs)
    }
    this.drain.look()
  }

  /** Its lease is over: given back, or its connection taken away. */
  #ended(entry: Entry<C>, heldMs: number): void {
    entry.lease = undefined
    this.accounts.use.record(heldMs)
    if (this.waiters.size > 0) this.waiters.noteLease(heldMs)
    if (hears('moorings:lease:returned')) {
      publish('moorings:lease:returned', this.identity, () => ({ id: entry.connection.id, heldMs }))
    }
  }

  /** To the next in line, else it rests; unless it has had its day. */
  #hand(entry: Entry<C>, now: number): void {
    if (entry.connection.role !== entry.role) this.#changed(entry)
    if (this.retireSpent(entry, now)) this.supply.fill()
    else if (!this.#asksHook || !this.lifecycle.running) this.#give(entry, now)
    else if (this.checks.efforts < this.waiters.size) this.checks.forAcquire(entry)
    else this.#rest(entry)
  }

  #give(entry: Entry<C>, now: number): void {
    const { max, overflow, minIdle } = this.supply.size
    // One more than the pool may have: it was made smaller.
    const surplus = this.roster.size > max + overflow
    const waiter = this.lifecycle.running && !surplus ? this.waiters.next(now) : undefined
    if (waiter === undefined) this.#rest(entry)
    else {
      const lease = this.#lend(entry, now, now - waiter.joinedAt)
      lease.taking = waiter.taking
      lease.brief = waiter.brief
      waiter.resolve(lease)
      if (this.roster.idle.length < minIdle) this.supply.fill()
    }
  }

  #rest(entry: Entry<C>): void {
    if (this.roster.size > this.supply.size.max) this.members.retire(entry, 'overflow')
    else {
      this.roster.rest(entry)
      if (this.#allowExitOnIdle) entry.connection.unref()
    }
  }

  retireSpent(entry: Entry<C>, now: number): boolean {
    const spent = this.lifecycle.closed ? 'closing' : this.checks.spent(entry, now)
    if (spent !== undefined) this.members.retire(entry, spent)
    return spent !== undefined
  }

  // --- going without ---

  #refused(error: MooringsError): MooringsError {
    this.#wentWithout(error, 0)
    return error
  }

  #wentWithout(error: MooringsError, waitedMs: number): void {
    this.accounts.wentWithout(error)
    publish('moorings:acquire:failed', this.identity, () => ({ error, waitedMs }))
  }

  timedOut(limitMs: number): AcquireTimeoutError {
    return new AcquireTimeoutError(limitMs, this.counts(), this.holders(), this.connector.lastError)
  }

  /** Whoever can be given a connection without another caller's help does not count as waiting. */
  get #atHand(): number {
    if (!this.lifecycle.running) return 0
    const { max, overflow } = this.supply.size
    return this.checks.size + this.roster.idle.length + Math.max(0, max + overflow - this.roster.size)
  }

  /** Nothing is left that could serve a waiter but what is lent. */
  get #exhausted(): boolean {
    const { max, overflow } = this.supply.size
    const full = this.roster.size >= max + overflow && this.connector.size === 0
    return full && this.roster.all().every(({ state }) => state === 'leased')
  }

  holders(): LeaseHolder[] {
    return longestHolders(this.roster.all(), this.#clock.now())
  }

  counts(): PoolCounts {
    const { max, overflow } = this.supply.size
    const idle = this.roster.idle.length + this.checks.size
    const leased = this.roster.size - idle
    return { idle, leased, connecting: this.connector.size, waiting: this.waiters.size, max, overflow }
  }

  // --- beginning, arriving and leaving ---

  /** With the first use. @param fills whether the first connections are to be made */
  begin(fills = true): void {
    if (this.lifecycle.state !== 'new') return
    this.lifecycle.move('running')
    this.#begun()
    const { min, max, overflow } = this.supply.size
    publish('moorings:pool:started', this.identity, () => ({ min, max, overflow }))
    this.supply.scale(this.#clock.now(), 0)
    if (fills) this.supply.fill()
  }

  #arrived(connection: C, epoch: number, tookMs: number): void {
    this.accounts.connect.record(tookMs)
    const entry = this.members.add(connection, epoch)
    if (entry !== undefined) this.#hand(entry, entry.arrivedAt)
    this.warmUp.arrived(this.roster.size)
    this.supply.fill()
  }

  #connectFailed(error: MooringsError): void {
    // Nothing lives and trying again cannot help (wrong password, unknown database): waiting for the timeout would only hide it.
    if (error.retry === 'never' && this.roster.size === 0) this.waiters.rejectAll(() => error)
    this.warmUp.failed(error)
    this.supply.fill()
  }

  #changed(entry: Entry<C>): void {
    const { connection, role } = entry
    entry.role = connection.role
    // Of an older generation: what is there now may be another server, and has shown nothing of that.
    if (!entry.stale && this.endpoints.changed(connection, role)) this.#useless(connection.endpoint)
  }

  /** Its server refuses writes, though it did not when it was connected to. */
  demoted(connection: C): void {
    const entry = this.roster.all().find((one) => one.connection === connection)
    if (entry?.stale !== false) return
    if (connection.role !== entry.role) this.#changed(entry)
    else if (this.endpoints.refused(connection)) this.#useless(connection.endpoint)
  }

  /** What leads there is not wanted any more. */
  #useless(endpoint: Endpoint): void {
    this.members.invalidate({ endpoint })
    // What is under way there may never be answered.
    void this.liveness.checkNow(endpoint)
    this.supply.fill()
  }

  /** It was asked, and is not to be lent. */
  #failed(entry: Entry<C>, reason: CloseReason, error: MooringsError): void {
    this.members.evict(entry, reason, error)
    if (reason !== 'invalid') return
    // Those that rest may be as dead: asked at once, not one after the other.
    const now = this.#clock.now()
    for (const rest of [...this.roster.idle]) {
      if (this.checks.doubt(rest, now) === 'much' && this.roster.rouse(rest)) void this.checks.keepalive(rest, true)
    }
  }

  #left(entry: Entry<C>, reason: CloseReason, error: MooringsError | undefined): void {
    this.checks.forget(entry)
    const now = this.#clock.now()
    if (reason === 'lost' || reason === 'invalid' || reason === 'destroyed') this.checks.suspect(now)
    const unmade = reason === 'lost' || reason === 'hook' || reason === 'invalid'
    if (unmade && error !== undefined) this.connector.lost(error, now - entry.arrivedAt)
    const { lease } = entry
    if (lease !== undefined) {
      this.#ended(entry, now - lease.takenAt)
      this.drain.look()
      // One that is evicted is destroyed only now.
      const { lost = error } = entry.connection
      if (lost !== undefined) lease.whenLost?.(lost)
    }
    // Whoever retires others sees to the supply when all are gone.
    if (error !== undefined) this.supply.fill()
  }
}
