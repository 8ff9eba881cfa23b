// db.connection(): several statements on one connection, without a transaction; and destroy().

import { type Kysely, sql } from 'kysely'
import { until } from '../../../support/until.js'
import { about, caught } from '../operation.js'
import type { Database } from '../schema/database.js'

async function rowsOf(query: { execute(db: Kysely<Database>): Promise<{ rows: unknown[] }> }, db: Kysely<Database>) {
  return (await query.execute(db)).rows
}

export const connectionOperations = about('connection', [
  {
    name: 'gives what its function returns',
    run: ({ db }) => db.connection().execute(async (one) => one.selectFrom('link').selectAll().orderBy('id').execute()),
  },
  {
    name: 'a setting is there for the next statement',
    run: ({ db }) =>
      db.connection().execute(async (one) => {
        await sql`set search_path = archive`.execute(one)
        const rows = await rowsOf(sql`select * from person`, one)
        await sql`reset search_path`.execute(one)
        return rows
      }),
  },
  {
    name: 'a temporary table is there until it is dropped',
    run: ({ db }) =>
      db.connection().execute(async (one) => {
        await sql`create temp table scrap (n int)`.execute(one)
        await sql`insert into scrap values (1), (${2})`.execute(one)
        const rows = await rowsOf(sql`select n from scrap order by n`, one)
        await sql`drop table scrap`.execute(one)
        return rows
      }),
  },
  {
    name: 'an advisory lock is held and given back by the same backend',
    run: ({ db }) =>
      db
        .connection()
        .execute(async (one) => [
          await rowsOf(sql`select pg_try_advisory_lock(42) as locked`, one),
          await rowsOf(sql`select pg_try_advisory_lock(42) as elsewhere`, db),
          await rowsOf(sql`select pg_advisory_unlock(42) as unlocked`, one),
        ]),
  },
  {
    name: 'two transactions one after the other, one of them undone',
    run: async ({ db }) => {
      const pids = new Set<unknown>()
      const pid = async (on: Kysely<Database>) => {
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(on)
        pids.add(rows[0]?.pid)
      }
      const undone = await db.connection().execute(async (one) => {
        await pid(one)
        await one.transaction().execute(async (trx) => {
          await pid(trx)
          await trx.insertInto('link').values({ id: 10, parent: null }).execute()
        })
        const error = await caught(
          one.transaction().execute(async (trx) => {
            await pid(trx)
            await trx.insertInto('link').values({ id: 11, parent: null }).execute()
            throw new Error('undone')
          }),
        )
        await pid(one)
        return error
      })
      return [undone, pids.size, await db.selectFrom('link').select('id').orderBy('id').execute()]
    },
  },
  {
    name: 'a controlled transaction on it',
    run: ({ db }) =>
      db.connection().execute(async (one) => {
        const trx = await one.startTransaction().execute()
        await trx.insertInto('link').values({ id: 10, parent: null }).execute()
        await trx.rollback().execute()
        return one.selectFrom('link').select('id').orderBy('id').execute()
      }),
  },
  {
    name: 'a transaction made by hand on it, committed and undone',
    run: ({ db }) =>
      db
        .connection()
        .execute(async (one) => [
          await sql`begin`.execute(one),
          await sql`insert into link values (10, null)`.execute(one),
          await sql`commit`.execute(one),
          await sql`start transaction read only`.execute(one),
          await sql`rollback`.execute(one),
          await one.selectFrom('link').select('id').orderBy('id').execute(),
        ]),
  },
  {
    name: 'a thrown error arrives as it was thrown, and the connection serves others again',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      const error = await caught(
        db.connection().execute(async () => {
          throw new RangeError('mine')
        }),
      )
      return [error, await db.selectFrom('link').select('id').orderBy('id').execute()]
    },
  },
  {
    name: 'a failed statement does not spoil the next',
    run: ({ db }) =>
      db
        .connection()
        .execute(async (one) => [
          await caught(sql`select 1 / 0`.execute(one)),
          await caught(sql`select ${0}::int / 0`.execute(one)),
          await rowsOf(sql`select 1 as fine`, one),
        ]),
  },
  {
    name: 'a statement that fails after some rows leaves none of them to the next',
    run: ({ db }) =>
      db
        .connection()
        .execute(async (one) => [
          await caught(sql`select 1 / (10 - n) from generate_series(1, 20) n`.execute(one)),
          await rowsOf(sql`select 1 as fine`, one),
          await caught(sql`select 1 / (${10}::int - n) from generate_series(1, 20) n`.execute(one)),
          await rowsOf(sql`select ${1}::int as fine`, one),
        ]),
  },
  {
    name: 'a connection of a connection is the same one',
    run: ({ db }) =>
      db.connection().execute(async (one) => {
        const [outer] = await rowsOf(sql`select pg_backend_pid() as pid`, one)
        const [inner] = await one.connection().execute((same) => rowsOf(sql`select pg_backend_pid() as pid`, same))
        return JSON.stringify(outer) === JSON.stringify(inner)
      }),
  },
  {
    name: 'queries of one connection started at once come back in order',
    run: ({ db }) =>
      db.connection().execute(async (one) => {
        const order: number[] = []
        await Promise.all(
          [3, 2, 1].map(async (n) => {
            await sql`select pg_sleep(${n / 200})`.execute(one)
            order.push(n)
          }),
        )
        return order
      }),
  },
])

export const destroyOperations = about('destroy', [
  {
    name: 'before the first query, twice, and a query after it',
    run: async ({ open }) => {
      const db = open()
      await db.destroy()
      await db.destroy()
      return db.selectFrom('link').select('id').orderBy('id').execute()
    },
  },
  {
    name: 'after a query, twice, and a query after it',
    run: async ({ open }) => {
      const db = open()
      await db.selectFrom('link').select('id').execute()
      const answers = [await db.destroy(), await db.destroy()]
      return [answers, await caught(db.selectFrom('link').select('id').execute())]
    },
  },
  {
    name: 'while a query runs lets it finish',
    run: async ({ open }) => {
      const db = open()
      await sql`select 1`.execute(db)
      const running = rowsOf(sql`select pg_sleep(0.05)::text as slept`, db)
      const begun = sql`select 1 as one`.execute(db)
      await begun
      await db.destroy()
      return running
    },
  },
  {
    name: 'refuses transactions, connections and streams afterwards',
    run: async ({ open }) => {
      const db = open()
      await sql`select 1`.execute(db)
      await db.destroy()
      return [
        await caught(db.transaction().execute(async () => {})),
        await caught(db.startTransaction().execute()),
        await caught(db.connection().execute(async () => {})),
        await caught(db.selectFrom('link').selectAll().stream().next()),
      ]
    },
  },
  {
    name: 'by await using',
    run: async ({ open }) => {
      const db = open()
      {
        await using disposed = db
        await sql`select 1`.execute(disposed)
      }
      return caught(sql`select 1`.execute(db))
    },
  },
  {
    name: 'leaves no connection behind',
    run: async ({ open, admin }) => {
      const db = open({ max: 3 })
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db)
      await db.destroy()
      const gone = async () =>
        (await admin.query('select from pg_stat_activity where pid = $1', [rows[0]?.pid])).length === 0
      await until(gone, { what: 'the backend of a destroyed dialect to end' })
      return rows.length
    },
  },
])
