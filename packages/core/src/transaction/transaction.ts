// One transaction on one lease, from BEGIN to its end, and its savepoints. An explicit state: nothing is sent through a
// transaction that has ended, and COMMIT is never reported as done unless the server said so.

import type { Connection, Driver, TransactionSettings } from '../driver.js'
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  isMooringsError,
  type MooringsError,
  NestedTransactionOpenError,
  StatementCancelledError,
  TransactionAbortedError,
  TransactionEndedError,
} from '../errors.js'
import { publish } from '../events.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { Ambient, Stretch, TransactionContext } from '../scope.js'
import { After, type AfterEnd } from './after.js'
import { Level } from './level.js'
import { askOutcome } from './outcome.js'

/**
 * - `idle`: begun, and nothing was sent yet
 * - `open`
 * - `failed`: a statement has failed, and nothing but a roll-back is possible
 * - `committing`, `rolling-back`: the server's answer is waited for
 * - `committed`, `rolled-back`
 * - `unknown`: COMMIT was not answered, and nobody can tell what became of it
 */
export type TransactionState =
  | 'idle'
  | 'open'
  | 'failed'
  | 'committing'
  | 'committed'
  | 'rolling-back'
  | 'rolled-back'
  | 'unknown'

/** A transaction as its body sees it; a nested one rejects every use once its savepoint has ended. */
export interface TransactionScope<C extends Connection = Connection> {
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
  /**
   * Runs the body between SAVEPOINT and RELEASE; if it throws, what it did is undone and the transaction goes on. One that
   * is asked for while another is open beside it waits until that has ended.
   *
   * @param label appended to the savepoint's name, for whoever reads the server's log
   */
  savepoint<T>(body: (scope: TransactionScope<C>) => Promise<T> | T, label?: string): Promise<T>
}

export interface TransactionParts {
  readonly settings?: TransactionSettings | undefined
  /** Whether an unanswered COMMIT is looked up. */
  readonly exactlyOnce?: boolean
  readonly attempt?: number
  /** Whether queries on the root database in its call chain join it. */
  readonly joined?: boolean
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
  readonly #outermost = new Level('', undefined)
  #state: 'open' | 'committing' | 'committed' | 'rolling-back' | 'rolled-back' | 'unknown' = 'open'
  #firstError: unknown
  #savepoints = 0
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
    const transaction = this
    this.context = {
      attempt,
      get signal() {
        return transaction.#signal
      },
      afterCommit: (run) => this.#note('commit', run),
      afterRollback: (run) => this.#note('rollback', run),
    }
  }

  /** The lease stays the caller's, to be released after the transaction has ended; then call `finish`. */
  static async begin<C extends Connection>(
    pool: Pool<C>,
    lease: Lease<C>,
    parts: TransactionParts = {},
  ): Promise<Transaction<C>> {
    const { settings, exactlyOnce = true } = parts
    await lease.connection.begin(settings, exactlyOnce)
    return new Transaction(pool, lease, parts)
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

  noteError(error: unknown): void {
    this.#firstError ??= error
  }

  /** What a statement failed with first. */
  get firstError(): unknown {
    return this.#firstError
  }

  spoil(by: unknown): void {
    this.#outermost.spoilt ??= { by }
  }

  #note(on: 'commit' | 'rollback', run: AfterEnd): void {
    this.#assertOpen()
    this.#after.note(on, run)
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
      await this.rollback()
      throw refused
    }
    const { connection } = this
    this.#state = 'committing'
    let outcome: 'committed' | 'rolled-back'
    try {
      outcome = await connection.commit()
    } catch (error) {
      // Answered: the server refused, and has rolled back.
      if (connection.lost === undefined && connection.activity === 'idle') {
        this.#state = 'rolled-back'
        throw this.driver.classify(error, 'commit')
      }
      await this.#resolve(connection, error)
      return
    }
    this.#state = outcome
    if (outcome === 'rolled-back') throw this.#aborted()
  }

  #refusedCommit(): MooringsError | undefined {
    this.#assertOpen()
    if (this.#outermost.inner !== undefined) {
      return new NestedTransactionOpenError(
        'The transaction was rolled back: its body ended while a nested transaction in it was open. Await the nested one',
      )
    }
    const { spoilt } = this.#outermost
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
    const outcome = await askOutcome(this.#pool, this.#exactlyOnce ? ticket : undefined)
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
    const { transactions } = this.#pool
    let failure: MooringsError | undefined
    if (!this.#lease.lost && !this.#lease.released) {
      const { connection } = this.#lease
      const strays = stopStrays(connection, why)
      failure = await this.#answered('ROLLBACK', () => connection.rollback())
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

  /** Does what was to be done after it. To be called when its connection is back; never rejects. */
  async finish(): Promise<void> {
    const { transactions, identity } = this.#pool
    if (this.#state === 'open') this.#state = 'rolled-back'
    const how = this.#state === 'committed' || this.#state === 'rolled-back' ? this.#state : undefined
    transactions.ended(how)
    await this.#after.run(how, (cause) => {
      const error = this.driver.classify(cause, 'statement')
      publish('moorings:after:failed', identity, () => ({ error, after: how ?? 'committed' }))
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

  #answered(command: string, send: () => Promise<void>): Promise<MooringsError | undefined> {
    const { rollbackTimeoutMs } = this.#pool.resilience.transaction
    const late = () => new ConnectionLostError(`${command} was not answered within ${rollbackTimeoutMs} ms`)
    return this.#pool.deadlines.limit(rollbackTimeoutMs, late, send).then(
      () => undefined,
      (error: unknown) => this.driver.classify(error, 'statement'),
    )
  }

  // --- nested ones ---

  savepoint<T>(body: (scope: TransactionScope<C>) => Promise<T> | T, label?: string): Promise<T> {
    return this.#nest(this.#outermost, body, label)
  }

  async #nest<T>(
    outer: Level,
    body: (scope: TransactionScope<C>) => Promise<T> | T,
    label: string | undefined,
  ): Promise<T> {
    const level = await this.#enter(outer, label)
    const firstError = this.#firstError
    const noted = this.#after.mark
    try {
      // Since it was entered, all of it may have come to an end.
      this.#assertOpen()
      const { connection } = this.#lease
      await connection.savepoint(level.name)
      let result: T
      try {
        const ambient = this.#ambient(this.#scope(level), () => this.#state === 'open' && level === outer.inner)
        result = await this.#pool.scopes.run(this.#lease, ambient, () => body(ambient.scope))
        this.#assertNestedSound(level)
      } catch (error) {
        this.#after.undone(noted)
        await this.#undo(level, error, firstError)
        throw error
      }
      this.#assertOpen()
      await connection.release(level.name)
      return result
    } finally {
      level.end()
    }
  }

  /** Not async: one that need not wait is entered before anything else can be sent. */
  #enter(outer: Level, label: string | undefined): Level | Promise<Level> {
    this.#assertOpen()
    if (outer.inner !== undefined) return this.#enterInTurn(outer, label)
    outer.assertUsable()
    // Throws when it is gone.
    void this.#lease.connection
    return outer.enter(`s${this.#savepoints++}${label === undefined ? '' : `_${label}`}`)
  }

  async #enterInTurn(outer: Level, label: string | undefined): Promise<Level> {
    const { deadlines, resilience } = this.#pool
    await outer.turn(deadlines, resilience.pool.acquireTimeoutMs)
    try {
      return await this.#enter(outer, label)
    } catch (error) {
      outer.pass()
      throw error
    }
  }

  #assertNestedSound(level: Level): void {
    this.#assertOpen()
    if (level.inner !== undefined) {
      throw new NestedTransactionOpenError(
        'This nested transaction was rolled back: its body ended while another in it was open. Await the inner one',
      )
    }
    if (level.spoilt !== undefined) throw joinedFailed(level.spoilt.by)
    // RELEASE would be refused, and say less than what failed first.
    if (this.#lease.connection.transactionStatus === 'failed') throw this.#aborted()
  }

  async #undo(level: Level, error: unknown, firstError: unknown): Promise<void> {
    // With the connection gone there is nothing to undo, and the body's own error says more than ours would.
    if (this.#state !== 'open' || this.#lease.lost || this.#lease.released) return
    const { connection } = this.#lease
    stopStrays(connection, left())
    const failure = await this.#answered('ROLLBACK TO', () => connection.rollbackTo(level.name))
    if (failure === undefined) this.#firstError = firstError
    else {
      connection.destroy(failure)
      attachRollbackError(error, failure)
    }
  }

  #scope(level: Level): TransactionScope<C> {
    const transaction = this
    return {
      session: this.session,
      get connection() {
        transaction.#assertOpen()
        level.assertUsable()
        return transaction.#lease.connection
      },
      noteError: (error) => transaction.noteError(error),
      assertSound: () => transaction.assertSound(),
      spoil: (by) => {
        level.spoilt ??= { by }
      },
      async savepoint(body, label) {
        return transaction.#nest(level, body, label)
      },
    }
  }

  #ambient(scope: TransactionScope<C>, open: () => boolean): Ambient<TransactionScope<C>> {
    return { scope, context: this.context, joined: this.#joined, open }
  }

  // --- savepoints that somebody else sets ---

  /** What is noted and fails from here on is undone by `backTo` with what this returns. */
  get mark(): TransactionMark {
    return { noted: this.#after.mark, firstError: this.#firstError }
  }

  /** The transaction was brought back to a savepoint by other means: what had failed since is undone. */
  backTo({ noted, firstError }: TransactionMark): void {
    this.#after.undone(noted)
    this.#firstError = firstError
  }

  // --- what has failed ---

  assertSound(): void {
    if (this.#firstError !== undefined) throw this.#aborted()
  }

  /** A statement that was refused because an earlier one had failed says nothing; the earlier one's error does. */
  telling(error: unknown): unknown {
    if (!(error instanceof TransactionAbortedError) || error.cause === this.#firstError) return error
    // Not in the server's own words: it names a first error, and may be another transaction's.
    if (isMooringsError(error.cause)) return error
    return this.#firstError ?? error
  }

  #aborted(): TransactionAbortedError {
    const first = this.#firstError
    const named = first instanceof Error || isMooringsError(first) ? `: ${first.message}` : ''
    return new TransactionAbortedError(
      `The transaction was rolled back, because a statement in it had failed before COMMIT${named}`,
      { cause: first, code: (isMooringsError(first) ? first.code : undefined) ?? '25P02' },
    )
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

function joinedFailed(cause: unknown): TransactionAbortedError {
  const named = isMooringsError(cause) ? `: ${cause.message}` : ''
  return new TransactionAbortedError(
    `The transaction was rolled back, because work that had joined it failed${named}`,
    {
      cause,
      code: isMooringsError(cause) ? cause.code : undefined,
    },
  )
}

function left(): StatementCancelledError {
  return new StatementCancelledError('The transaction was rolled back while this statement was under way')
}

/** ROLLBACK would wait for what the body has left running, and then undo it. Returns whether there was anything. */
function stopStrays(connection: Connection, why: MooringsError): boolean {
  if (connection.activity === 'idle') return false
  connection.stop(why)
  return true
}

/** Not enumerable: an application that logs or compares its own error must not find ours in it. */
export function attachRollbackError(error: unknown, rollbackError: MooringsError): void {
  if (typeof error !== 'object' || error === null || !Object.isExtensible(error)) return
  Object.defineProperty(error, 'rollbackError', { value: rollbackError, configurable: true, enumerable: false })
}
