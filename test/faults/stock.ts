// What an application has without Moorings: the ORM on its stock driver, as their documentations set them up, and a retry
// loop written by hand.

import { drizzle } from 'drizzle-orm/postgres-js'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import postgres from 'postgres'
import { moveWithDrizzle, moveWithKysely, type Tables } from './moves.js'
import { naively, type Subject } from './subject.js'

/** Nothing in an error of theirs tells one from the other: it failed, so it was not done. */
const reads = () => 'rejected' as const

export const stockDrizzle: Subject = {
  name: 'drizzle + postgres.js, naive retry',
  open(url, connections) {
    const client = postgres(url, { max: connections, onnotice: () => {} })
    const db = drizzle(client)
    return {
      transfer: (transfer) => naively(() => db.transaction((tx) => moveWithDrizzle(tx, transfer))),
      close: () => client.end({ timeout: 1 }),
    }
  },
  reads,
}

export const stockKysely: Subject = {
  name: 'kysely + pg, naive retry',
  open(url, connections) {
    const pool = new pg.Pool({ connectionString: url, max: connections })
    // Without listeners a connection that breaks ends the process, idle or not.
    pool.on('error', () => {})
    pool.on('connect', (client) => void client.on('error', () => {}))
    const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
    return {
      transfer: (transfer) => naively(() => db.transaction().execute((trx) => moveWithKysely(trx, transfer))),
      close: () => db.destroy(),
    }
  },
  reads,
}
