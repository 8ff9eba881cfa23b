// The bank in Drizzle.

import { drizzle } from '@moorings/drizzle/postgres-js'
import { eq, sql } from 'drizzle-orm'
import { check, integer, pgSchema, uuid } from 'drizzle-orm/pg-core'
import { type Bank, changesOf, resilience } from './bank.js'

const schema = 'drizzle_bank'

const accounts = pgSchema(schema).table(
  'accounts',
  { id: integer().primaryKey(), balance: integer().notNull() },
  ({ balance }) => [check('not_overdrawn', sql`${balance} >= 0`)],
)

const ledger = pgSchema(schema).table('ledger', {
  id: uuid().primaryKey(),
  debited: integer().notNull(),
  credited: integer().notNull(),
  amount: integer().notNull(),
})

export function drizzleBank(url: string): Bank {
  const db = drizzle(url, { resilience })
  return {
    name: 'Drizzle',
    schema,
    async open(count, balance) {
      await db.execute(sql`create schema ${sql.identifier(schema)}`)
      await db.execute(
        sql`create table ${accounts} (id integer primary key, balance integer not null check (balance >= 0))`,
      )
      await db.execute(
        sql`create table ${ledger} (id uuid primary key, debited integer not null, credited integer not null, amount integer not null)`,
      )
      await db.insert(accounts).values(Array.from({ length: count }, (_, index) => ({ id: index + 1, balance })))
    },
    async transfer(transfer) {
      await db.transaction(async (tx) => {
        for (const { account, change } of changesOf(transfer)) {
          const balance = sql`${accounts.balance} + ${change}`
          await tx.update(accounts).set({ balance }).where(eq(accounts.id, account))
        }
        await tx.insert(ledger).values(transfer)
      })
    },
    stats: () => db.$client.pool.stats(),
    close: () => db.$client.end(),
  }
}
