// One transfer as statements, through each ORM's own query builder. The account with the lower number comes first, so that
// no two transfers wait for each other.

import { eq, sql } from 'drizzle-orm'
import { integer, type PgDatabase, type PgQueryResultHKT, pgTable, text } from 'drizzle-orm/pg-core'
import { type Kysely, sql as kyselySql } from 'kysely'
import type { Transfer } from './history.js'

const accounts = pgTable('accounts', { id: integer().notNull(), balance: integer().notNull() })
const journal = pgTable('journal', {
  id: text().notNull(),
  debited: integer().notNull(),
  credited: integer().notNull(),
  amount: integer().notNull(),
})

export interface Tables {
  accounts: { id: number; balance: number }
  journal: Transfer
}

export async function moveWithDrizzle(
  tx: Pick<PgDatabase<PgQueryResultHKT>, 'insert' | 'update'>,
  transfer: Transfer,
): Promise<void> {
  await tx.insert(journal).values(transfer)
  for (const { account, change } of changes(transfer)) {
    await tx
      .update(accounts)
      .set({ balance: sql`${accounts.balance} + ${change}` })
      .where(eq(accounts.id, account))
  }
}

export async function moveWithKysely(trx: Kysely<Tables>, transfer: Transfer): Promise<void> {
  await trx.insertInto('journal').values(transfer).execute()
  for (const { account, change } of changes(transfer)) {
    await trx
      .updateTable('accounts')
      .set({ balance: kyselySql`balance + ${change}` })
      .where('id', '=', account)
      .execute()
  }
}

function changes({ debited, credited, amount }: Transfer): { account: number; change: number }[] {
  const debit = { account: debited, change: -amount }
  const credit = { account: credited, change: amount }
  return debited < credited ? [debit, credit] : [credit, debit]
}
