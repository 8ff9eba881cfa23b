// One transaction on one lease, from BEGIN to its end, and its savepoints. An explicit state: nothing is sent through a
// transaction that has ended, and COMMIT is never reported as done unless the server said so.

import type { Connection, Driver, TransactionSettings } from './driver.js'
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  isMooringsError,
  type MooringsError,
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

export class Transaction<C extends Connection = Connection> implements TransactionScope<C> {
  readonly #pool: Pool<C>
  readonly #lease: Lease<C>
  #state: TransactionState = 'open'
  #firstError: unknown
  #savepoints = 0
  /** Innermost last, unless siblings run at once. */
  readonly #open: string[] = []

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
      failure = await this.#rollBack(connection)
      if (failure !== undefined) {
        const error = failure
        connection.destroy(error)
        publish('moorings:rollback:failed', () => ({ pool: this.#pool.name, id: connection.id, error }))
      }
    }
    this.#state = 'rolled-back'
    return failure
  }

  #rollBack(connection: C): Promise<MooringsError | undefined> {
    const late = () => new ConnectionLostError(`ROLLBACK was not answered within ${ROLLBACK_TIMEOUT_MS} ms`)
    return this.#pool.deadlines
      .limit(ROLLBACK_TIMEOUT_MS, late, () => connection.rollback())
      .then(
        () => undefined,
        (error: unknown) => this.driver.classify(error, 'statement'),
      )
  }

  async savepoint<T>(body: (scope: TransactionScope<C>) => Promise<T> | T, label?: string): Promise<T> {
    const name = `s${this.#savepoints++}${label === undefined ? '' : `_${label}`}`
    await this.connection.savepoint(name)
    const firstError = this.#firstError
    this.#open.push(name)
    const { scope, end } = this.#nested(name)
    let result: T
    try {
      result = await body(scope)
    } catch (error) {
      end()
      // With the connection gone there is nothing to undo, and the body's own error says more than ours would.
      if (this.#state === 'open' && !this.#lease.lost) {
        try {
          await this.connection.rollbackTo(name)
          this.#firstError = firstError
        } catch (failure) {
          attachRollbackError(error, this.driver.classify(failure, 'statement'))
        }
      }
      throw error
    }
    // Released only as the innermost: RELEASE would take along the savepoints of siblings that began later.
    const innermost = this.#open.at(-1) === name
    end()
    if (innermost) await this.connection.release(name)
    return result
  }

  #nested(name: string): { readonly scope: TransactionScope<C>; readonly end: () => void } {
    const outer = this
    let ended = false
    const assertOpen = () => {
      if (ended) throw new TransactionEndedError('This nested transaction has ended: nothing can be sent through it')
    }
    const scope: TransactionScope<C> = {
      get connection() {
        assertOpen()
        return outer.connection
      },
      noteError: (error) => outer.noteError(error),
      assertSound: () => outer.assertSound(),
      async savepoint(body, label) {
        assertOpen()
        return outer.savepoint(body, label)
      },
    }
    const end = () => {
      ended = true
      this.#open.splice(this.#open.indexOf(name), 1)
    }
    return { scope, end }
  }

  assertSound(): void {
    if (this.#firstError !== undefined) throw this.#aborted()
  }

  /** A statement that was refused because an earlier one had failed says nothing; the earlier one's error does. */
  telling(error: unknown): unknown {
    if (!(error instanceof TransactionAbortedError) || error.cause === this.#firstError) return error
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

/** BEGIN, body, COMMIT on a lease of its own. What the body throws is what the caller gets, whatever ROLLBACK says. */
export async function runTransaction<C extends Connection, T>(
  pool: Pool<C>,
  body: (transaction: Transaction<C>) => Promise<T> | T,
  settings?: TransactionSettings,
): Promise<T> {
  const lease = await pool.acquire()
  try {
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
  } finally {
    lease.release()
  }
}

/** Not enumerable: an application that logs or compares its own error must not find ours in it. */
function attachRollbackError(error: unknown, rollbackError: MooringsError): void {
  if (typeof error !== 'object' || error === null || !Object.isExtensible(error)) return
  Object.defineProperty(error, 'rollbackError', { value: rollbackError, configurable: true, enumerable: false })
}
