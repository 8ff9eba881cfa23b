// What an application has without Moorings: each ORM on its stock drivers, set up as their documentations do it, with every
// limit that they have; and slonik, which brings retries of its own.

import { setTimeout as pause } from 'node:timers/promises'
import { drizzle as drizzleNodePostgres } from 'drizzle-orm/node-postgres'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/postgres-js'
import { type Dialect, Kysely, PostgresDialect } from 'kysely'
import { PostgresJSDialect } from 'kysely-postgres-js'
import pg from 'pg'
import postgres from 'postgres'
import { createPool, sql } from 'slonik'
import { moveWithDrizzle, moveWithKysely, type Tables } from '../faults/moves.js'
import { appendWithDrizzle, appendWithKysely } from './append.js'
import { type Client, type Place, type System, thinkMs, urlOf, urlOfFirst } from './system.js'

/** Knows several hosts, and has no limit for a statement but the server's. */
function openPostgresJs(place: Place): postgres.Sql {
  const { hosts, connections, limitMs } = place
  return postgres(urlOf(place), {
    ...(hosts.length > 1 && { target_session_attrs: 'read-write' as const }),
    max: connections,
    connect_timeout: limitMs / 1_000,
    connection: { statement_timeout: limitMs },
    onnotice: () => {},
  })
}

/** Knows one host. */
function openPg(place: Place): pg.Pool {
  const { connections, limitMs } = place
  const pool = new pg.Pool({
    connectionString: urlOfFirst(place),
    max: connections,
    connectionTimeoutMillis: limitMs,
    query_timeout: limitMs,
    statement_timeout: limitMs,
    idle_in_transaction_session_timeout: limitMs,
    keepAlive: true,
  })
  // Its documentation insists on this one.
  pool.on('error', () => {})
  return pool
}

function withDrizzle(db: PgDatabase<PgQueryResultHKT>): Client {
  return {
    append: (id) => appendWithDrizzle(db, id),
    transfer: (transfer) =>
      db.transaction(async (tx) => {
        await moveWithDrizzle(tx, transfer)
        await pause(thinkMs)
      }),
  }
}

function withKysely(dialect: Dialect): Client {
  const db = new Kysely<Tables>({ dialect })
  return {
    append: (id) => appendWithKysely(db, id),
    transfer: (transfer) =>
      db.transaction().execute(async (tx) => {
        await moveWithKysely(tx, transfer)
        await pause(thinkMs)
      }),
  }
}

const drizzlePostgresJs: System = {
  name: 'drizzle + postgres.js',
  open(place) {
    const sql = openPostgresJs(place)
    return { ...withDrizzle(drizzle(sql)), close: () => sql.end({ timeout: 1 }) }
  },
}

const drizzlePg: System = {
  name: 'drizzle + pg',
  open: (place) => withDrizzle(drizzleNodePostgres(openPg(place))),
}

const kyselyPg: System = {
  name: 'kysely + pg',
  open: (place) => withKysely(new PostgresDialect({ pool: openPg(place) })),
}

const kyselyPostgresJs: System = {
  name: 'kysely + postgres.js',
  open: (place) => withKysely(new PostgresJSDialect({ postgres: openPostgresJs(place) })),
}

const slonik: System = {
  name: 'slonik',
  async open(place) {
    const { connections, limitMs } = place
    const pool = await createPool(urlOfFirst(place), {
      maximumPoolSize: connections,
      connectionTimeout: limitMs,
      statementTimeout: limitMs,
      idleInTransactionSessionTimeout: limitMs,
    })
    return {
      append: (id) => pool.query(sql.unsafe`insert into log (id) values (${id})`),
      transfer: ({ id, debited, credited, amount }) =>
        pool.transaction(async (tx) => {
          await tx.query(sql.unsafe`insert into journal values (${id}, ${debited}, ${credited}, ${amount})`)
          for (const account of [debited, credited].sort((a, b) => a - b)) {
            const change = account === debited ? -amount : amount
            await tx.query(sql.unsafe`update accounts set balance = balance + ${change} where id = ${account}`)
          }
          await pause(thinkMs)
        }),
    }
  },
}

export const stock: readonly System[] = [drizzlePostgresJs, drizzlePg, kyselyPg, kyselyPostgresJs, slonik]
