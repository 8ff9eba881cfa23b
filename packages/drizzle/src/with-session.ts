// Sessions as a function: a stretch of work on one connection.

import type { SessionContext, SessionOptions } from '@moorings/core'
import { stayOn } from './resilience.js'
import type { SessionOf } from './types.js'
import type { TransactionHost } from './with-transaction.js'

/**
 * Runs the body on one connection: what its statements leave there (settings, temporary tables, advisory locks) is there
 * for the next one, and undone at the end.
 *
 * - The body's `db` and, in everything the body awaits or calls, the root `db` run on that connection, through any ORM on
 *   the same pool. So do transactions, one after the other; while one is open, the root `db` in its call chain is in it.
 * - After `maxDurationMs` what runs is stopped and undone, the connection is destroyed, and every further use rejects with
 *   a SessionExpiredError.
 * - Idle for `idleTimeoutMs`, outside of a transaction and with nothing left on it, the connection is lent to others; the
 *   next statement takes one anew.
 * - A connection that is lost together with what was left on it ends the session; one that held nothing is replaced.
 * - Inside of another session it is a part of that; inside a transaction it is refused.
 *
 * @param body is also told the session's `signal`, and may `declare` what cannot be seen from a statement's text
 * @throws whatever the body throws; SessionExpiredError, SessionEndedError by `signal`, PropagationError,
 *   InvalidOptionsError
 * @example
 * await withSession(db, async (db) => {
 *   await db.execute(sql`create temporary table incoming (like orders)`)
 *   for await (const rows of batches) await db.insert(incoming).values(rows)
 *   await db.transaction(async (tx) => tx.execute(sql`insert into orders select * from incoming`))
 * }, { name: 'nightly import', maxDurationMs: 4 * 3_600_000 })
 */
export async function withSession<Host extends TransactionHost, T>(
  db: Host,
  body: (db: SessionOf<Host>, context: SessionContext) => Promise<T> | T,
  options: SessionOptions = {},
): Promise<T> {
  return stayOn(
    db,
    (on, context) => {
      if (isSessionOf<Host>(on)) return body(on, context)
      throw new TypeError('This release of Drizzle makes handles without a session')
    },
    options,
  )
}

/** It was made the way the host's own transactions are made, with a client of the session's. */
export function isSessionOf<Host extends TransactionHost>(db: object): db is SessionOf<Host> {
  return '_' in db && 'transaction' in db
}
