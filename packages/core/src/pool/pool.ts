// The public face of a pool: what can be asked of it. The borrow path itself is in lending.ts, beside the rooms it uses.

import { begun } from '../begun.js'
import { Constraints } from '../constraints/constraints.js'
import { ViolationAccounts, type ViolationStats } from '../constraints/violation-stats.js'
import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver } from '../driver.js'
import { PoolClosedError } from '../errors.js'
import { hears, type PoolIdentity, publish } from '../events.js'
import { logEvents } from '../logger.js'
import type { Resilience } from '../options.js'
import type { Ambient, Scopes } from '../scope.js'
import { runSession, type SessionBody } from '../session/run-session.js'
import type { Session } from '../session/session.js'
import type { SessionOptions } from '../session/session-options.js'
import type { Source } from '../session/source.js'
import { StatementAccounts } from '../statement/accounts.js'
import { TransactionAccounts } from '../transaction/accounts.js'
import { RetryBudget } from '../transaction/retry-budget.js'
import { type Circumstances, type ScopeBody, transact } from '../transaction/transact.js'
import type { TransactionScope } from '../transaction/transaction.js'
import {
  type Propagation,
  resolveTransactionOptions,
  type TransactionOptions,
} from '../transaction/transaction-options.js'
import { checkLimit } from './arguments.js'
import { chores } from './chores.js'
import { unanswered } from './farewells.js'
import { HealthWatch } from './health.js'
import type { Lease } from './lease.js'
import { Lending } from './lending.js'
import { rootUsed, warnOfRootUse } from './root-use.js'
import type {
  AcquireOptions,
  ConnectionSelector,
  PoolHealth,
  PoolSetup,
  PoolSize,
  PoolStats,
  StartOptions,
  SuspendOptions,
} from './setup.js'
import { shutDown } from './shutdown.js'
import { changed } from './size.js'
import type { Taking } from './stacks.js'
import { snapshot } from './stats.js'
import { Upkeep } from './upkeep.js'

let pools = 0

/** How long callers wait for a suspended pool, unless told otherwise. */
const REFUSE_AFTER_MS = 60_000

/**
 * Lends connections, one caller each. What it may do is in its {@link Resilience} options; a driver's package makes it
 * (`createPool` of `@moorings/postgres`).
 */
export class Pool<C extends Connection = Connection> implements Source<C> {
  readonly name: string
  /** What its events carry. */
  readonly identity: PoolIdentity
  readonly driver: Driver<C>
  readonly resilience: Resilience
  readonly deadlines: Deadlines
  /** What its transactions came to: {@link stats} has a copy. */
  readonly transactions: TransactionAccounts = new TransactionAccounts()
  /** What is known of the constraints of its database: ORMs add what their schemas tell. */
  readonly constraints: Constraints<C>
  /** What became of statements outside of them: {@link stats} has a copy. */
  readonly statements: StatementAccounts = new StatementAccounts()
  /** Which constraints were violated: {@link violationStats} has a copy. */
  readonly violations: ViolationAccounts = new ViolationAccounts()
  /** What may be run again after lost connections, so that retries do not double an outage's load. */
  readonly retryBudget: RetryBudget
  readonly random: () => number
  /** Those that go on. */
  readonly sessions: Set<Session<C>> = new Set()
  readonly #lending: Lending<C>
  readonly #health: HealthWatch<C>
  readonly #upkeep: Upkeep
  #shutDown: Promise<void> | undefined
  /** That the root database is used inside a transaction is said once. */
  #warned = false
  #stopLogging: (() => void) | undefined

  constructor(setup: PoolSetup<C>) {
    const { driver, resilience, deadlines, name = 'default', random = Math.random } = setup
    this.name = name
    this.random = random
    const { max, overflow } = resilience.pool
    // What one fail-over breaks at once may all be run again.
    this.retryBudget = new RetryBudget(0.2, Math.max(20, 2 * (max + overflow)))
    this.identity = Object.freeze({ pool: name, poolId: ++pools })
    this.driver = driver
    this.resilience = resilience
    this.deadlines = deadlines
    const { logger } = resilience
    this.#lending = new Lending(this.identity, setup, () => {
      if (logger !== undefined) this.#stopLogging = logEvents(this.identity, logger)
      this.#upkeep.start()
    })
    this.#health = new HealthWatch(this.#lending, setup, {
      stats: () => this.stats(),
      lease: (body, options) => this.lease(body, options),
    })
    this.#upkeep = new Upkeep(
      deadlines,
      chores(this.#lending, setup, () => this.#health.checkQuietly()),
      (now) => {
        this.#lending.accounts.rotate(now)
        this.#lending.supply.fill()
      },
    )
    this.constraints = new Constraints(resilience.errors, {
      driver,
      deadlines,
      lease: (body, options) => this.lease(body, options),
      capacity: () => this.#lending.supply.size.max + this.#lending.supply.size.overflow,
      closed: () => this.closed,
      noted: (error) => this.violations.noted(error),
      unknown: () =>
        hears('moorings:constraints:unknown')
          ? (names) => publish('moorings:constraints:unknown', this.identity, () => ({ names }))
          : undefined,
    })
    if (resilience.pool.start === 'eager') queueMicrotask(() => this.#lending.begin())
  }

  // --- borrowing ---

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
  acquire(options: AcquireOptions = {}): Promise<Lease<C>> {
    return this.#lending.acquire(options, this.acquire)
  }

  /**
   * Where a transaction is asked for, for a report should it be held for too long; undefined if none is wanted.
   *
   * @param below the function whose caller is asked about
   * @param depth how many frames above that the application may be
   */
  taking(below: (...args: never) => unknown, depth: number): Taking | undefined {
    return this.#lending.leaks.note(below, depth)
  }

  /** A lease for a single statement, if one can be had at once, without waiting for anything. See {@link prolong}. */
  tryAcquire(): Lease<C> | undefined {
    return this.#lending.tryAcquire()
  }

  /** Runs the body with a connection of its own, which goes back when the body has ended. See {@link acquire}. */
  async lease<T>(body: (lease: Lease<C>) => Promise<T> | T, options?: AcquireOptions): Promise<T> {
    const lease = await this.acquire(options)
    try {
      return await this.scopes.run(lease, undefined, () => begun(() => body(lease)))
    } finally {
      lease.release()
    }
  }

  /**
   * BEGIN, the body, COMMIT; ROLLBACK if the body throws, and what it threw is what the caller gets. Deadlocks, failures to
   * serialize and lost connections are run again, the body with them; a COMMIT that was not answered is looked up. Inside
   * of another transaction of this pool it is a savepoint of that.
   *
   * @throws RetriesExhaustedError when it failed as often as it may be run again
   * @throws CommitOutcomeUnknownError when COMMIT was not answered, and nobody can tell what became of it
   * @throws TransactionTimeoutError, TransactionCancelledError after `timeoutMs` or by `signal`
   * @throws TransactionAbortedError when the body swallowed the error of a statement
   * @throws PropagationError, InvalidOptionsError
   * @throws whatever {@link acquire} throws
   */
  transaction<T>(
    body: ScopeBody<C, T>,
    options?: TransactionOptions<Propagation>,
    circumstances?: Circumstances<C, T>,
  ): Promise<T> {
    try {
      return transact(this, body, resolveTransactionOptions(options, this.resilience.transaction), circumstances)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * A stretch of work on one connection: what its statements leave there (settings, temporary tables, advisory locks) is
   * there for the next one, and undone at the end. Transactions in its call chain run on that connection, one after the
   * other. While nothing is left on it and nothing is done, the connection is lent to others. Inside of another session it
   * is a part of that.
   *
   * @throws SessionExpiredError after `maxDurationMs`; SessionEndedError by `signal`
   * @throws PropagationError inside a transaction; InvalidOptionsError
   * @example
   * await pool.session(async (session) => {
   *   const lease = await session.acquire()
   *   …
   * }, { name: 'nightly import', maxDurationMs: 4 * 3_600_000 })
   */
  async session<T>(body: SessionBody<C, T>, options?: SessionOptions, source: Source<C> = this.source): Promise<T> {
    return runSession(this, source, body, options, this.session)
  }

  /** Who gives a statement on the root database its connection: the session the call chain is inside of, else the pool. */
  get source(): Source<C> {
    return this.scopes.session ?? this
  }

  /**
   * The transaction that a statement on the root database is to be part of: what `withTransaction` has begun in this call
   * chain. Inside the ORM's own `db.transaction()` there is none, unless `rootUse` says so; that it was asked there is told.
   *
   * @throws RootUseError with `rootUse: 'error'`
   */
  get joinable(): Ambient<TransactionScope<C>> | undefined {
    const ambient = this.scopes.current
    if (ambient === undefined || ambient.joined) return ambient
    const { rootUse } = this.resilience.transaction
    if (rootUse === 'join') return ambient
    if (rootUse === 'error') throw rootUsed()
    if (rootUse === 'warn') {
      publish('moorings:root:used', this.identity, () => ({ attempt: ambient.context.attempt }))
      this.#warned ||= warnOfRootUse(this.name)
    }
    return undefined
  }

  /** What call chains are inside of. */
  get scopes(): Scopes<TransactionScope<C>, Session<C>> {
    return this.#lending.scopes
  }

  /**
   * A lease taken for a single statement turns out to be held for more: what it leaves on the session is undone at the
   * return, and the stack of now is kept as that of its taking.
   */
  prolong(lease: Lease<C>): void {
    if (!lease.brief) return
    lease.brief = false
    lease.taking = this.#lending.leaks.note(this.prolong)
  }

  /**
   * From here on the current call chain counts as one that holds a lease, until that is released: if it waits for another
   * one that can never come, the pool can tell. For ORMs that begin a transaction and run its body elsewhere.
   */
  holdFromHere(lease: () => Lease<C> | undefined, ambient?: () => Ambient<TransactionScope<C>> | undefined): void {
    this.scopes.enter(lease, ambient)
  }

  /**
   * A connection that the pool does not count and never lends: whoever asks has to close it. What the hooks do for a
   * connection of the pool's is not done for it, but for the credentials.
   *
   * @throws ConnectError, AuthenticationError, CircuitOpenError
   */
  protected async connectAside(signal: AbortSignal): Promise<C> {
    const { beforeConnect } = this.resilience.hooks
    const credentials = (await beforeConnect?.({ signal })) ?? undefined
    return this.#lending.endpoints.connect({ signal, epoch: 0, credentials })
  }

  /**
   * Runs the body on a connection made for it, which the pool does not count, and closes that: for a short question while
   * all connections are lent.
   *
   * @throws what the body throws; ConnectionLostError when the signal fires; ConnectError, AuthenticationError, CircuitOpenError
   */
  async beside<T>(signal: AbortSignal, body: (connection: C) => Promise<T>): Promise<T> {
    const connection = await this.connectAside(signal)
    const giveUp = () => connection.destroy(unanswered())
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    try {
      return await body(connection)
    } finally {
      await connection.close(signal)
      signal.removeEventListener('abort', giveUp)
    }
  }

  // --- the pool as a whole ---

  /**
   * Opens what `min` and `minIdle` ask for, at least one connection, and resolves once it is there. Optional: the first acquire starts
   * the pool as well, but waits for one connection only.
   *
   * @throws AcquireTimeoutError after `timeoutMs`, default `acquireTimeoutMs`
   * @throws ConnectError, AuthenticationError: with `failFast` the first failure to connect, else one that trying again
   *   cannot help
   * @throws PoolClosedError, PoolSuspendedError
   */
  async start({ timeoutMs, failFast = false }: StartOptions = {}): Promise<void> {
    checkLimit('timeoutMs', timeoutMs)
    const { supply, roster, warmUp } = this.#lending
    this.#lending.begin()
    if (this.closed) throw new PoolClosedError()
    const { lifecycle, suspension } = this.#lending
    if (lifecycle.state === 'suspended') throw suspension.error()
    const limitMs = timeoutMs ?? this.resilience.pool.acquireTimeoutMs
    if (roster.size >= supply.initial) return
    const warm = warmUp.wait(limitMs, failFast, () => this.#lending.timedOut(limitMs))
    supply.fill()
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
    checkLimit('refuseAfterMs', Number.isInteger(refuseAfterMs) ? refuseAfterMs : Number.NaN)
    const { lifecycle, suspension } = this.#lending
    this.#lending.begin(false)
    if (this.closed) throw new PoolClosedError()
    if (lifecycle.state === 'suspended') return
    lifecycle.move('suspended')
    suspension.begin(refuseAfterMs)
  }

  /** Goes on lending, first to those who have waited for it. */
  resume(): void {
    const { lifecycle, suspension, supply, drain } = this.#lending
    if (lifecycle.state !== 'suspended') return
    lifecycle.move('running')
    suspension.end()
    drain.end()
    supply.fill()
  }

  /**
   * Suspends the pool and waits until every lease is back. False when that takes longer than `timeoutMs` (default
   * `closeTimeoutMs`), or the pool is resumed or closed meanwhile.
   */
  async drain({ timeoutMs, ...options }: SuspendOptions & { readonly timeoutMs?: number } = {}): Promise<boolean> {
    checkLimit('timeoutMs', timeoutMs)
    this.suspend(options)
    return this.#lending.drain.wait(timeoutMs ?? this.resilience.pool.closeTimeoutMs)
  }

  /**
   * Changes the size of the living pool. What is one too many goes now if it is idle, and at its return if it is lent.
   *
   * @throws InvalidOptionsError, PoolClosedError
   */
  resize(size: PoolSize): void {
    const { supply, roster, members, warmUp } = this.#lending
    if (this.closed) throw new PoolClosedError()
    const { min, minIdle, max, overflow } = changed(supply.size, size)
    supply.resize({ min, minIdle, max, overflow })
    publish('moorings:pool:resized', this.identity, () => ({ min, minIdle, max, overflow }))
    for (const entry of [...roster.idle])
      if (roster.size > max && entry.state === 'idle') members.retire(entry, 'overflow')
    warmUp.arrived(roster.size)
    supply.fill()
  }

  /**
   * Retires connections: idle ones now, leased ones at their return, those still connecting on arrival. Without a
   * selector all of today.
   *
   * @returns how many were meant, of those that live
   */
  invalidate(selector?: ConnectionSelector): number {
    const { members, supply } = this.#lending
    const count = members.invalidate(selector)
    supply.fill()
    return count
  }

  /** Takes note that a server refuses writes (25006): connections that were made there before are retired. */
  demoted(connection: C): void {
    this.#lending.demoted(connection)
  }

  /** As `invalidate`, but at once: leased ones are destroyed, too, and what runs on them rejects. */
  evict(selector?: ConnectionSelector): number {
    return this.#lending.members.evictAll(selector)
  }

  stats(): PoolStats {
    const { name, deadlines, transactions, statements } = this
    const now = deadlines.clock.now()
    const sessions = [...this.sessions].map((session) => session.stats(now))
    return snapshot(this.#lending, now, {
      name,
      health: this.#health.status,
      transactions: transactions.snapshot(),
      statements: statements.snapshot(),
      sessions,
    })
  }

  /**
   * How often which constraint was violated, since the pool was made or the counts were reset: of the 500 that were most
   * often, and of the others in sum.
   *
   * @param options `reset`: counts from zero again, after this answer
   */
  violationStats({ reset = false }: { readonly reset?: boolean } = {}): ViolationStats {
    const stats = this.violations.snapshot()
    if (reset) this.violations.reset()
    return stats
  }

  /**
   * Asks the database, within `health.timeoutMs`, and says how the pool does. Where nothing rests it borrows a connection
   * for that, and counts as a caller. Never rejects.
   */
  health(): Promise<PoolHealth> {
    return this.#health.check()
  }

  /** Leases that are out and callers that wait, for each connection it may keep. */
  get load(): number {
    const { leased, waiting, max } = this.#lending.counts()
    return (leased + waiting) / max
  }

  /**
   * Whether it can lend, as far as is known without asking: `ready`, some connection lives; `unknown`; or `none`, the last
   * connect failed, or it is suspended or closed.
   */
  get reach(): 'ready' | 'unknown' | 'none' {
    const { lifecycle, roster, connector } = this.#lending
    if (lifecycle.state === 'suspended' || lifecycle.closed) return 'none'
    if (roster.size > 0) return 'ready'
    return connector.lastError === undefined ? 'unknown' : 'none'
  }

  get closed(): boolean {
    return this.#lending.lifecycle.closed
  }

  /**
   * Refuses new callers, rejects those waiting with PoolClosedError, closes what is idle, gives leases `timeoutMs`
   * (default `closeTimeoutMs`) to come back, destroys the rest. Afterwards no socket and no timer is left. Never rejects.
   */
  close({ timeoutMs }: { readonly timeoutMs?: number } = {}): Promise<void> {
    checkLimit('timeoutMs', timeoutMs)
    if (this.#shutDown === undefined) {
      let over = () => {}
      // Set first: a hook or a listener may close the pool again while it is being closed.
      this.#shutDown = new Promise((resolve) => {
        over = resolve
      })
      void this.#close(timeoutMs ?? this.resilience.pool.closeTimeoutMs).then(over)
    }
    return this.#shutDown
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const closeOthers = (limitMs: number) => this.closeOthers(limitMs)
    this.constraints.end()
    const parts = { lending: this.#lending, deadlines: this.deadlines, upkeep: this.#upkeep, closeOthers }
    await shutDown(parts, timeoutMs)
    this.#stopLogging?.()
  }

  /** What a pool of a certain driver holds besides its connections. Never rejects. */
  protected async closeOthers(_timeoutMs: number): Promise<void> {}
}
