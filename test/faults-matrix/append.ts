// One row more in the log, through each ORM's own query builder.

import { type PgDatabase, type PgQueryResultHKT, pgTable, text } from 'drizzle-orm/pg-core'
import type { Kysely } from 'kysely'
import type { Tables } from '../faults/moves.js'

const log = pgTable('log', { id: text().notNull() })

export async function appendWithDrizzle(db: Pick<PgDatabase<PgQueryResultHKT>, 'insert'>, id: string): Promise<void> {
  await db.insert(log).values({ id })
}

export async function appendWithKysely(db: Kysely<Tables>, id: string): Promise<void> {
  await db.withTables<{ log: { id: string } }>().insertInto('log').values({ id }).execute()
}
