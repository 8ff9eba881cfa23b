// Drizzle on a Moorings pool: DATABASE_URL=postgres://user:password@host/database node dist/quickstart.js

import { UniqueViolationError } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { eq, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'

const url = process.env.DATABASE_URL
if (!url) throw new Error('Set DATABASE_URL, for example to postgres://me:secret@localhost/shop')

const boats = pgTable('quickstart_boats', { name: text().primaryKey(), berth: integer().notNull().unique() })

// Connects with the first query, not before.
const db = drizzle(url, { schema: { boats }, resilience: { pool: { max: 5 } } })

await db.execute(sql`create table ${boats} (name text primary key, berth integer not null unique)`)
try {
  await db.insert(boats).values([
    { name: 'Nerine', berth: 1 },
    { name: 'Tern', berth: 2 },
  ])
  await db.transaction(async (tx) => {
    await tx.update(boats).set({ berth: 3 }).where(eq(boats.name, 'Nerine'))
    await tx.update(boats).set({ berth: 1 }).where(eq(boats.name, 'Tern'))
  })
  console.log(await db.query.boats.findMany({ orderBy: boats.berth }))
  await db.insert(boats).values({ name: 'Wanderer', berth: 1 })
} catch (error) {
  if (!(error instanceof UniqueViolationError)) throw error
  console.log(`That berth is taken: ${error.constraint}`)
} finally {
  await db.execute(sql`drop table ${boats}`)
  await db.$client.end()
}
