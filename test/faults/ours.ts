// Moorings, as it comes, with the limits that a test needs: and, for comparison, told not to ask what became of a COMMIT.

import { CommitOutcomeUnknownError, isMooringsError, type ResilienceOptions } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect, withTransaction } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import type { Told, Transfer } from './history.js'
import { moveWithDrizzle, moveWithKysely, type Tables } from './moves.js'
import { type Bank, naively, type Subject } from './subject.js'

type TransactionDefaults = NonNullable<ResilienceOptions['transaction']>

/** `rejected` is what an error of ours promises that does not say otherwise. */
function reads(error: unknown): Extract<Told, 'rejected' | 'unknown' | 'strange'> {
  if (error instanceof CommitOutcomeUnknownError) return 'unknown'
  return isMooringsError(error) ? 'rejected' : 'strange'
}

/** Small pauses, so that many transfers fit into a test; and several times what it takes to find out about one. */
const asItComes: TransactionDefaults = { retry: { initialDelayMs: 10, maxDelayMs: 500 }, outcomeTimeoutMs: 10_000 }

function openPool(url: string, connections: number, transaction = asItComes): PostgresPool {
  return createPool(url, {
    resilience: {
      pool: {
        ...{ min: 0, max: connections, overflow: 0, acquireTimeoutMs: 30_000, connectTimeoutMs: 5_000 },
        // What came back from a black hole is not lent without a sign of life.
        ...{ validateAfterIdleMs: 50, validationTimeoutMs: 1_000 },
      },
      // The end of a wait in a black hole.
      statement: { timeoutMs: 1_000 },
      transaction,
    },
  })
}

export const oursDrizzle: Subject = {
  name: 'drizzle + moorings',
  open(url, connections) {
    const db = drizzle({ client: openPool(url, connections) })
    return {
      transfer: (transfer) => db.transaction((tx) => moveWithDrizzle(tx, transfer)),
      close: () => db.$client.end(),
    }
  },
  reads,
}

export const oursKysely: Subject = {
  name: 'kysely + moorings',
  open: (url, connections) =>
    openKysely(url, connections, (db, transfer) => withTransaction(db, (tx) => moveWithKysely(tx, transfer))),
  reads,
}

/** Kysely's own `transaction()`: not run again, but nobody is told a falsehood. */
export const oursKyselyOwn: Subject = {
  name: "kysely + moorings, kysely's own transaction()",
  open: (url, connections) =>
    openKysely(url, connections, (db, transfer) => db.transaction().execute((tx) => moveWithKysely(tx, transfer))),
  reads,
}

function openKysely(
  url: string,
  connections: number,
  transfer: (db: Kysely<Tables>, transfer: Transfer) => Promise<void>,
): Bank {
  const pool = openPool(url, connections)
  const db = new Kysely<Tables>({ dialect: new ResilientPostgresDialect({ client: pool }) })
  return {
    transfer: (one) => transfer(db, one),
    async close() {
      await db.destroy()
      await pool.close()
    },
  }
}

export const oursUnasked: Subject = {
  name: 'drizzle + moorings, exactlyOnce: false, naive retry',
  open(url, connections) {
    const db = drizzle({ client: openPool(url, connections, { exactlyOnce: false, retry: false }) })
    return {
      transfer: (transfer) => naively(() => db.transaction((tx) => moveWithDrizzle(tx, transfer))),
      close: () => db.$client.end(),
    }
  },
  reads,
}
