// The stock drivers, told the deadline as their documentation has it.

import { sql } from 'drizzle-orm'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import { drizzle } from 'drizzle-orm/postgres-js'
import { Kysely, sql as kyselySql, PostgresDialect } from 'kysely'
import pg from 'pg'
import postgres from 'postgres'
import type { Settings, Subject } from './subject.js'

export const stockPostgresJs: Subject = {
  name: 'Drizzle on postgres.js',
  // It has no limit to a wait, and Drizzle no way to hand it one.
  told: undefined,
  open({ url, connections, workMs }) {
    const client = postgres(url, { max: connections, onnotice: () => {} })
    const db = drizzle(client)
    return {
      request: () => db.execute(sql`select pg_sleep(${workMs / 1_000})`),
      close: () => client.end({ timeout: 0 }),
    }
  },
}

export const stockPg: Subject = {
  name: 'Drizzle on pg',
  told: 'connectionTimeoutMillis',
  open(settings) {
    const pool = openPool(settings)
    const db = drizzlePg(pool)
    return { request: () => db.execute(sql`select pg_sleep(${settings.workMs / 1_000})`), close: () => pool.end() }
  },
}

export const stockKysely: Subject = {
  name: 'Kysely on pg',
  told: 'connectionTimeoutMillis',
  open(settings) {
    const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: openPool(settings) }) })
    const query = kyselySql`select pg_sleep(${settings.workMs / 1_000})`
    return { request: () => query.execute(db), close: () => db.destroy() }
  },
}

function openPool({ url, connections, deadlineMs }: Settings): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: connections, connectionTimeoutMillis: deadlineMs })
  pool.on('error', () => {})
  return pool
}
