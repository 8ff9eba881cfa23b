// Both ORMs on Moorings.

import { setTimeout as pause } from 'node:timers/promises'
import { ConnectionLostError, isMooringsError } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect, withTransaction } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import { moveWithDrizzle, moveWithKysely, type Tables } from '../faults/moves.js'
import { appendWithDrizzle, appendWithKysely } from './append.js'
import { type Kind, type Place, type Reading, type System, thinkMs, urlOf } from './system.js'

export function openPool(place: Place): PostgresPool {
  const { connections, limitMs } = place
  const url = urlOf(place)
  return createPool(place.hosts.length > 1 ? `${url}?target_session_attrs=read-write` : url, {
    resilience: {
      pool: { max: connections, overflow: 0, acquireTimeoutMs: limitMs, connectTimeoutMs: limitMs },
      statement: { timeoutMs: limitMs },
      transaction: { timeoutMs: limitMs, outcomeTimeoutMs: limitMs },
    },
  })
}

/** As docs/errors.md has it: a write outside of a transaction is repeated only if it surely was not carried out. */
function reads(error: unknown, kind: Kind): Reading {
  if (!isMooringsError(error)) return 'repeat'
  if (error instanceof ConnectionLostError && kind === 'append') return error.sent === false ? 'repeat' : 'unknown'
  return error.retry === 'transaction' || error.retry === 'reconnect' ? 'repeat' : 'unknown'
}

export const oursDrizzle: System = {
  name: 'drizzle + moorings',
  open(place) {
    const db = drizzle({ client: openPool(place) })
    return {
      append: (id) => appendWithDrizzle(db, id),
      transfer: (transfer) =>
        db.transaction(async (tx) => {
          await moveWithDrizzle(tx, transfer)
          await pause(thinkMs)
        }),
    }
  },
  reads,
}

export const oursKysely: System = {
  name: 'kysely + moorings',
  open(place) {
    const db = new Kysely<Tables>({ dialect: new ResilientPostgresDialect({ client: openPool(place) }) })
    return {
      append: (id) => appendWithKysely(db, id),
      transfer: (transfer) =>
        withTransaction(db, async (tx) => {
          await moveWithKysely(tx, transfer)
          await pause(thinkMs)
        }),
    }
  },
  reads,
}
