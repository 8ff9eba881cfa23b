// One transaction on one lease, from BEGIN to its end, and its savepoints. An explicit state: nothing is sent through a
// transaction that has ended, and COMMIT is never reported as done unless the server said so.

import type { Connection, Driver, TransactionSettings } from './driver.js'
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  isMooringsError,
  type MooringsError,
  StatementCancelledError,
  TransactionAbortedError,
  TransactionEndedError,
} from './errors.js'
import { publish } from './events.js'
import type { Lease } from './pool/lease.js'
import type { Pool } from './pool/pool.js'

export type TransactionState = 'open' | 'committing' | 'committed' | 'rolling-back' | 'rolled-back' | 'unknown'

/** A server that does not answer ROLLBACK for so long has lost the connection, or us. */
const ROLLBACK_TIMEOUT_MS = 5_000

/** A transaction as its body sees it; a nested one rejects every use once its savepoint has ended. */
export interface TransactionScope<C extends Connection = Connection> {
  /**
   * The connection, for one use.
   *
   * @throws TransactionEndedError once the scope has ended
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
  /**
   * Runs the body between SAVEPOINT and RELEASE; if it throws, what it did is undone and the transaction goes on.
   *
   * @param label appended to the savepoint's name, for whoever reads the server's log
   */
  savepoint<T>(body: (scope: TransactionScope<C>) => Promise<T> | T, label?: string): Promise<T>
}

/** What `pool.transaction()` hands to its body. COMMIT and ROLLBACK are the pool's, unless you began it yourself. */
export class Transaction<C extends Connection = Connection> implements TransactionScope<C> {
  readonly #pool: Pool<C>
  readonly #lease: Lease<C>
  #state: TransactionState = 'open'
  #firstError: unknown
  #savepoints = 0
  readonly #outermost: Level = { name: '', outer: undefined, entered: true, mixed: false, inner: new Set() }
  /** Why COMMIT would keep less than was reported as done. */
  #spoilt: TransactionAbortedError | undefined

  private constructor(pool: Pool<C>, lease: Lease<C>) {
    this.#pool = pool
    this.#lease = lease
  }

  /** The lease stays the caller's, to be released after the transaction has ended. */
  static async begin<C extends Connection>(
    pool: Pool<C>,
    lease: Lease<C>,
    settings?: TransactionSettings,
  ): Promise<Transaction<C>> {
    await lease.connection.begin(settings)
    return new Transaction(pool, lease)
  }

  get state(): TransactionState {
    return this.#state
  }

  get driver(): Driver<C> {
    return this.#pool.driver
  }

  get connection(): C {
    this.#assertOpen()
    return this.#lease.connection
  }

  noteError(error: unknown): void {
    this.#firstError ??= error
  }

  /**
   * @throws TransactionAbortedError when a statement had failed before and the server rolled back instead
   * @throws CommitOutcomeUnknownError when the connection was lost before the answer came
   */
  async commit(): Promise<void> {
    if (this.#spoilt !== undefined) {
      await this.rollback()
      throw this.#spoilt
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
      this.#state = 'unknown'
      const why = connection.lost === undefined ? 'COMMIT was given up' : 'The connection was lost'
      throw new CommitOutcomeUnknownError(
        `${why} before it was answered: the transaction may or may not have been applied`,
        { code: connection.lost?.code, cause: error },
      )
    }
    this.#state = outcome
    if (outcome === 'rolled-back') throw this.#aborted()
  }

  /**
   * Undoes everything, if it has not ended yet. Never rejects: whoever rolls back has an error of their own to report.
   * If the server does not confirm, the connection is destroyed, which has the same effect there.
   *
   * @returns why ROLLBACK failed, or undefined
   */
  async rollback(): Promise<MooringsError | undefined> {
    if (this.#state !== 'open') return undefined
    this.#state = 'rolling-back'
    let failure: MooringsError | undefined
    if (!this.#lease.lost && !this.#lease.released) {
      const { connection } = this.#lease
      stopStrays(connection)
      failure = await this.#answered('ROLLBACK', () => connection.rollback())
      if (failure !== undefined) {
        const error = failure
        connection.destroy(error)
        publish('moorings:rollback:failed', this.#pool.identity, () => ({ id: connection.id, error }))
      }
    }
    this.#state = 'rolled-back'
    return failure
  }

  #answered(command: string, send: () => Promise<void>): Promise<MooringsError | undefined> {
    const late = () => new ConnectionLostError(`${command} was not answered within ${ROLLBACK_TIMEOUT_MS} ms`)
    return this.#pool.deadlines.limit(ROLLBACK_TIMEOUT_MS, late, send).then(
      () => undefined,
      (error: unknown) => this.driver.classify(error, 'statement'),
    )
  }

  savepoint<T>(body: (scope: TransactionScope<C>) => Promise<T> | T, label?: string): Promise<T> {
    return this.#nest(this.#outermost, body, label)
  }

  async #nest<T>(
    outer: Level,
    body: (scope: TransactionScope<C>) => Promise<T> | T,
    label: string | undefined,
  ): Promise<T> {
    const level = enter(outer, `s${this.#savepoints++}${label === undefined ? '' : `_${label}`}`)
    try {
      await this.connection.savepoint(level.name)
      const firstError = this.#firstError
      let result: T
      try {
        result = await body(this.#scope(level))
        // RELEASE would be refused, and say less than what failed first.
        if (this.connection.transactionStatus === 'failed') throw this.#aborted()
      } catch (error) {
        leave(level)
        await this.#undo(level, error, firstError)
        throw error
      }
      leave(level)
      // RELEASE would take along the savepoints of siblings that began later.
      if (!level.mixed) await this.connection.release(level.name)
      return result
    } finally {
      leave(level)
    }
  }

  async #undo(level: Level, error: unknown, firstError: unknown): Promise<void> {
    // With the connection gone there is nothing to undo, and the body's own error says more than ours would.
    if (this.#state !== 'open' || this.#lease.lost || this.#lease.released) return
    if (level.mixed) {
      this.#spoilt ??= new TransactionAbortedError(
        'A nested transaction failed while another was open beside it: undoing it alone would undo the other, too',
        { cause: error },
      )
      return
    }
    const { connection } = this
    stopStrays(connection)
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
      get connection() {
        assertEntered(level)
        return transaction.connection
      },
      noteError: (error) => transaction.noteError(error),
      assertSound: () => transaction.assertSound(),
      async savepoint(body, label) {
        assertEntered(level)
        return transaction.#nest(level, body, label)
      },
    }
  }

  /** The transaction was brought back to a savepoint by other means: what had failed since is undone. */
  forgetError(): void {
    this.#firstError = undefined
  }

  assertSound(): void {
    if (this.#spoilt !== undefined) throw this.#spoilt
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

/** ROLLBACK would wait for what the body has left running, and then undo it. */
function stopStrays(connection: Connection): void {
  if (connection.activity === 'idle') return
  connection.stop(new StatementCancelledError('The transaction was rolled back while this statement was under way'))
}

/** A savepoint, or the transaction itself, and the savepoints that are open directly inside it. */
interface Level {
  readonly name: string
  readonly outer: Level | undefined
  readonly inner: Set<Level>
  entered: boolean
  /** It was open at the same time as a sibling: what either wrote may lie inside the other's savepoint. */
  mixed: boolean
}

function enter(outer: Level, name: string): Level {
  const level: Level = { name, outer, entered: true, mixed: outer.inner.size > 0, inner: new Set() }
  for (const sibling of outer.inner) sibling.mixed = true
  outer.inner.add(level)
  return level
}

function leave(level: Level): void {
  level.entered = false
  level.outer?.inner.delete(level)
}

function assertEntered(level: Level): void {
  for (let at: Level | undefined = level; at !== undefined; at = at.outer) {
    if (at.entered) continue
    throw new TransactionEndedError('This nested transaction has ended: nothing can be sent through it')
  }
}

/** BEGIN, body, COMMIT. What the body throws is what the caller gets, whatever ROLLBACK says. */
export async function runTransaction<C extends Connection, T>(
  pool: Pool<C>,
  lease: Lease<C>,
  body: (transaction: Transaction<C>) => Promise<T> | T,
  settings?: TransactionSettings,
): Promise<T> {
  const transaction = await Transaction.begin(pool, lease, settings)
  let result: T
  try {
    result = await body(transaction)
  } catch (error) {
    const telling = transaction.telling(error)
    const failure = await transaction.rollback()
    if (failure !== undefined) attachRollbackError(telling, failure)
    throw telling
  }
  await transaction.commit()
  return result
}

/** Not enumerable: an application that logs or compares its own error must not find ours in it. */
function attachRollbackError(error: unknown, rollbackError: MooringsError): void {
  if (typeof error !== 'object' || error === null || !Object.isExtensible(error)) return
  Object.defineProperty(error, 'rollbackError', { value: rollbackError, configurable: true, enumerable: false })
}
