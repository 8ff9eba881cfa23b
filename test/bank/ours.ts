// Moorings, whose transactions are retried without anybody's loop.

import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import { type Schema, withDrizzle, withKysely } from './statements.js'
import type { BankSettings, Subject } from './subject.js'

function openPool(url: string, { connections }: BankSettings): PostgresPool {
  return createPool(url, { resilience: { pool: { max: connections, overflow: 0 } } })
}

export function oursDrizzle(name = 'defaults'): Subject {
  return {
    orm: 'drizzle',
    name: `moorings, ${name}`,
    open(url, settings) {
      const { isolation } = settings
      const db = drizzle({ client: openPool(url, settings) })
      return {
        transfer: (transfer, attempted) =>
          db.transaction(
            async (tx) => {
              attempted()
              await withDrizzle(tx, transfer, isolation)
            },
            { isolationLevel: isolation },
          ),
        close: () => db.$client.end(),
      }
    },
  }
}

export function oursKysely(name = 'defaults'): Subject {
  return {
    orm: 'kysely',
    name: `moorings, ${name}`,
    open(url, settings) {
      const { isolation } = settings
      const pool = openPool(url, settings)
      const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
      return {
        transfer: (transfer, attempted) =>
          db
            .transaction()
            .setIsolationLevel(isolation)
            .execute(async (trx) => {
              attempted()
              await withKysely(trx, transfer, isolation)
            }),
        async close() {
          await db.destroy()
          await pool.close()
        },
      }
    },
  }
}
