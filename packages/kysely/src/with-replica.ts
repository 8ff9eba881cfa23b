// Reading from replicas, where it is asked for.

import { InvalidOptionsError } from '@moorings/core'
import type { Kysely } from 'kysely'
import { poolOf } from './driver.js'
import { readsFromReplicas } from './replica-reads.js'
import type { TransactionHost } from './with-transaction.js'

/**
 * The same database, but what is built with `selectFrom` (or `selectNoFrom`) is read from one of the pool's replicas:
 * whichever is up, lags no more than `maxLagMs` and has least to do; from the primary when none will do. All else goes to
 * the primary: writes, whatever is written as `sql`, `.forUpdate()` and its like, a `with` that writes, and functions of the
 * server's that leave something behind. Inside a transaction or a session everything stays there.
 *
 * @throws InvalidOptionsError when it is no database of ours, or its pool has no replicas
 * @example
 * const db = new Kysely<DB>({ dialect: new ResilientPostgresDialect({ connection, replicas: [replicaUrl] }) })
 * const reading = withReplica(db)
 * const orders = await reading.selectFrom('orders').selectAll().where('customer', '=', id).execute()
 */
export function withReplica<DB>(db: TransactionHost<DB>): Kysely<DB> {
  if (poolOf(db).replicas === undefined) {
    const allowed = 'a database whose dialect was given `replicas`, or a pool with some as `client`'
    throw new InvalidOptionsError([{ path: 'db', given: 'a database without replicas', allowed }])
  }
  return db.withPlugin(readsFromReplicas)
}
