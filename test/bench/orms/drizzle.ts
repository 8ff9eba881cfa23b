// Drizzle on Moorings, on the stock drivers, and on nothing.

import { and, between, eq, sql } from 'drizzle-orm'
import { boolean, integer, type PgDatabase, type PgQueryResultHKT, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import type { Sql } from 'postgres'
import { poolOf } from './ours.js'
import { type Family, type Operations, sharedByAll } from './subject.js'
import { memo, rowsAtOnce } from './tables.js'

const accounts = pgTable('accounts', {
  id: integer().primaryKey(),
  owner: text().notNull(),
  balance: integer().notNull(),
  active: boolean().notNull(),
  opened: timestamp({ withTimezone: true }).notNull(),
})

const entries = pgTable('entries', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  account: integer().notNull(),
  amount: integer().notNull(),
  memo: text().notNull(),
  at: timestamp({ withTimezone: true }).notNull().defaultNow(),
})

export const family: Family = {
  name: 'drizzle',
  subjects: [
    {
      name: 'drizzle + postgres.js',
      async open({ url, connections, texts }) {
        const { drizzle } = await import('drizzle-orm/postgres-js')
        const { default: postgres } = await import('postgres')
        const client = postgres(url, { max: connections })
        return sharedByAll(operations(drizzle(client), texts), () => client.end())
      },
    },
    {
      name: 'drizzle + moorings',
      async open({ url, connections, texts }) {
        const { drizzle } = await import('@moorings/drizzle/postgres-js')
        const db = drizzle({ connection: url, resilience: poolOf(connections) })
        return sharedByAll(operations(db, texts), () => db.$client.end())
      },
    },
    {
      name: 'drizzle + pg',
      async open({ url, connections, texts }) {
        const { drizzle } = await import('drizzle-orm/node-postgres')
        const { default: pg } = await import('pg')
        const pool = new pg.Pool({ connectionString: url, max: connections })
        return sharedByAll(operations(drizzle(pool), texts), () => pool.end())
      },
    },
    {
      // As Drizzle's documentation advises for speed.
      name: 'drizzle + postgres.js, .prepare()',
      async open({ url, connections }) {
        const { drizzle } = await import('drizzle-orm/postgres-js')
        const { default: postgres } = await import('postgres')
        const client = postgres(url, { max: connections })
        return sharedByAll(preparedOperations(drizzle(client)), () => client.end())
      },
    },
    {
      name: 'drizzle + nothing',
      floor: true,
      async open() {
        const { drizzle } = await import('drizzle-orm/postgres-js')
        return sharedByAll(operations(drizzle(await nothing())), async () => {})
      },
    },
  ],
}

function operations(db: PgDatabase<PgQueryResultHKT>, texts = 1): Operations {
  return {
    select:
      texts === 1
        ? (id) => db.select().from(accounts).where(eq(accounts.id, id))
        : (id) =>
            db
              .select()
              .from(accounts)
              .where(and(eq(accounts.id, id), sql.raw(`${id % texts} >= 0`))),
    insert: (account) => db.insert(entries).values({ account, amount: 1, memo }),
    transaction: (id) =>
      db.transaction(async (tx) => {
        const [account] = await tx.select().from(accounts).where(eq(accounts.id, id))
        if (account === undefined) throw new Error(`There is no account ${id}`)
        await tx
          .update(accounts)
          .set({ balance: account.balance + 1 })
          .where(eq(accounts.id, id))
        await tx.insert(entries).values({ account: id, amount: 1, memo })
      }),
    rows: (first) =>
      db
        .select()
        .from(accounts)
        .where(between(accounts.id, first, first + rowsAtOnce - 1)),
  }
}

/** In a transaction a statement is built each time, too: it is prepared of its `tx`. */
function preparedOperations(db: PgDatabase<PgQueryResultHKT>): Operations {
  const select = db
    .select()
    .from(accounts)
    .where(eq(accounts.id, sql.placeholder('id')))
    .prepare('select')
  const insert = db
    .insert(entries)
    .values({ account: sql.placeholder('account'), amount: 1, memo })
    .prepare('insert')
  const rows = db
    .select()
    .from(accounts)
    .where(between(accounts.id, sql.placeholder('first'), sql.placeholder('last')))
    .prepare('rows')
  return {
    select: (id) => select.execute({ id }),
    insert: (account) => insert.execute({ account }),
    transaction: (id) =>
      db.transaction(async (tx) => {
        const [account] = await tx.select().from(accounts).where(eq(accounts.id, id)).prepare('select').execute()
        if (account === undefined) throw new Error(`There is no account ${id}`)
        await tx
          .update(accounts)
          .set({ balance: account.balance + 1 })
          .where(eq(accounts.id, id))
          .prepare('update')
          .execute()
        await tx.insert(entries).values({ account: id, amount: 1, memo }).prepare('insert').execute()
      }),
    rows: (first) => rows.execute({ first, last: first + rowsAtOnce - 1 }),
  }
}

/** A client of postgres.js that never connects: every answer is there already. */
async function nothing(): Promise<Sql> {
  const { default: postgres } = await import('postgres')
  const row = (id: number) => [id, `Owner of account ${id}`, 1_000, true, '2024-01-01 00:00:00+00']
  const one = [row(1)]
  const many = Array.from({ length: rowsAtOnce }, (_, n) => row(n + 1))
  const client = Object.assign(postgres(), {
    unsafe(text: string, parameters: readonly unknown[]) {
      const rows = !text.startsWith('select') ? [] : parameters.length === 1 ? one : many
      return Object.assign(Promise.resolve(rows), { values: () => Promise.resolve(rows) })
    },
    begin: async (body: (sql: unknown) => unknown) => body(client),
  })
  return client
}
