// Transactions as a function, for whatever begins them.

import type { Propagation, TransactionOptions } from '@moorings/core'
import { type Body, beginOn } from './resilience.js'
import type { TransactionOf } from './types.js'

/** A database of ours, or a transaction of one. */
export interface TransactionHost {
  transaction(body: never, config?: never): Promise<unknown>
}

/**
 * Runs the body in a transaction: BEGIN, the body, COMMIT; ROLLBACK if it throws, and what it threw is what the caller gets.
 *
 * - A deadlock, a failure to serialize, a connection lost before COMMIT: the whole body is run again (`retry`).
 * - A COMMIT without an answer is looked up on the server (`exactlyOnce`).
 * - Queries on `db` itself join it, in everything the body awaits or calls, through any ORM on the same pool. That is what
 *   it does beyond `db.transaction()`, which takes the same options.
 * - Inside of another one it is a savepoint, unless `propagation` says otherwise.
 *
 * @param body is given Drizzle's own `tx`, and the attempt and its signal. It may be run several times.
 * @throws whatever the body throws; RetriesExhaustedError, CommitOutcomeUnknownError, TransactionTimeoutError,
 *   TransactionCancelledError, PropagationError, InvalidOptionsError, and what `pool.acquire` throws
 * @example
 * const order = await withTransaction(db, async (tx) => {
 *   await tx.update(stock).set({ left: sql`${stock.left} - 1` }).where(eq(stock.item, item))
 *   return tx.insert(orders).values({ item }).returning()
 * }, { isolationLevel: 'serializable', timeoutMs: 5_000 })
 */
export function withTransaction<Host extends TransactionHost, T>(
  db: Host,
  body: Body<T, TransactionOf<Host>>,
  options?: TransactionOptions,
): Promise<T>
/** Where there is to be no transaction the body is given `db` itself, and each of its statements stands for itself. */
export function withTransaction<Host extends TransactionHost, T>(
  db: Host,
  body: Body<T, Host>,
  options: TransactionOptions<Propagation> & { propagation: 'never' | 'notSupported' },
): Promise<T>
/** With `supports` it is a transaction if there is one around it, and else `db` itself. */
export function withTransaction<Host extends TransactionHost, T>(
  db: Host,
  body: Body<T, TransactionOf<Host> | Host>,
  options: TransactionOptions<Propagation>,
): Promise<T>
export async function withTransaction<Host extends TransactionHost, T>(
  db: Host,
  body: Body<T, TransactionOf<Host>>,
  options: TransactionOptions<Propagation> = {},
): Promise<T> {
  return beginOn(db, body, options)
}
