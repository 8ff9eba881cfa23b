// The log option: which events an application sees, in which order.

import { type Kysely, type LogConfig, type LogEvent, sql } from 'kysely'
import { about, caught, collect } from '../operation.js'
import type { Database } from '../schema/database.js'

function observed(event: LogEvent): unknown {
  return {
    level: event.level,
    sql: event.query.sql,
    parameters: event.query.parameters,
    kind: event.query.query.kind,
    took: event.queryDurationMillis >= 0,
    ...(event.level === 'query' && { isStream: event.isStream }),
    ...(event.level === 'error' && { error: event.error }),
  }
}

/** What is logged while `use` runs. */
async function logged(open: (options: { log: LogConfig }) => Kysely<Database>, use: (db: Kysely<Database>) => unknown) {
  const events: unknown[] = []
  const db = open({ log: (event) => void events.push(observed(event)) })
  await use(db)
  return events
}

export const logOperations = about('log', [
  {
    name: 'a query that succeeds and one that fails',
    run: ({ open }) =>
      logged(open, async (db) => {
        await db.selectFrom('link').select('id').where('id', '=', 1).execute()
        await caught(db.insertInto('link').values({ id: 1, parent: null }).execute())
      }),
  },
  {
    name: 'a transaction, committed',
    run: ({ open }) =>
      logged(open, (db) =>
        db
          .transaction()
          .setIsolationLevel('serializable')
          .setAccessMode('read write')
          .execute((trx) => trx.selectFrom('link').select('id').execute()),
      ),
  },
  {
    name: 'a transaction, undone',
    run: ({ open }) => logged(open, (db) => caught(db.transaction().execute((trx) => sql`select 1 / 0`.execute(trx)))),
  },
  {
    name: 'a transaction whose COMMIT fails',
    run: ({ open }) =>
      logged(open, (db) =>
        caught(db.transaction().execute((trx) => trx.insertInto('link').values({ id: 10, parent: 99 }).execute())),
      ),
  },
  {
    name: 'a controlled transaction with savepoints',
    run: ({ open }) =>
      logged(open, async (db) => {
        const trx = await db.startTransaction().execute()
        const saved = await trx.savepoint('one').execute()
        await saved.rollbackToSavepoint('one').execute()
        await saved.releaseSavepoint('one').execute()
        await trx.rollback().execute()
      }),
  },
  {
    name: 'a stream that ends, one broken off and one that fails',
    run: ({ open }) =>
      logged(open, async (db) => {
        await collect(db.selectFrom('link').select('id').stream(1))
        for await (const _ of db.selectFrom('link').select('id').stream(1)) break
        await caught(collect(db.selectFrom('link').select(sql<number>`1 / 0`.as('x')).stream(1)))
      }),
  },
  {
    name: 'queries on a connection, each once however long it is used',
    run: ({ open }) =>
      logged(open, async (db) => {
        for (const n of [1, 2]) await sql`select ${n}::int`.execute(db)
        await db.connection().execute(async (one) => {
          for (const n of [3, 4]) await sql`select ${n}::int`.execute(one)
        })
      }),
  },
])
