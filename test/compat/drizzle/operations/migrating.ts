// drizzle-orm's migrate() on a db of either side.

import { fileURLToPath } from 'node:url'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import { errorOf, type Operation, operation } from '../operation.js'

const folder = (name: string) => fileURLToPath(new URL(`../migrations/${name}`, import.meta.url))

export const migrating: readonly Operation[] = [
  operation('the program’s own migrations were applied', ({ db }) =>
    db.execute('select id, hash, created_at from drizzle.__drizzle_migrations order by id'),
  ),
  operation('migrations already applied are not applied again', async ({ db }) => {
    await migrate(db, { migrationsFolder: folder('schema') })
    return db.execute('select count(*)::int as n from drizzle.__drizzle_migrations')
  }),
  operation('migrations from a folder, with a table and schema of their own', async ({ db }) => {
    const settings = { migrationsFolder: folder('more'), migrationsTable: 'applied', migrationsSchema: 'scratch' }
    await migrate(db, settings)
    await migrate(db, settings)
    return {
      applied: await db.execute('select * from scratch.applied order by id'),
      boats: await db.execute('select * from scratch.boats order by id'),
    }
  }),
  operation('a migration that fails applies none', async ({ db }) => {
    const caught = await errorOf(
      migrate(db, { migrationsFolder: folder('broken'), migrationsTable: 'applied', migrationsSchema: 'scratch' }),
    )
    return {
      caught,
      applied: await db.execute('select count(*)::int as n from scratch.applied'),
      halfDone: await db.execute(`select to_regclass('scratch.half_done') as found`),
    }
  }),
  operation(
    'a folder without migrations',
    async ({ db }) => (await errorOf(migrate(db, { migrationsFolder: folder('none') }))) instanceof Error,
  ),
]
