// Sessions as a function: a stretch of work on one connection.

import { PropagationError, type SessionContext, type SessionOptions } from '@moorings/core'
import type { Kysely } from 'kysely'
import { boundTo } from './bound.js'
import { handleOf } from './driver.js'

/**
 * Runs the body on one connection: what its statements leave there (settings, temporary tables, advisory locks) is there
 * for the next one, and undone at the end.
 *
 * - The body's `db` and, in everything the body awaits or calls, the root `db` run on that connection, through any ORM on
 *   the same pool. So do transactions, one after the other; while one is open, both are in it in its call chain.
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
 *   await sql`create temporary table incoming (like orders)`.execute(db)
 *   for await (const rows of batches) await db.insertInto('incoming').values(rows).execute()
 *   await db.transaction().execute((tx) => sql`insert into orders select * from incoming`.execute(tx))
 * }, { name: 'nightly import', maxDurationMs: 4 * 3_600_000 })
 */
export async function withSession<DB, T>(
  db: Kysely<DB>,
  body: (db: Kysely<DB>, context: SessionContext) => Promise<T> | T,
  options: SessionOptions = {},
): Promise<T> {
  const handle = await handleOf(db)
  if (db.isTransaction) {
    throw new PropagationError('A session was asked for on the handle of a transaction: begin it on the root database')
  }
  if (handle === (await handleOf(db))) {
    throw new PropagationError('A session was asked for on what db.connection() gives: begin it on the root database')
  }
  const { pool, source } = handle
  return pool.session(
    (session, context) => boundTo(session, db, async (bound) => body(bound, context)),
    options,
    source,
  )
}
