// One transaction on one lease, from BEGIN to its end, and its savepoints. An explicit state: nothing is sent through a
// transaction that has ended, and COMMIT is never reported as done unless the server said so.

import { assertFunction, begun } from '../begun.js'
import type { Connection, Driver, TransactionSettings } from '../driver.js'
import { toldBy } from '../errors/causes.js'
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  type MooringsError,
  NestedTransactionOpenError,
  StatementError,
  TransactionEndedError,
} from '../errors.js'
import { publish } from '../events.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import { noteWrite, readsItsWrites } from '../replicas/read-your-writes.js'
import type { Ambient, Stretch, TransactionContext } from '../scope.js'
import { After, type AfterEnd, tellFailed } from './after.js'
import { FirstError, joinedFailed } from './first-error.js'
import { Level } from './level.js'
import type { Limits } from './limits.js'
import { Nested } from './nested.js'
import { askOutcome } from './outcome.js'
import { answered, attachRollbackError, left, stopStrays } from './roll-back.js'

/**
 * - `open`: also while its BEGIN is still to be sent, with the first statement
 * - `idle`: a COMMIT or ROLLBACK that was sent as a statement has ended it on the server
 * - `failed`: a statement has failed, and nothing but a roll-back is possible
 * - `committing`, `rolling-back`: the server's answer is waited for
 * - `committed`, `rolled-back`
 * - `unknown`: COMMIT was not answered, and nobody can tell what became of it
 */
export type TransactionState =
  | 'open'
  | 'idle'
  | 'failed'
  | 'committing'
  | 'committed'
  | 'rolling-back'
  | 'rolled-back'
  | 'unknown'

/** A transaction as its body sees it; a nested one rejects every use once its savepoint has ended. */
export interface TransactionScope<C extends Connection = Connection> {
  /** Of the attempt that it is a part of: one and the same for everything in that. */
  readonly context: TransactionContext
  /** The session on whose connection it is, if it is in one. */
  readonly session: Stretch | undefined
  /**
   * The connection, for one use.
   *
   * @throws TransactionEndedError once the scope has ended
   * @throws NestedTransactionOpenError while a nested one is open
   * @throws ConnectionLostError
   */
  readonly connection: C
  /** Remembers the first statement that failed: later ones only say that the transaction is aborted. */
  noteError(error: unknown): void
  /**
   * For drivers whose users expect that a failed statement fails the transaction, even if they swallowed its error.
   *
   * @throws TransactionAbortedError when a statement has failed, outside of a savepoint that was rolled back
   */
  assertSound(): void
  /** Whatever its body does, what was done in it is not to be kept: it ends with a roll-back and a TransactionAbortedError. */
  spoil(by: unknown): void
  /** What is noted and fails in it from here on is undone by `backTo` with this: for savepoints that somebody else sets. */
  readonly mark: TransactionMark
  /** It was brought back to a savepoint by other means. */
  backTo(mark: TransactionMark): void
  /**
   * Runs the body between SAVEPOINT and RELEASE; if it throws, what it did is undone and the transaction goes on. One that
   * is asked for while another is open beside it waits until that has ended.
   *
   * @param label appended to the savepoint's name, for whoever reads the server's log
   * @param limits end the wait for its turn as well
   */
  savepoint<T>(body: (scope: TransactionScope<C>) => Promise<T> | T, label?: string, limits?: Limits): Promise<T>
}

export interface TransactionParts {
  readonly settings?: TransactionSettings | undefined
  /** Whether an unanswered COMMIT is looked up. */
  readonly exactlyOnce?: boolean
  readonly attempt?: number
  /** Whether queries on the root database in its call chain join it. */
  readonly joined?: boolean
}

/**
 * A class, as is whatever lives as long as a transaction: V8 makes what comes of a literal old from its birth once many of
 * them have outlived a collection, and an old one keeps all that it refers to until the next full one.
 */
class Context implements TransactionContext {
  readonly attempt: number
  readonly afterCommit: (run: AfterEnd) => void
  readonly afterRollback: (run: AfterEnd) => void
  readonly #signal: () => AbortSignal

  constructor(attempt: number, note: (on: 'commit' | 'rollback', run: AfterEnd) => void, signal: () => AbortSignal) {
    this.attempt = attempt
    this.afterCommit = (run) => note('commit', run)
    this.afterRollback = (run) => note('rollback', run)
    this.#signal = signal
  }

  get signal(): AbortSignal {
    return this.#signal()
  }
}

class Inner<Scope> implements Ambient<Scope> {
  readonly scope: Scope
  readonly context: TransactionContext
  readonly joined: boolean
  readonly open: () => boolean

  constructor(scope: Scope, context: TransactionContext, joined: boolean, open: () => boolean) {
    this.scope = scope
    this.context = context
    this.joined = joined
    this.open = open
  }
}

/** What `pool.transaction()` hands to its body. COMMIT and ROLLBACK are the pool's, unless you began it yourself. */
export class Transaction<C extends Connection = Connection> implements TransactionScope<C> {
  /** Of the attempt that this is. */
  readonly context: TransactionContext
  readonly #pool: Pool<C>
  readonly #lease: Lease<C>
  readonly #exactlyOnce: boolean
  readonly #joined: boolean
  readonly #after = new After()
  readonly #failed = new FirstError()
  readonly #outermost = new Level('', undefined)
  /** Once there was one. */
  #nested: Nested<C> | undefined
  #state: 'open' | 'committing' | 'committed' | 'rolling-back' | 'rolled-back' | 'unknown' = 'open'
  /** Its body has begun, and not settled. */
  #running = false
  /** When it was rolled back, if it was. */
  #undoneAt: number | undefined
  /** What COMMIT was refused for, while that is looked up. */
  #refused: MooringsError | undefined
  #abort: AbortController | undefined
  /** Why its context's signal has fired, if it has. */
  #over: { readonly reason: unknown } | undefined

  private constructor(
    pool: Pool<C>,
    lease: Lease<C>,
    { exactlyOnce = true, attempt = 1, joined = false }: TransactionParts,
  ) {
    this.#pool = pool
    this.#lease = lease
    this.#exactlyOnce = exactlyOnce
    // The connection of its session is all that its call chain has.
    this.#joined = joined || lease.session !== undefined
    this.context = new Context(
      attempt,
      (on, run) => this.#note(on, run),
      () => this.#signal,
    )
  }

  /**
   * The lease stays the caller's, to be released after the transaction has ended; then call `finish`.
   *
   * @throws what the connection's `begin` throws, or rejects with it
   */
  static begin<C extends Connection>(
    pool: Pool<C>,
    lease: Lease<C>,
    parts: TransactionParts = {},
  ): Transaction<C> | Promise<Transaction<C>> {
    const { settings, exactlyOnce = true } = parts
    const begun = lease.connection.begin(settings, exactlyOnce)
    return begun === undefined
      ? new Transaction(pool, lease, parts)
      : begun.then(() => new Transaction(pool, lease, parts))
  }

  get state(): TransactionState {
    if (this.#state !== 'open' || this.#lease.lost || this.#lease.released) return this.#state
    return this.#lease.connection.transactionStatus
  }

  get driver(): Driver<C> {
    return this.#pool.driver
  }

  get session(): Stretch | undefined {
    return this.#lease.session
  }

  get connection(): C {
    this.#assertOpen()
    this.#outermost.assertUsable()
    return this.#lease.connection
  }

  /** For call chains inside of it. */
  get ambient(): Ambient<TransactionScope<C>> {
    return this.#ambient(this, () => this.#state === 'open')
  }

  /**
   * Runs the body in a call chain that is inside of it. It stays inside until it has settled, however early the
   * transaction ends: what it does then is refused, rather than done on a connection of its own, where it would stay.
   * When the transaction was rolled back that goes for what the body has left running as well (the other branches of a
   * Promise.all), for as long as a body is waited for.
   */
  carry<T>(body: () => Promise<T> | T, done: (value: T) => void, failed: (error: unknown) => void): void {
    this.#running = true
    const ambient = this.#ambient(this, () => this.#state === 'open' || this.#running || this.#refuses)
    this.#pool.scopes
      .run(this.#lease, ambient, () => begun(body))
      .then(
        (value) => {
          this.#running = false
          done(value)
        },
        (error: unknown) => {
          this.#running = false
          failed(error)
        },
      )
  }

  get #refuses(): boolean {
    const { deadlines, resilience } = this.#pool
    return (
      this.#undoneAt !== undefined && deadlines.clock.now() < this.#undoneAt + resilience.transaction.settleTimeoutMs
    )
  }

  noteError(error: unknown): void {
    this.#failed.note(error)
  }

  /** What a statement failed with first. */
  get firstError(): unknown {
    return this.#failed.value
  }

  /** What its body threw, or what that stands for. */
  telling(error: unknown): unknown {
    return this.#failed.telling(error)
  }

  assertSound(): void {
    this.#failed.assertNone()
  }

  spoil(by: unknown): void {
    this.#outermost.spoilt ??= { by }
  }

  #note(on: 'commit' | 'rollback', run: AfterEnd): void {
    assertFunction(run, 'run')
    this.#assertOpen()
    const here = this.#nested?.here ?? this.#outermost
    here.assertLive()
    this.#after.note(on, run, here)
  }

  savepoint<T>(body: (scope: TransactionScope<C>) => Promise<T> | T, label?: string, limits?: Limits): Promise<T> {
    this.#nested ??= this.#nests()
    return this.#nested.run(this.#outermost, body, label, limits)
  }

  #nests(): Nested<C> {
    const transaction = this
    return new Nested(
      {
        pool: this.#pool,
        lease: this.#lease,
        context: this.context,
        after: this.#after,
        failed: this.#failed,
        get open() {
          return transaction.#state === 'open'
        },
        assertOpen: () => this.#assertOpen(),
        ambient: (scope, open) => this.#ambient(scope, open),
      },
      this,
      this.#outermost,
    )
  }

  // --- its end ---

  /**
   * @throws TransactionAbortedError when a statement had failed before and the server rolled back instead
   * @throws ConnectionLostError when the connection was lost before the answer came, and nothing was applied
   * @throws CommitOutcomeUnknownError when it was lost, and nobody can tell
   */
  async commit(): Promise<void> {
    const refused = this.#refusedCommit()
    if (refused !== undefined) {
      const failure = await this.rollback()
      if (failure !== undefined) attachRollbackError(refused, failure)
      throw refused
    }
    const { connection } = this
    if (readsItsWrites() && connection.ticket !== 'nothing') noteWrite(this.#pool)
    this.#state = 'committing'
    let outcome: 'committed' | 'rolled-back'
    try {
      outcome = await connection.commit()
    } catch (error) {
      // Something in it still goes on that COMMIT cannot be sent behind: a cursor that waits for its reader.
      if (error instanceof StatementError && error.sent === false) {
        this.#state = 'open'
        await this.rollback()
        throw error
      }
      // Answered: the server refused.
      if (connection.lost === undefined && connection.activity === 'idle') {
        const refused = this.driver.classify(error, 'commit')
        // It may also say that it cannot tell.
        this.#state = refused instanceof CommitOutcomeUnknownError ? 'unknown' : 'rolled-back'
        await this.#complete(refused)
        throw refused
      }
      await this.#resolve(connection, error)
      return
    }
    this.#state = outcome
    if (outcome === 'rolled-back') throw this.#failed.aborted()
  }

  /** What a deferred constraint refused; nobody waits for that with a connection that is needed no more. */
  async #complete(refused: MooringsError): Promise<void> {
    const completing = this.#pool.constraints.complete(refused)
    if (completing === undefined) return
    this.#refused = refused
    this.#lease.release()
    await completing
  }

  /** It may not take any longer: what COMMIT was refused for is told with what is known of it. */
  hurry(): void {
    if (this.#refused !== undefined) this.#pool.constraints.hurry(this.#refused)
  }

  #refusedCommit(): MooringsError | undefined {
    this.#assertOpen()
    const { inner, spoilt } = this.#outermost
    if (inner !== undefined) {
      return new NestedTransactionOpenError(
        'The transaction was rolled back: its body ended while a nested transaction in it was open. Await the nested one',
      )
    }
    return spoilt && joinedFailed(spoilt.by)
  }

  /** COMMIT was not answered. */
  async #resolve(connection: C, error: unknown): Promise<void> {
    const { lost, ticket } = connection
    const why = lost === undefined ? 'COMMIT was given up' : 'The connection was lost'
    const code = lost?.code
    const gone = new ConnectionLostError(`${why} before it was answered`, { code, cause: error })
    // What still works on it is to end, and nobody is to be lent it.
    if (lost === undefined) connection.destroy(gone)
    this.#lease.release()
    const unsent = error instanceof ConnectionLostError && error.sent === false
    const outcome = unsent ? 'rolled-back' : await askOutcome(this.#pool, this.#exactlyOnce ? ticket : undefined)
    this.#state = outcome
    if (outcome === 'committed') return
    if (outcome === 'rolled-back') {
      throw new ConnectionLostError(`${why} before COMMIT was answered: the transaction was rolled back`, {
        code,
        cause: error,
        retry: 'reconnect',
      })
    }
    const told = typeof ticket === 'object' ? ` (transaction ${ticket.transactionId})` : ''
    throw new CommitOutcomeUnknownError(
      `${why} before it was answered: the transaction may or may not have been applied${told}`,
      { code, cause: error },
    )
  }

  /**
   * Undoes everything, if it has not ended yet. Never rejects: whoever rolls back has an error of their own to report.
   * If the server does not confirm, the connection is destroyed, which has the same effect there.
   *
   * @param why what statements are told that are still under way
   * @returns why ROLLBACK failed, or undefined
   */
  async rollback(why: MooringsError = left()): Promise<MooringsError | undefined> {
    if (this.#state !== 'open') return undefined
    this.#state = 'rolling-back'
    this.#undoneAt = this.#pool.deadlines.clock.now()
    const { transactions } = this.#pool
    let failure: MooringsError | undefined
    if (!this.#lease.lost && !this.#lease.released) {
      const { connection } = this.#lease
      const strays = stopStrays(connection, why)
      failure = await answered(this.#pool, 'ROLLBACK', () => connection.rollback())
      if (failure !== undefined) {
        const error = failure
        connection.destroy(error)
        transactions.rollbacks.destroyed++
        publish('moorings:rollback:failed', this.#pool.identity, () => ({ id: connection.id, error }))
      } else if (strays) transactions.rollbacks.cancelled++
    }
    this.#state = 'rolled-back'
    return failure
  }

  /** Does what was to be done after it, if anything. To be called when its connection is back; never rejects. */
  finish(): Promise<void> | undefined {
    const { transactions, identity } = this.#pool
    if (this.#state === 'open') this.#state = 'rolled-back'
    const how = this.#state === 'committed' || this.#state === 'rolled-back' ? this.#state : undefined
    transactions.ended(how)
    if (this.#after.mark === 0) return undefined
    return this.#after.run(how, (cause) => {
      tellFailed(identity, toldBy(cause, this.driver), how ?? 'committed')
    })
  }

  /** It can come to nothing any more: what its body does meanwhile is in vain, and its signal says so. */
  giveUp(reason: unknown): void {
    this.#over ??= { reason }
    this.#abort?.abort(reason)
  }

  get #signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#over !== undefined) this.#abort.abort(this.#over.reason)
    }
    return this.#abort.signal
  }

  #ambient(scope: TransactionScope<C>, open: () => boolean): Ambient<TransactionScope<C>> {
    return new Inner(scope, this.context, this.#joined, open)
  }

  get mark(): TransactionMark {
    return { noted: this.#after.mark, firstError: this.#failed.value }
  }

  backTo({ noted, firstError }: TransactionMark): void {
    this.#after.undoneSince(noted, this.#outermost)
    this.#failed.backTo(firstError)
  }

  #assertOpen(): void {
    if (this.#state === 'open') return
    throw new TransactionEndedError(`This transaction has ended (${this.#state}): nothing more can be sent through it`)
  }
}

/** A place in a transaction to go back to. */
export interface TransactionMark {
  readonly noted: number
  readonly firstError: unknown
}
