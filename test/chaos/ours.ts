// Both ORMs on Moorings, with what an application does: transfers in every kind of transaction, some of which it undoes
// itself, rows appended by single statements, and looks at the sum of all money.

import { setTimeout as pause } from 'node:timers/promises'
import {
  CommitOutcomeUnknownError,
  ConnectError,
  ConnectionLostError,
  isMooringsError,
  ReadOnlyEndpointError,
  StatementError,
} from '@moorings/core'
import { withTransaction as withDrizzle } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect, withTransaction as withKysely } from '@moorings/kysely'
import { sql } from 'drizzle-orm'
import { Kysely, sql as kyselySql } from 'kysely'
import type { Transfer } from '../faults/history.js'
import { moveWithDrizzle, moveWithKysely, type Tables } from '../faults/moves.js'
import { appendWithDrizzle, appendWithKysely } from '../faults-matrix/append.js'
import { openPool } from '../faults-matrix/ours.js'
import { type Kind, type Reading, type System, thinkMs } from '../faults-matrix/system.js'

/** The application's own error: what it has written so far is to be undone. */
class ChangedMind extends Error {
  override message = 'the application has changed its mind'
}

/** What is read cannot be. */
class WrongAnswer extends Error {}

/**
 * - `retried`: by `withTransaction`
 * - `own`: by the ORM's own call
 * - `nested`: in a nested one, beside another that is undone
 * - `undone`: by the application, at its end
 */
type Way = 'retried' | 'own' | 'nested' | 'undone'

const ways: readonly Way[] = ['retried', 'own', 'nested', 'undone']

/** Decided by the transfer's number, so that it is the same however often it is tried. */
function wayOf({ id }: Transfer): Way {
  const number = Number(id.slice(id.indexOf('-') + 1))
  return ways[(number >> 1) % ways.length] ?? 'retried'
}

/** Nobody's transfer: if its row is there, a roll-back was none. */
function undoneIn(transfer: Transfer): Transfer {
  return { ...transfer, id: `undone-in-${transfer.id}` }
}

async function undone(nested: () => Promise<void>): Promise<void> {
  try {
    await nested()
  } catch (error) {
    if (!(error instanceof ChangedMind)) throw error
  }
}

/** Money moves, and none comes or goes. */
function sumChecker(): (sum: unknown) => void {
  let first: unknown
  return (sum) => {
    first ??= sum
    if (sum !== first) throw new WrongAnswer(`the balances add up to ${String(sum)} instead of ${String(first)}`)
  }
}

/**
 * Strictly: an error of a transaction means that it was rolled back, unless it says that nobody knows. One of a single
 * statement means so only if it was not sent, or was refused.
 */
function reads(error: unknown, kind: Kind): Reading {
  if (error instanceof ChangedMind) return 'rejected'
  if (!isMooringsError(error)) return 'strange'
  if (kind === 'append') return readsOfStatement(error)
  if (error instanceof CommitOutcomeUnknownError) return 'unknown'
  return error.retry === 'transaction' || error.retry === 'reconnect' ? 'repeat' : 'rejected'
}

function readsOfStatement(error: Error): Reading {
  const mayBeSent = error instanceof ConnectionLostError || error instanceof StatementError
  if (mayBeSent) return error.sent === false ? 'repeat' : 'unknown'
  if (error instanceof ConnectError || error instanceof ReadOnlyEndpointError) return 'rejected'
  return isMooringsError(error) && error.kind === 'acquire' ? 'rejected' : 'unknown'
}

export const chaosDrizzle: System = {
  name: 'drizzle',
  open(place) {
    const db = drizzle({ client: openPool(place) })
    type Tx = Parameters<Parameters<typeof db.transaction>[0]>[0]
    const move = async (tx: Tx, transfer: Transfer) => {
      await moveWithDrizzle(tx, transfer)
      await pause(thinkMs)
    }
    const transferBy: Record<Way, (transfer: Transfer) => Promise<void>> = {
      retried: (transfer) => withDrizzle(db, (tx) => move(tx, transfer)),
      own: (transfer) => db.transaction((tx) => move(tx, transfer)),
      nested: (transfer) =>
        withDrizzle(db, async (tx) => {
          await undone(() =>
            tx.transaction(async (nested) => {
              await moveWithDrizzle(nested, undoneIn(transfer))
              throw new ChangedMind()
            }),
          )
          await withDrizzle(db, (nested) => move(nested, transfer))
        }),
      undone: (transfer) =>
        withDrizzle(db, async (tx) => {
          await move(tx, transfer)
          throw new ChangedMind()
        }),
    }
    const check = sumChecker()
    return {
      append: (id) => appendWithDrizzle(db, id),
      transfer: (transfer) => transferBy[wayOf(transfer)](transfer),
      read: async () => check((await db.execute(sql`select sum(balance) as sum from accounts`))[0]?.sum),
      close: () => db.$client.end(),
    }
  },
  reads,
}

export const chaosKysely: System = {
  name: 'kysely',
  open(place) {
    const pool = openPool(place)
    const db = new Kysely<Tables>({ dialect: new ResilientPostgresDialect({ client: pool }) })
    const move = async (tx: Kysely<Tables>, transfer: Transfer) => {
      await moveWithKysely(tx, transfer)
      await pause(thinkMs)
    }
    const transferBy: Record<Way, (transfer: Transfer) => Promise<void>> = {
      retried: (transfer) => withKysely(db, (tx) => move(tx, transfer)),
      own: (transfer) => db.transaction().execute((tx) => move(tx, transfer)),
      nested: (transfer) =>
        withKysely(db, async (tx) => {
          await undone(() =>
            withKysely(tx, async (nested) => {
              await moveWithKysely(nested, undoneIn(transfer))
              throw new ChangedMind()
            }),
          )
          await withKysely(db, (nested) => move(nested, transfer))
        }),
      undone: (transfer) =>
        withKysely(db, async (tx) => {
          await move(tx, transfer)
          throw new ChangedMind()
        }),
    }
    const check = sumChecker()
    const sum = kyselySql<{ sum: string }>`select sum(balance) as sum from accounts`
    return {
      append: (id) => appendWithKysely(db, id),
      transfer: (transfer) => transferBy[wayOf(transfer)](transfer),
      read: async () => check((await sum.execute(db)).rows[0]?.sum),
      async close() {
        await db.destroy()
        await pool.close()
      },
    }
  },
  reads,
}
