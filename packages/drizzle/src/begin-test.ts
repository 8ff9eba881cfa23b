// Transactions for tests, as a function.

import { placeHere, TestTransaction } from '@moorings/core'
import { clientOf, onClient } from './resilience.js'
import type { SessionOf } from './types.js'
import { isSessionOf } from './with-session.js'
import type { TransactionHost } from './with-transaction.js'

/** What a test plays in. */
export interface Test<Db> {
  readonly db: Db
  /** Undoes everything. Harmless the second time. */
  rollback(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Begins a transaction for a test to play in, which is undone at the end, whatever was done in it.
 *
 * - What uses its `db` is in it; and, where the test itself has called this (not a `beforeEach`), what uses the root `db`
 *   anywhere in the test's call chain, through any ORM on the same pool.
 * - Transactions of the application, by whichever call, are savepoints in it: they commit and roll back, and see each
 *   other's work, but nothing of it stays. Each is asked for as if it were the outermost: isolation, access and limits in
 *   time are passed over; a role or settings of its own are refused, as the test would not play under them.
 *
 * What it cannot stand in for: constraints that are deferred to COMMIT are not checked, `afterCommit` is not run, a second
 * connection sees nothing of it, nothing is retried, and a failed statement outside of a transaction of the application's
 * takes the test's with it. `withSession` and `withAdvisoryLock` are refused in it. What steps out of it on purpose
 * (`outsideTransaction`, `requiresNew` inside of a transaction) has a connection of its own, and stays.
 *
 * @returns its `db`, and `rollback()`; with `await using` that is done by itself
 * @throws what `pool.acquire` throws; InvalidOptionsError
 * @example
 * it('books', async () => {
 *   await using test = await beginTest(db)
 *   await book(test.db, order) // or book(order), which uses the root database
 *   expect(await test.db.select().from(orders)).toHaveLength(1)
 * })
 */
export async function beginTest<Host extends TransactionHost>(db: Host): Promise<Test<SessionOf<Host>>> {
  // First: behind an `await` it would not be the caller's call chain any more.
  const place = placeHere()
  const client = clientOf(db)
  const test = await TestTransaction.begin(client.pool, place)
  const on = await onClient(db, client.on(test))
  if (!isSessionOf<Host>(on)) throw new TypeError('This release of Drizzle makes handles without a session')
  return { db: on, rollback: () => test.rollback(), [Symbol.asyncDispose]: () => test.rollback() }
}
