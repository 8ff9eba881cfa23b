// Making and changing tables, migrating, and looking at what is there.

import { type Kysely, sql } from 'kysely'
import { type Migration, type MigrationResultSet, Migrator, NO_MIGRATIONS } from 'kysely/migration'
import { about, caught } from '../operation.js'
import type { Database } from '../schema/database.js'

const make = (table: string): Migration => ({
  up: async (db: Kysely<unknown>) => {
    await db.schema
      .createTable(`scratch.${table}`)
      .addColumn('id', 'serial', (column) => column.primaryKey())
      .execute()
  },
  down: async (db: Kysely<unknown>) => {
    await db.schema.dropTable(`scratch.${table}`).execute()
  },
})

const failing: Migration = {
  up: async (db: Kysely<unknown>) => {
    await make('half').up(db)
    await sql`alter table scratch.nowhere add x int`.execute(db)
  },
}

function migrator(db: Kysely<Database>, migrations: Record<string, Migration>): Migrator {
  return new Migrator({ db, provider: { getMigrations: async () => migrations }, migrationTableSchema: 'scratch' })
}

const three = { a: make('a'), b: make('b'), c: make('c') }

async function scratchTables(db: Kysely<Database>): Promise<string[]> {
  const tables = await db.introspection.getTables()
  return tables.filter(({ schema }) => schema === 'scratch').map(({ name }) => name)
}

async function after(db: Kysely<Database>, migrating: Promise<MigrationResultSet>) {
  return { ...(await migrating), tables: await scratchTables(db) }
}

export const schemaOperations = about('schema', [
  {
    name: 'a table is made, altered, indexed and dropped',
    run: async ({ db }) => {
      const { schema } = db.withSchema('scratch')
      await schema
        .createTable('thing')
        .ifNotExists()
        .addColumn('id', 'uuid', (column) => column.primaryKey().defaultTo(sql`gen_random_uuid()`))
        .addColumn('price', 'numeric(6, 2)', (column) => column.notNull().check(sql`price > 0`))
        .execute()
      await schema.alterTable('thing').addColumn('note', 'text').execute()
      await schema.alterTable('thing').renameTo('item').execute()
      await schema
        .alterTable('item')
        .alterColumn('note', (column) => column.setDefault('none'))
        .execute()
      await schema.createIndex('item_note').on('item').column('note').where(sql.ref('note'), 'is not', null).execute()
      const tables = await db.introspection.getTables()
      await schema.dropTable('item').cascade().execute()
      return [tables.filter((table) => table.schema === 'scratch'), await scratchTables(db)]
    },
  },
  {
    name: 'a type, a view and a materialized view',
    run: async ({ db }) => {
      const { schema } = db.withSchema('scratch')
      await schema.createType('size').asEnum(['s', 'm']).execute()
      await schema.createView('v').as(sql`select * from public.link`).execute()
      await schema.createView('mv').materialized().as(sql`select id from public.link`).execute()
      await schema.refreshMaterializedView('mv').execute()
      const rows = await sql`select *, 's'::scratch.size as size from scratch.v order by id`.execute(db)
      await schema.dropView('mv').materialized().execute()
      await schema.dropType('size').execute()
      return rows
    },
  },
  {
    name: 'inside a transaction a table is undone with it',
    run: async ({ db }) => {
      const error = await caught(
        db.transaction().execute(async (trx) => {
          await trx.schema.createTable('scratch.gone').addColumn('id', 'integer').execute()
          throw new Error('undone')
        }),
      )
      return [error, await scratchTables(db)]
    },
  },
  {
    name: 'a table that is there already',
    throws: true,
    run: ({ db }) => db.schema.createTable('person').addColumn('id', 'integer').execute(),
  },
])

export const migratorOperations = about('migrator', [
  {
    name: 'to latest, and again with nothing left to do',
    run: async ({ db }) => [
      await after(db, migrator(db, three).migrateToLatest()),
      await after(db, migrator(db, three).migrateToLatest()),
    ],
  },
  {
    name: 'up, down, to one by name and to none',
    run: async ({ db }) => {
      const steps = migrator(db, three)
      return [
        await after(db, steps.migrateUp()),
        await after(db, steps.migrateTo('c')),
        await after(db, steps.migrateDown()),
        await after(db, steps.migrateTo(NO_MIGRATIONS)),
      ]
    },
  },
  {
    name: 'tells which migrations were executed',
    run: async ({ db }) => {
      const steps = migrator(db, three)
      await steps.migrateTo('b')
      return (await steps.getMigrations()).map(({ name, executedAt }) => [name, executedAt instanceof Date])
    },
  },
  {
    name: 'that fails undoes all of the run and tells why',
    run: async ({ db }) => [
      await after(db, migrator(db, { ...three, d: failing }).migrateToLatest()),
      await after(db, migrator(db, three).migrateToLatest()),
    ],
  },
  {
    name: 'two at once migrate once',
    run: async ({ db, open }) => {
      const results = await Promise.all([db, open()].map((one) => migrator(one, three).migrateToLatest()))
      const done = results.flatMap(({ results: steps, error }) => [...(steps ?? []), ...(error ? [error] : [])])
      return [done, await scratchTables(db)]
    },
  },
])

export const introspectionOperations = about('introspection', [
  {
    name: 'getTables tells columns, types, defaults and comments',
    run: ({ db }) => db.introspection.getTables(),
  },
  {
    name: 'getTables with the tables of the migrator',
    run: async ({ db }) => {
      const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
      return tables.map(({ schema, name, isView }) => [schema, name, isView])
    },
  },
  {
    name: 'getSchemas',
    run: async ({ db }) => {
      const schemas = await db.introspection.getSchemas()
      // Which backend made temporary tables is not ours to compare.
      return schemas
        .map(({ name }) => name)
        .filter((name) => !/^pg_(toast_)?temp/.test(name))
        .sort()
    },
  },
])
