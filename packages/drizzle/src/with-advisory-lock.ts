// Advisory locks as a function: work that is done by one at a time.

import type { SessionContext } from '@moorings/core'
import { type AdvisoryLockKey, type AdvisoryLockOptions, advisoryLock, holdLock } from '@moorings/postgres'
import { clientOf } from './resilience.js'
import type { SessionOf } from './types.js'
import { withSession } from './with-session.js'
import type { TransactionHost } from './with-transaction.js'

/**
 * Runs the body while it holds an advisory lock of the server's: of all who ask for the same key, in every process on that
 * database, one at a time does; with `shared`, those who share it do.
 *
 * The lock is held on the connection of a session ({@link withSession}), on which the body's `db` is, too. It is free once
 * this has ended, and when the process or its connection ends. Several may be held by nesting; one that is taken again
 * inside of itself is held until the outermost ends. Not through a pooler that gives each transaction another session.
 *
 * @param key a number of 64 bits, or a name, of which a hash is taken that never changes
 * @param body also told the session's `signal`, which fires when the lock is lost
 * @param options `wait: false`: not waiting for it; `timeoutMs`: no longer than that; and those of the session
 * @throws LockTimeoutError naming the key when it was not had
 * @throws ConnectionLostError when it was lost before the body had ended; PropagationError inside a transaction, which
 *   would commit only after it was given back; and what `withSession` throws
 * @example
 * await withAdvisoryLock(db, 'nightly import', (db) => importAll(db), { wait: false })
 */
export async function withAdvisoryLock<Host extends TransactionHost, T>(
  db: Host,
  key: AdvisoryLockKey,
  body: (db: SessionOf<Host>, context: SessionContext) => Promise<T> | T,
  options?: AdvisoryLockOptions,
): Promise<T> {
  const lock = advisoryLock(key, options)
  return withSession(
    db,
    (on, context) => {
      const { pool, source } = clientOf(on)
      return holdLock(pool, source(), lock, () => body(on, context))
    },
    lock.session,
  )
}
