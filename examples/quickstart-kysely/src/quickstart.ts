// Kysely on a Moorings pool: DATABASE_URL=postgres://user:password@host/database node dist/quickstart.js

import { ResilientPostgresDialect, UniqueViolationError } from '@moorings/kysely'
import { Kysely, sql } from 'kysely'

const url = process.env.DATABASE_URL
if (!url) throw new Error('Set DATABASE_URL, for example to postgres://me:secret@localhost/shop')

interface Database {
  quickstart_boats: { name: string; berth: number }
}

// Connects with the first query, not before.
const dialect = new ResilientPostgresDialect({ connection: url, resilience: { pool: { max: 5 } } })
const db = new Kysely<Database>({ dialect })

await sql`create table quickstart_boats (name text primary key, berth integer not null unique)`.execute(db)
try {
  const boats = [
    { name: 'Nerine', berth: 1 },
    { name: 'Tern', berth: 2 },
  ]
  await db.insertInto('quickstart_boats').values(boats).execute()
  await db.transaction().execute(async (trx) => {
    await trx.updateTable('quickstart_boats').set({ berth: 3 }).where('name', '=', 'Nerine').execute()
    await trx.updateTable('quickstart_boats').set({ berth: 1 }).where('name', '=', 'Tern').execute()
  })
  console.log(await db.selectFrom('quickstart_boats').selectAll().orderBy('berth').execute())
  await db.insertInto('quickstart_boats').values({ name: 'Wanderer', berth: 1 }).execute()
} catch (error) {
  if (!(error instanceof UniqueViolationError)) throw error
  console.log(`That berth is taken: ${error.constraint}`)
} finally {
  await db.schema.dropTable('quickstart_boats').execute()
  await db.destroy()
}
