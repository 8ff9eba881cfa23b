// Statements that repeat. Stock sends Drizzle's as unnamed ones; a driver that prepares what repeats must not let it show
// when tables, search paths or parameters change.

import { eq, sql } from 'drizzle-orm'
import { type Db, errorOf, type Operation, operation } from '../operation.js'
import { tags, users } from '../schema/index.js'

const times = 8

/** The same statement again and again, on one connection. */
async function repeated(run: () => PromiseLike<unknown>): Promise<unknown[]> {
  const results: unknown[] = []
  for (let time = 0; time < times; time++) results.push(await run())
  return results
}

export const repeating: readonly Operation[] = [
  operation('the same query with other values', async ({ db }) => {
    const seen: unknown[] = []
    for (let id = 0; id < times; id++) seen.push(await db.select().from(users).where(eq(users.id, id)))
    return seen
  }),
  operation('the same text with parameters of other types', async ({ db, sql: client }) => {
    const values = [1, 'text', null, true, 2.5, '7', null, false, -1, '']
    const seen: unknown[] = []
    for (const value of [...values, ...values]) {
      seen.push({
        value,
        untyped: await errorOf(db.execute(sql`select ${value} as v`)),
        typed: await errorOf(db.execute(sql`select ${value}::text as v`)),
        tagged: await errorOf(client`select ${value} as v`),
      })
    }
    return seen
  }),
  operation('statements of every kind, without parameters', async ({ db }) => {
    const kinds = [
      'select 1 as one',
      'show standard_conforming_strings',
      'insert into tags (name) values (gen_random_uuid()::text) returning id',
      `delete from tags where id > 4`,
      'create table if not exists scratch.again (id int)',
      'truncate scratch.again',
      'notify nobody',
      `do $$ begin perform 1; end $$`,
      'select 1 as one; select 2 as two',
      'explain (costs off) select 1',
      'analyze tags',
    ]
    const seen: unknown[] = []
    for (const kind of kinds) seen.push({ kind, results: await repeated(() => db.execute(kind)) })
    return seen
  }),
  operation('a query whose table gains a column', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.execute('create table scratch.growing (id int)')
    await db.execute('insert into scratch.growing values (1)')
    const read = () => db.execute(sql`select * from scratch.growing where id = ${1}`)
    const before = await repeated(read)
    await db.execute(`alter table scratch.growing add column extra text default 'here'`)
    return { before, after: await repeated(read) }
  }),
  operation('a query whose table gains a column, in a transaction', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.execute('create table scratch.growing (id int)')
    await db.execute('insert into scratch.growing values (1)')
    const read = (on: Pick<Db, 'execute'>) => on.execute(sql`select * from scratch.growing where id = ${1}`)
    const before = await repeated(() => read(db))
    await db.execute(`alter table scratch.growing add column extra text default 'here'`)
    return { before, inside: await db.transaction((tx) => read(tx)), after: await repeated(() => read(db)) }
  }),
  operation('a query whose column changes its type, in a transaction', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.execute('create table scratch.changing (id int, value int)')
    await db.execute('insert into scratch.changing values (1, 7)')
    const read = (on: Pick<Db, 'execute'>) => on.execute(sql`select value from scratch.changing where id = ${1}`)
    const before = await repeated(() => read(db))
    await db.execute('alter table scratch.changing alter column value type text')
    return { before, inside: await db.transaction((tx) => read(tx)), after: await repeated(() => read(db)) }
  }),
  operation('a query whose table is dropped and made anew', async ({ drizzle, url }) => {
    const db = drizzle(url)
    const read = () => errorOf(db.execute(sql`select * from scratch.anew where id = ${1}`))
    const seen: unknown[] = []
    for (const columns of ['id int', 'id int, name text', 'id bigint']) {
      await db.execute(`create table scratch.anew (${columns})`)
      await db.execute('insert into scratch.anew values (1)')
      seen.push(await repeated(read))
      await db.execute('drop table scratch.anew')
      seen.push(await read())
    }
    return seen
  }),
  operation('a query under other search paths', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.execute('create table scratch.tags (id int, name text)')
    await db.execute(`insert into scratch.tags values (1, 'of the tenant')`)
    const read = (path: string) =>
      db.transaction(async (tx) => {
        await tx.execute(sql`select set_config('search_path', ${path}, true)`)
        return tx.select().from(tags).where(eq(tags.id, 1))
      })
    const seen: unknown[] = []
    for (const path of ['public', 'public', 'public', 'scratch', 'scratch', 'public', 'scratch'])
      seen.push(await read(path))
    return seen
  }),
  operation('a query under other search paths, to tables of other columns', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.execute('create table scratch.tags (label text, id int)')
    await db.execute(`insert into scratch.tags values ('of the tenant', 1)`)
    const read = (path: string) =>
      db.transaction(async (tx) => {
        await tx.execute(sql`select set_config('search_path', ${path}, true)`)
        return tx.execute(sql`select * from tags where id = ${1}`)
      })
    const seen: unknown[] = []
    for (const path of ['public', 'public', 'public', 'scratch', 'scratch', 'public', 'scratch'])
      seen.push(await read(path))
    return seen
  }),
  operation('a query that fails, then succeeds, again and again', async ({ db }) => {
    const divide = (by: number) => errorOf(db.execute(sql`select 10 / ${by}::int as result`))
    const seen: unknown[] = []
    for (const by of [1, 0, 2, 0, 5, 0, 10, 0, 1]) seen.push(await divide(by))
    return seen
  }),
  operation('deallocate all between queries', async ({ drizzle, url }) => {
    const db = drizzle(url)
    const read = () => db.select({ id: users.id }).from(users).where(eq(users.id, 1))
    const before = await repeated(read)
    await db.execute('deallocate all')
    return { before, after: await repeated(read) }
  }),
  operation('a thousand different texts', async ({ db }) => {
    let sum = 0
    for (let index = 0; index < 1000; index++) {
      const [row] = await db.execute<{ n: number }>(sql`select ${sql.raw(`${index}`)} + ${1}::int as n`)
      sum += row?.n ?? Number.NaN
    }
    return sum
  }),
  operation('a temporary table, one query at a time', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.execute('create temporary table mine (id int)')
    await db.execute('insert into mine values (1), (2)')
    return db.execute('select * from mine order by id')
  }),
  operation('a setting, one query at a time', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.execute(`set search_path to audit`)
    return db.execute('show search_path')
  }),
]
