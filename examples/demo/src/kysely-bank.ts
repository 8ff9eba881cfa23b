// The bank in Kysely.

import { ResilientPostgresDialect, withTransaction } from '@moorings/kysely'
import { Kysely, sql } from 'kysely'
import { type Bank, changesOf, resilience } from './bank.js'

const schema = 'kysely_bank'

interface Tables {
  accounts: { id: number; balance: number }
  ledger: { id: string; debited: number; credited: number; amount: number }
}

export function kyselyBank(url: string): Bank {
  const dialect = new ResilientPostgresDialect({ connection: url, resilience })
  const db = new Kysely<Tables>({ dialect }).withSchema(schema)
  return {
    name: 'Kysely',
    schema,
    async open(count, balance) {
      await db.schema.createSchema(schema).execute()
      await db.schema
        .createTable('accounts')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('balance', 'integer', (column) => column.notNull().check(sql`balance >= 0`))
        .execute()
      await db.schema
        .createTable('ledger')
        .addColumn('id', 'uuid', (column) => column.primaryKey())
        .addColumn('debited', 'integer', (column) => column.notNull())
        .addColumn('credited', 'integer', (column) => column.notNull())
        .addColumn('amount', 'integer', (column) => column.notNull())
        .execute()
      const rows = Array.from({ length: count }, (_, index) => ({ id: index + 1, balance }))
      await db.insertInto('accounts').values(rows).execute()
    },
    async transfer(transfer) {
      await withTransaction(db, async (trx) => {
        for (const { account, change } of changesOf(transfer)) {
          await trx
            .updateTable('accounts')
            .set((eb) => ({ balance: eb('balance', '+', change) }))
            .where('id', '=', account)
            .execute()
        }
        await trx.insertInto('ledger').values(transfer).execute()
      })
    },
    stats: () => dialect.pool.stats(),
    close: () => db.destroy(),
  }
}
