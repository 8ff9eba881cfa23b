// Moorings, whose transactions are retried without anybody's loop.

import { type RetryOptions, withTransaction } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { withTransaction as kyselyTransaction, ResilientPostgresDialect } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import { type Schema, withDrizzle, withKysely } from './statements.js'
import type { BankSettings, Subject } from './subject.js'

/** Of the pool: how its transactions are run again. Undefined: as Moorings does by itself. */
export type Retry = RetryOptions | false | undefined

function openPool(url: string, { connections }: BankSettings, retry: Retry): PostgresPool {
  return createPool(url, {
    // A worker that never got a connection of its own would be in nobody's way.
    resilience: { pool: { max: connections, overflow: 0 }, transaction: { retry } },
  })
}

/** Through Drizzle's own call, as it is in the stock ORM. */
export function oursDrizzle(name = 'defaults', retry?: Retry): Subject {
  return {
    orm: 'drizzle',
    name: `moorings, ${name}`,
    open(url, settings) {
      const { isolation } = settings
      const db = drizzle({ client: openPool(url, settings, retry) })
      return {
        transfer: (transfer, attempted) =>
          db.transaction(
            async (tx, { attempt }) => {
              agree(attempted(), attempt)
              await withDrizzle(tx, transfer, isolation)
            },
            { isolationLevel: isolation },
          ),
        close: () => db.$client.end(),
      }
    },
  }
}

export function oursDrizzleFunction(name = 'withTransaction', retry?: Retry): Subject {
  return {
    orm: 'drizzle',
    name: `moorings, ${name}`,
    open(url, settings) {
      const { isolation } = settings
      const db = drizzle({ client: openPool(url, settings, retry) })
      return {
        transfer: (transfer, attempted) =>
          withTransaction(
            db,
            async (tx, { attempt }) => {
              agree(attempted(), attempt)
              await withDrizzle(tx, transfer, isolation)
            },
            { isolationLevel: isolation },
          ),
        close: () => db.$client.end(),
      }
    },
  }
}

/** Kysely's own `db.transaction()` is not retried: its callback is Kysely's to call. */
export function oursKysely(name = 'defaults', retry?: Retry): Subject {
  return {
    orm: 'kysely',
    name: `moorings, ${name}`,
    open(url, settings) {
      const { isolation } = settings
      const pool = openPool(url, settings, retry)
      const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
      return {
        transfer: (transfer, attempted) =>
          kyselyTransaction(
            db,
            async (trx, { attempt }) => {
              agree(attempted(), attempt)
              await withKysely(trx, transfer, isolation)
            },
            { isolationLevel: isolation },
          ),
        async close() {
          await db.destroy()
          await pool.close()
        },
      }
    },
  }
}

/** The body is told the truth about itself. */
function agree(counted: number, attempt: number): void {
  if (counted !== attempt) throw new Error(`attempt ${counted} was called attempt ${attempt}`)
}
