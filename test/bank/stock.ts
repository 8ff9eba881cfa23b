// The stock drivers in a loop written by hand, and without one.

import { drizzle } from 'drizzle-orm/postgres-js'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import postgres from 'postgres'
import { type Loop, retrying } from './retry-loop.js'
import { type Schema, withDrizzle, withKysely } from './statements.js'
import type { Subject } from './subject.js'

export function stockDrizzle(name: string, loop: Loop): Subject {
  return {
    orm: 'drizzle',
    name: `postgres.js, ${name}`,
    open(url, { isolation, connections, signal }) {
      const client = postgres(url, { max: connections, onnotice: () => {} })
      const db = drizzle(client)
      return {
        transfer: (transfer, attempted) => {
          const run = () =>
            db.transaction(
              async (tx) => {
                attempted()
                await withDrizzle(tx, transfer, isolation)
              },
              { isolationLevel: isolation },
            )
          return retrying(loop, run, signal)
        },
        close: () => client.end({ timeout: 5 }),
      }
    },
  }
}

export function stockKysely(name: string, loop: Loop): Subject {
  return {
    orm: 'kysely',
    name: `pg, ${name}`,
    open(url, { isolation, connections, signal }) {
      const pool = new pg.Pool({ connectionString: url, max: connections })
      const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
      return {
        transfer: (transfer, attempted) => {
          const run = () =>
            db
              .transaction()
              .setIsolationLevel(isolation)
              .execute(async (trx) => {
                attempted()
                await withKysely(trx, transfer, isolation)
              })
          return retrying(loop, run, signal)
        },
        close: () => db.destroy(),
      }
    },
  }
}
