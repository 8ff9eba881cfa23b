// Transactions as a function: begun on Kysely's own `db.transaction()`, so that plugins, schemas and logging are its own,
// while when they begin and end, and how often they are run, is core's.

import {
  type Circumstances,
  InvalidOptionsError,
  type Propagation,
  type TransactionContext,
  TransactionEndedError,
  type TransactionOptions,
} from '@moorings/core'
import type { PostgresConnection } from '@moorings/postgres'
import type { ControlledTransaction, Kysely, Transaction } from 'kysely'
import { adoptable, handleOf } from './driver.js'

/** What a transaction can be begun on, or inside of. */
export type TransactionHost<DB> = Kysely<DB> | Transaction<DB> | ControlledTransaction<DB, string[]>

type Body<T, Tx> = (tx: Tx, context: TransactionContext) => Promise<T> | T

/**
 * Runs the body in a transaction: BEGIN, the body, COMMIT; ROLLBACK if it throws, and what it threw is what the caller gets.
 *
 * - A deadlock, a failure to serialize, a connection lost before COMMIT: the whole body is run again (`retry`).
 * - A COMMIT without an answer is looked up on the server (`exactlyOnce`).
 * - Queries on `db` itself join it, in everything the body awaits or calls, through any ORM on the same pool.
 * - Inside of another one it is a savepoint, unless `propagation` says otherwise.
 *
 * @param body is given Kysely's own handle, and the attempt and its signal. It may be run several times.
 * @throws whatever the body throws; RetriesExhaustedError, CommitOutcomeUnknownError, TransactionTimeoutError,
 *   TransactionCancelledError, PropagationError, InvalidOptionsError, and what `pool.acquire` throws
 * @example
 * const order = await withTransaction(db, async (tx) => {
 *   await tx.updateTable('stock').set(({ eb }) => ({ left: eb('left', '-', 1) })).where('id', '=', id).execute()
 *   return tx.insertInto('orders').values({ item: id }).returningAll().executeTakeFirstOrThrow()
 * }, { isolationLevel: 'serializable', timeoutMs: 5_000 })
 */
export function withTransaction<DB, T>(
  db: TransactionHost<DB>,
  body: Body<T, Transaction<DB>>,
  options?: TransactionOptions,
): Promise<T>
/**
 * With `never` and `notSupported` the body is given `db` itself, and each of its statements stands for itself; with
 * `supports` as well, unless there is a transaction around it.
 */
export function withTransaction<DB, T>(
  db: TransactionHost<DB>,
  body: Body<T, Kysely<DB>>,
  options: TransactionOptions<Propagation>,
): Promise<T>
export async function withTransaction<DB, T>(
  db: TransactionHost<DB>,
  body: Body<T, Kysely<DB>> | Body<T, Transaction<DB>>,
  options: TransactionOptions<Propagation> = {},
): Promise<T> {
  const handle = await handleOf(db)
  const { pool, ambient, bound, inside } = handle
  if (isTransaction(db) && ambient?.open() !== true) {
    throw new TransactionEndedError('This transaction has ended: nothing can be nested in it')
  }
  // A handle stays on its connection, and Kysely tells nobody which database it came from.
  const handled = isTransaction(db) || bound?.joinable !== undefined
  if (handled && options?.propagation === 'requiresNew') {
    const allowed = 'nested, required, mandatory or supports on the handle of a transaction; give it the root database'
    throw new InvalidOptionsError([{ path: 'options.propagation', given: "'requiresNew'", allowed }])
  }
  const where = bound && { source: bound, inside: bound.joinable ?? ('none' as const) }
  const circumstances: Circumstances<PostgresConnection, T> =
    inside === undefined ? { joined: true, ...where, without: withoutOne(db, body, options) } : { inside, joined: true }
  return pool.transaction(
    async (scope, context) => {
      if (isTransaction(db)) {
        handle.nests(scope)
        return body(db, context)
      }
      // One for each call, while several may be part of the same scope.
      const { current } = pool.scopes
      if (current !== undefined) adoptable.add(current)
      return db.transaction().execute(async (tx) => body(tx, context))
    },
    options,
    circumstances,
  )
}

function isTransaction<DB>(db: TransactionHost<DB>): db is Transaction<DB> {
  return db.isTransaction
}

/** What it does where there is to be no transaction: there the overloads have seen to it that the database will do. */
function withoutOne<DB, T>(
  db: TransactionHost<DB>,
  body: Body<T, Kysely<DB>> | Body<T, Transaction<DB>>,
  options: TransactionOptions<Propagation>,
): Circumstances<PostgresConnection, T>['without'] {
  if (isTransaction(db) || !takesDatabase(body, options)) return undefined
  return (context) => body(db, context)
}

function takesDatabase<DB, T>(
  _body: Body<T, Kysely<DB>> | Body<T, Transaction<DB>>,
  options: TransactionOptions<Propagation> | null,
): _body is Body<T, Kysely<DB>> {
  const propagation = options?.propagation
  return propagation === 'supports' || propagation === 'never' || propagation === 'notSupported'
}
