// One transfer as an application writes it, in each ORM; the same on the stock drivers and on Moorings.
//
// Both balances are read, then both are written as computed from what was read: an update that gets lost shows in the
// sum. In read committed the reads take the locks, so that there are deadlocks; serializable has to do without.

import { eq } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import type { Transaction } from 'kysely'
import { type Change, changesOf, type Isolation, type Transfer } from './transfers.js'

const accounts = pgTable('accounts', { id: integer().primaryKey(), balance: integer().notNull() })
const journal = pgTable('journal', {
  transfer: integer().notNull(),
  debtor: integer().notNull(),
  creditor: integer().notNull(),
  amount: integer().notNull(),
})

export type DrizzleTransaction = Parameters<Parameters<PostgresJsDatabase['transaction']>[0]>[0]

export async function withDrizzle(tx: DrizzleTransaction, transfer: Transfer, isolation: Isolation): Promise<void> {
  const due: Change[] = []
  for (const { account, by } of changesOf(transfer)) {
    const query = tx.select({ balance: accounts.balance }).from(accounts).where(eq(accounts.id, account))
    const [found] = isolation === 'serializable' ? await query : await query.for('update')
    due.push({ account, by: known(found).balance + by })
  }
  for (const { account, by: balance } of due) {
    await tx.update(accounts).set({ balance }).where(eq(accounts.id, account))
  }
  const { id, debtor, creditor, amount } = transfer
  await tx.insert(journal).values({ transfer: id, debtor, creditor, amount })
}

export interface Schema {
  accounts: { id: number; balance: number }
  journal: { transfer: number; debtor: number; creditor: number; amount: number }
}

export async function withKysely(trx: Transaction<Schema>, transfer: Transfer, isolation: Isolation): Promise<void> {
  const due: Change[] = []
  for (const { account, by } of changesOf(transfer)) {
    const query = trx.selectFrom('accounts').select('balance').where('id', '=', account)
    const found = await (isolation === 'serializable' ? query : query.forUpdate()).executeTakeFirst()
    due.push({ account, by: known(found).balance + by })
  }
  for (const { account, by: balance } of due) {
    await trx.updateTable('accounts').set({ balance }).where('id', '=', account).execute()
  }
  const { id, debtor, creditor, amount } = transfer
  await trx.insertInto('journal').values({ transfer: id, debtor, creditor, amount }).execute()
}

function known<T>(row: T | undefined): T {
  if (row === undefined) throw new Error('there is no such account')
  return row
}
