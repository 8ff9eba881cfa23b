// Ways to read a result of many rows: at once, and in chunks.

import { boolean, integer, type PgDatabase, type PgQueryResultHKT, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import { type Dialect, Kysely, PostgresDialect } from 'kysely'
import type { Sql } from 'postgres'
import { poolOf } from '../orms/ours.js'
import { chunk, columns } from './many.js'

export interface Reader {
  /** @param passed hears of each chunk, as long as its rows are there */
  read(rows: number, passed: () => void): Promise<number>
  close(): Promise<unknown>
}

export interface Way {
  readonly name: string
  open(url: string): Promise<Reader>
}

const connections = 2

export const ways: readonly Way[] = [
  { name: 'moorings', open: async (url) => atOnce(await ours(url)) },
  { name: 'postgres.js', open: async (url) => atOnce(await stock(url)) },
  {
    name: 'drizzle + moorings',

    async open(url) {
      const { drizzle } = await import('@moorings/drizzle/postgres-js')
      const db = drizzle({ connection: url, resilience: poolOf(connections) })
      return withDrizzle(db, () => db.$client.end())
    },
  },
  {
    name: 'drizzle + postgres.js',

    async open(url) {
      const { drizzle } = await import('drizzle-orm/postgres-js')
      const sql = await stock(url)
      return withDrizzle(drizzle(sql), () => sql.end())
    },
  },
  { name: 'kysely + moorings', open: async (url) => withKysely(await ourDialect(url), false) },
  { name: 'kysely + pg', open: async (url) => withKysely(await stockDialect(url), false) },
  { name: 'moorings, cursor()', open: async (url) => inChunks(await ours(url)) },
  { name: 'postgres.js, cursor()', open: async (url) => inChunks(await stock(url)) },
  { name: 'kysely + moorings, stream()', open: async (url) => withKysely(await ourDialect(url), true) },
  { name: 'kysely + pg, stream()', open: async (url) => withKysely(await stockDialect(url), true) },
]

async function ours(url: string): Promise<Sql> {
  const { createClient, createPool } = await import('@moorings/postgres')
  return createClient(createPool(url, { resilience: poolOf(connections) }))
}

async function stock(url: string): Promise<Sql> {
  const { default: postgres } = await import('postgres')
  return postgres(url, { max: connections })
}

async function ourDialect(url: string): Promise<Dialect> {
  const { ResilientPostgresDialect } = await import('@moorings/kysely')
  return new ResilientPostgresDialect({ connection: url, resilience: poolOf(connections) })
}

async function stockDialect(url: string): Promise<Dialect> {
  const { default: pg } = await import('pg')
  const { default: cursor } = await import('pg-cursor')
  return new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: connections }), cursor })
}

function atOnce(sql: Sql): Reader {
  return {
    async read(rows, passed) {
      const { length } = await sql`select ${sql.unsafe(columns)} from many limit ${rows}`
      passed()
      return length
    },
    close: () => sql.end(),
  }
}

function inChunks(sql: Sql): Reader {
  return {
    async read(rows, passed) {
      let read = 0
      for await (const { length } of sql`select ${sql.unsafe(columns)} from many limit ${rows}`.cursor(chunk)) {
        read += length
        passed()
      }
      return read
    },
    close: () => sql.end(),
  }
}

const many = pgTable('many', {
  id: integer().notNull(),
  owner: text().notNull(),
  balance: integer().notNull(),
  active: boolean().notNull(),
  opened: timestamp({ withTimezone: true }).notNull(),
})

function withDrizzle(db: PgDatabase<PgQueryResultHKT>, close: () => Promise<unknown>): Reader {
  return {
    async read(rows, passed) {
      const { length } = await db.select().from(many).limit(rows)
      passed()
      return length
    },
    close,
  }
}

interface Tables {
  many: { id: number; owner: string; balance: number; active: boolean; opened: Date }
}

function withKysely(dialect: Dialect, streams: boolean): Reader {
  const db = new Kysely<Tables>({ dialect })
  const select = db.selectFrom('many').select(['id', 'owner', 'balance', 'active', 'opened'])
  return {
    async read(rows, passed) {
      if (!streams) {
        const { length } = await select.limit(rows).execute()
        passed()
        return length
      }
      let read = 0
      for await (const _ of select.limit(rows).stream(chunk)) if (++read % chunk === 0) passed()
      return read
    },
    close: () => db.destroy(),
  }
}
