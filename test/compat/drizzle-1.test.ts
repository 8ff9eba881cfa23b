// drizzle-orm's release candidate of 1.0 on stock postgres.js and, by `withResilience`, on our client: a smoke test of
// what is new or different there. The long comparison is in drizzle/, with the 0.45 that applications run.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { isMooringsError } from '@moorings/core'
import { withResilience } from '@moorings/drizzle'
import { createClient, createPool } from '@moorings/postgres'
import { count, defineRelations, desc, eq, gt, sql } from 'drizzle-orm-1'
import * as pg from 'drizzle-orm-1/pg-core'
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm-1/postgres-js'
import postgres from 'postgres'
import { createDatabase, type Database, inventName } from '../support/database.js'
import { normalise, type Plain, serverErrorOf } from './drizzle/normalise.js'

const kind = pg.pgEnum('kind', ['sail', 'motor'])

const boats = pg.pgTable('boats', {
  id: pg.serial().primaryKey(),
  name: pg.text().notNull().unique(),
  kind: kind().notNull().default('sail'),
  length: pg.numeric({ precision: 6, scale: 2 }),
  tonnage: pg.bigint({ mode: 'bigint' }),
  launched: pg.timestamp({ withTimezone: true }),
  surveyed: pg.timestamp({ mode: 'string' }),
  built: pg.date(),
  papers: pg.jsonb().$type<{ flag: string; owners: string[] }>(),
  marks: pg.text().array(),
  depths: pg.integer().array(),
  seal: pg.bytea(),
})

const crews = pg.pgTable('crews', {
  id: pg.serial().primaryKey(),
  boatId: pg
    .integer('boat_id')
    .notNull()
    .references(() => boats.id),
  name: pg.text().notNull(),
  signedOn: pg.timestamp('signed_on', { withTimezone: true }),
})

const relations = defineRelations({ boats, crews }, (r) => ({
  boats: { crews: r.many.crews({ from: r.boats.id, to: r.crews.boatId }) },
  crews: { boat: r.one.boats({ from: r.crews.boatId, to: r.boats.id, optional: false }) },
}))

const tables = `
create type kind as enum ('sail', 'motor');
create table boats (id serial primary key, name text not null constraint boats_name_key unique, kind kind not null default 'sail',
  length numeric(6, 2), tonnage bigint, launched timestamptz, surveyed timestamp, built date, papers jsonb, marks text[],
  depths integer[], seal bytea);
create table crews (id serial primary key, boat_id integer not null references boats deferrable initially deferred,
  name text not null, signed_on timestamptz);`

const seed = `
truncate boats, crews restart identity;
insert into boats (name, kind, length, tonnage, launched, surveyed, built, papers, marks, depths, seal) values
  ('Fram', 'sail', 39.00, 402, '1892-10-26 12:00+00', '2024-01-02 03:04:05.678901', '1892-10-26',
   '{"flag": "NO", "owners": ["Nansen"]}', '{"a,b","c\\"d"}', '{1,2}', '\\x00ff'),
  ('Calypso', 'motor', 42.50, 9223372036854775807, null, null, null, null, null, null, null);
insert into crews (boat_id, name, signed_on) values (1, 'Otto', '1893-06-24 00:00+00'), (1, 'Hjalmar', null), (2, 'Albert', null);`

const connect = (client: postgres.Sql, logger?: { logQuery(query: string, params: unknown[]): void }) =>
  drizzle({ client, relations, ...(logger && { logger }) })

type Db = PostgresJsDatabase<typeof relations> & { $client: postgres.Sql }

interface Context {
  db: Db
  /** What was logged, as [query, parameters]. */
  lines: [string, unknown[]][]
}

async function errorOf(failure: PromiseLike<unknown>): Promise<unknown> {
  try {
    return { didNotThrow: await failure }
  } catch (error) {
    return error
  }
}

const program: Record<string, (context: Context) => Promise<unknown>> = {
  'insert returning maps every column': ({ db }) =>
    db
      .insert(boats)
      .values({
        name: 'Gipsy Moth',
        length: '16.20',
        tonnage: -1n,
        launched: new Date('1966-03-01T10:20:30.456Z'),
        surveyed: '2024-02-29 12:00:00.5',
        built: '1966-01-01',
        papers: { flag: 'GB', owners: ['Chichester', 'it\'s "quoted"'] },
        marks: ['', 'NULL', '{}', 'back\\slash'],
        depths: [-1, 0],
        seal: Buffer.from([0, 255]),
      })
      .returning(),
  'insert of NULLs, onConflictDoNothing and onConflictDoUpdate': async ({ db }) => ({
    nothing: await db
      .insert(boats)
      .values([{ name: 'Fram' }, { name: 'Joshua' }])
      .onConflictDoNothing()
      .returning(),
    update: await db
      .insert(boats)
      .values({ name: 'Fram', length: '1' })
      .onConflictDoUpdate({ target: boats.name, set: { length: sql`excluded.length + 1` } })
      .returning({ id: boats.id, length: boats.length }),
  }),
  'select with a join, aggregates and order': ({ db }) =>
    db
      .select({ name: boats.name, launched: boats.launched, crew: count(crews.id) })
      .from(boats)
      .leftJoin(crews, eq(crews.boatId, boats.id))
      .groupBy(boats.id)
      .orderBy(desc(boats.id)),
  'update and delete, with returning and without': async ({ db }) => ({
    updated: await db.update(boats).set({ kind: 'motor', launched: null }).where(eq(boats.id, 1)).returning(),
    counted: await db.update(crews).set({ name: 'anyone' }),
    deleted: await db.delete(crews).where(gt(crews.id, 1)).returning(),
  }),
  'findMany with relations, filters, order, columns and extras': ({ db }) =>
    db.query.boats.findMany({
      columns: { id: true, name: true, launched: true, tonnage: true, seal: true },
      where: { OR: [{ kind: 'sail' }, { crews: { name: { like: 'Alb%' } } }] },
      orderBy: { id: 'desc' },
      extras: { shouted: (table) => sql<string>`upper(${table.name})` },
      with: {
        crews: { orderBy: { id: 'asc' }, limit: 2, with: { boat: { columns: { surveyed: true, depths: true } } } },
      },
    }),
  'findFirst gives one row or undefined': async ({ db }) => ({
    found: await db.query.crews.findFirst({ where: { id: 1 }, with: { boat: true } }),
    missing: await db.query.crews.findFirst({ where: { id: 99 } }),
  }),
  'a prepared query runs again and again': async ({ db }) => {
    const query = db
      .select()
      .from(boats)
      .where(eq(boats.id, sql.placeholder('id')))
      .prepare('boat')
    return [await query.execute({ id: 1 }), await query.execute({ id: 2 }), await query.execute({ id: 3 })]
  },
  'a prepared relational query': async ({ db }) => {
    const query = db.query.boats
      .findMany({ where: { name: sql.placeholder('name') }, with: { crews: true } })
      .prepare('crewed')
    return [await query.execute({ name: 'Fram' }), await query.execute({ name: 'Calypso' })]
  },
  'db.execute gives rows, count and command': async ({ db }) => ({
    select: await db.execute(sql`select id, name, launched, papers from ${boats} where id < ${9} order by id`),
    insert: await db.execute(sql`insert into crews (boat_id, name) values (1, ${'Fridtjof'})`),
    several: await db.execute(sql.raw('select 1 as one; select 2 as two')),
  }),
  'a Date and JSON as parameters of raw SQL': ({ db }) =>
    db.execute(
      sql`select ${new Date('2024-01-01T00:00:00Z')}::timestamptz as moment, ${JSON.stringify({ a: 1 })}::jsonb as json`,
    ),
  '$count and set operations': async ({ db }) => ({
    all: await db.$count(crews),
    some: await db.$count(crews, eq(crews.boatId, 1)),
    union: await db
      .select({ name: boats.name })
      .from(boats)
      .union(db.select({ name: crews.name }).from(crews))
      .orderBy(sql`1`),
  }),
  'a transaction commits and gives its value': async ({ db }) => ({
    value: await db.transaction(async (tx) => {
      await tx.insert(crews).values({ boatId: 2, name: 'Simone' })
      return tx.query.crews.findMany({ where: { boatId: 2 }, orderBy: { id: 'asc' } })
    }),
    crew: await db.$count(crews),
  }),
  'a transaction rolls back by an error, and by tx.rollback()': async ({ db }) => {
    const thrown = new Error('mine')
    const caught = await errorOf(
      db.transaction(async (tx) => {
        await tx.delete(crews)
        throw thrown
      }),
    )
    const rolledBack = await errorOf(
      db.transaction(async (tx) => {
        await tx.delete(crews)
        tx.rollback()
      }),
    )
    return { same: caught === thrown, rolledBack, crew: await db.$count(crews) }
  },
  'nested transactions keep and undo their own part': ({ db }) =>
    db.transaction(async (tx) => {
      await tx.insert(crews).values({ boatId: 1, name: 'kept' })
      const caught = await errorOf(
        tx.transaction(async (nested) => {
          await nested.insert(crews).values({ boatId: 1, name: 'undone' })
          await nested.transaction((third) => third.insert(boats).values({ name: 'Fram' }))
        }),
      )
      return { caught, crew: await tx.select({ name: crews.name }).from(crews).orderBy(crews.id) }
    }),
  'a transaction’s configuration is in force': async ({ db }) => {
    const settings = sql`select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as read_only`
    return [
      await db.transaction((tx) => tx.execute(settings), { isolationLevel: 'serializable', accessMode: 'read only' }),
      await db.transaction((tx) => tx.execute(settings), {}),
      await db.transaction((tx) => tx.execute(settings)),
    ]
  },
  'a transaction reads by another’s snapshot': ({ db }) =>
    db.transaction(
      async (tx) => {
        const [exported] = await tx.execute<{ snapshot: string }>(sql`select pg_export_snapshot() as snapshot`)
        await db.insert(crews).values({ boatId: 1, name: 'later' })
        const config = { isolationLevel: 'repeatable read', snapshot: exported?.snapshot } as const
        return { asOfThen: await db.transaction((other) => other.$count(crews), config), now: await db.$count(crews) }
      },
      { isolationLevel: 'repeatable read' },
    ),
  'errors of statements, of COMMIT, and swallowed ones': async ({ db }) => [
    await errorOf(db.insert(boats).values({ name: 'Fram' })),
    await errorOf(db.execute(sql`select ${'x'}::int`)),
    await errorOf(db.query.boats.findMany({ where: { RAW: sql`nowhere` } })),
    await errorOf(db.transaction((tx) => tx.insert(crews).values({ boatId: 99, name: 'nobody' }))),
    await errorOf(
      db.transaction(async (tx) => ({ swallowed: await errorOf(tx.insert(boats).values({ name: 'Fram' })) })),
    ),
    await db.$count(boats),
  ],
  'the logger sees the same queries': async ({ db, lines }) => {
    await db.insert(boats).values({ name: 'Logged', launched: new Date(0) })
    await db.transaction((tx) => tx.query.boats.findMany({ with: { crews: true } }))
    return lines
  },
}

interface Side {
  context: Context
  database: Database
  end(): Promise<void>
}

async function start(
  name: string,
  open: (url: string, log: Context['lines']) => Pick<Side, 'end'> & { db: Db },
): Promise<Side> {
  const database = await createDatabase(inventName(`compat_1_${name}`))
  await database.admin.query(tables)
  const lines: Context['lines'] = []
  const { db, end } = open(database.url, lines)
  return { context: { db, lines }, database, end }
}

async function run(
  { context }: Side,
  operation: (context: Context) => Promise<unknown>,
  onError: (error: Error) => void,
): Promise<Plain> {
  return normalise(await errorOf(operation(context)), { onError })
}

describe('drizzle-orm 1.0 on our client', () => {
  let stock: Side
  let ours: Side

  beforeAll(async () => {
    const loggerOf = (lines: Context['lines']) => ({
      logQuery: (query: string, params: unknown[]) => lines.push([query, [...params]]),
    })
    stock = await start('stock', (url, lines) => {
      const client = postgres(url)
      return { db: connect(client, loggerOf(lines)), end: () => client.end() }
    })
    ours = await start('ours', (url, lines) => {
      const pool = createPool(url)
      return { db: withResilience(connect(createClient(pool), loggerOf(lines))), end: () => pool.close() }
    })
  })

  beforeEach(async () => {
    for (const { database, context } of [stock, ours]) {
      await database.admin.query(seed)
      context.lines.length = 0
    }
  })

  afterAll(async () => {
    for (const side of [stock, ours]) {
      await side?.end()
      await side?.database.drop()
    }
  })

  test.each(Object.entries(program))('%s', async (_name, operation) => {
    const expected = await run(stock, operation, () => {})
    expect(expected).toEqual({ didNotThrow: expect.anything() })
    const errors: Error[] = []
    expect(await run(ours, operation, (error) => errors.push(error))).toStrictEqual(expected)
    for (const error of errors) expect(serverErrorOf(error) === undefined || isMooringsError(error)).toBe(true)
  })
})
