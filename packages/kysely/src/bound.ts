// A Kysely instance whose connections are all had from one place: a session, say. It is like the one it was made from,
// with its plugins, its schema and its log, and what is made from it is bound, too.

import type { Source } from '@moorings/core'
import type { PostgresConnection } from '@moorings/postgres'
import type { Kysely, KyselyPlugin, QueryExecutor } from 'kysely'
import { leased } from './driver.js'

/** It makes the instance another one, with an executor of its own. */
const nothing: KyselyPlugin = {
  transformQuery: ({ node }) => node,
  transformResult: async ({ result }) => result,
}

/**
 * Runs the body with it.
 *
 * Kysely makes an instance on certain connections in one place only, `db.connection()`. There all that it does waits for
 * each other, a statement for the transaction that it is meant to be a part of as well: so what is given to it is not one
 * connection, but each time another one.
 */
export function boundTo<DB, T>(
  source: Source<PostgresConnection>,
  db: Kysely<DB>,
  body: (bound: Kysely<DB>) => Promise<T>,
): Promise<T> {
  const stock = db.getExecutor()
  const provideConnection: QueryExecutor['provideConnection'] = (consumer, options) =>
    stock.provideConnection((connection) => {
      leased(connection).stayOn(source)
      return consumer(connection)
    }, options)
  const own = db.withPlugin(nothing)
  const executor = own.getExecutor()
  const { withConnectionProvider } = executor
  executor.withConnectionProvider = () => withConnectionProvider.call(executor, { provideConnection })
  return own.connection().execute(body)
}
