// db.$client as a postgres.js Sql: the forms of a result, unsafe, files, cursors, describe.

import { fileURLToPath } from 'node:url'
import type { Sql } from 'postgres'
import { describeStatement } from '../normalise.js'
import { errorOf, failing, type Operation, operation } from '../operation.js'

const file = (name: string) => fileURLToPath(new URL(`../files/${name}`, import.meta.url))

const threePages = (sql: Sql) => sql`select n from generate_series(1, 5) n`

export const clientResults: readonly Operation[] = [
  operation('a result is an array with the outcome beside it', async ({ sql }) => {
    const result = await sql`select id, name, mood from users where id < ${3} order by id`
    const [first] = result
    const { count, command, columns, statement, state } = result
    return {
      first,
      count,
      command,
      columns: columns.map(({ name, type }) => ({ name, builtIn: type < 16_384 })),
      statement: describeStatement(statement),
      state: Object.keys(state).sort(),
      isArray: Array.isArray(result),
      keys: Object.keys(result),
    }
  }),
  operation('the columns of a result show their parsers', async ({ sql }) => {
    const { columns } = await sql`select id, name, joined_at from users`
    return columns.map(({ name, parser }) => [name, typeof parser])
  }),
  operation('count and command without rows', async ({ sql }) => {
    const insert = await sql`insert into tags (name) values ('a'), ('b')`
    const create = await sql`create table scratch.empty (id int)`
    const none = await sql`select * from scratch.empty`
    return { insert, create, none }
  }),
  operation('values() gives rows as arrays', async ({ sql }) => {
    const result = await sql`select id, name, null as nothing, joined_at from users order by id`.values()
    return { result, count: result.count, columns: result.columns.map(({ name }) => name) }
  }),
  operation('raw() gives buffers', ({ sql }) =>
    sql`select id, name, null as nothing, age from users order by id`.raw(),
  ),
  operation('values() keeps columns of one name', ({ sql }) => sql`select 1 as same, 2 as same`.values()),
  operation('describe() tells parameters and columns without running', async ({ sql }) => {
    const select = await sql`select id, name, mood from users where age > ${0} and name = ${''}`.describe()
    const insert = await sql`insert into tags (name) values (${'never'}) returning id`.describe()
    const plain = await sql.unsafe('select $1::int + $2::int as sum', [0, 0]).describe()
    const [count] = await sql`select count(*)::int as n from tags`
    return {
      select: describeStatement(select),
      insert: describeStatement(insert),
      plain: describeStatement(plain),
      count,
    }
  }),
  failing('describe() of a statement that is wrong', '42P01', ({ sql }) =>
    sql`select * from nowhere where id = ${1}`.describe(),
  ),
  operation('unsafe without parameters', ({ sql }) => sql.unsafe('select id, name, joined_at from users order by id')),
  operation('unsafe with parameters', ({ sql }) =>
    sql.unsafe('select id, name from users where id = any($1::int[]) and age > $2', ['{1,2,3}', 40]),
  ),
  operation('unsafe, prepared, again and again', async ({ sql }) => {
    const results: unknown[] = []
    for (const id of [1, 2, 1])
      results.push(await sql.unsafe('select name from users where id = $1', [id], { prepare: true }))
    return results
  }),
  operation('unsafe of several statements gives a result each', async ({ sql }) => {
    const results = await sql.unsafe(`
      create table scratch.several (id int);
      insert into scratch.several values (1), (2), (3);
      select * from scratch.several order by id;
      update scratch.several set id = id + 1 where id > 1;
      select count(*)::int as n from scratch.several`)
    return { results, isArray: Array.isArray(results), length: results.length }
  }),
  failing('unsafe of several statements with parameters is refused', '42601', ({ sql }) =>
    sql.unsafe('select $1::int; select 2', [1]),
  ),
  operation(
    'unsafe as a fragment',
    ({ sql }) => sql`select id from users where ${sql.unsafe('age > 80')} order by ${sql.unsafe('id desc')}`,
  ),
  operation('unsafe as values and raw', async ({ sql }) => ({
    values: await sql.unsafe('select id, name from users where id < $1 order by id', [3]).values(),
    raw: await sql.unsafe('select id, name from users order by id limit 1').raw(),
  })),
  operation('unsafe of nothing at all', async ({ sql }) => ({
    empty: await sql.unsafe(''),
    comment: await sql.unsafe('-- nothing'),
  })),
  operation('a file, with parameters and with several statements', async ({ sql }) => ({
    plain: await sql.file(file('plain.sql')),
    parameters: await sql.file(file('with-parameters.sql'), [40, 'ok']),
    several: await sql.file(file('several.sql')),
  })),
  failing('a file that is not there', 'ENOENT', ({ sql }) => sql.file('no/such/file.sql')),
  operation('forEach hands over row by row', async ({ sql }) => {
    const rows: unknown[] = []
    const result = await sql`select id, name from users order by id`.forEach((row) => {
      rows.push(row)
    })
    return { rows, result }
  }),
  operation('forEach over no rows', async ({ sql }) => {
    const rows: unknown[] = []
    const result = await sql`select id from users where false`.forEach((row) => {
      rows.push(row)
    })
    return { rows, result }
  }),
  operation('forEach with a callback that throws', async ({ drizzle, url }) => {
    const { $client: sql } = drizzle(url)
    const thrown = new Error('enough')
    const caught = await errorOf(
      threePages(sql).forEach(() => {
        throw thrown
      }),
    )
    return { same: caught === thrown, after: await sql`select 1 as one` }
  }),
  operation('values and raw by forEach and cursor', async ({ sql }) => {
    const seen: unknown[] = []
    const see = (rows: unknown) => {
      seen.push(Array.isArray(rows) ? [...rows] : rows)
    }
    await threePages(sql).values().forEach(see)
    await threePages(sql).raw().forEach(see)
    await threePages(sql).raw().cursor(2, see)
    return seen
  }),
  operation('a cursor by unsafe, with parameters', async ({ sql }) => {
    const pages: unknown[] = []
    for await (const rows of sql.unsafe('select n from generate_series(1, $1::int) n', [3]).cursor(2))
      pages.push([...rows])
    return pages
  }),
  operation('a cursor with a callback, row by row', async ({ sql }) => {
    const pages: unknown[] = []
    const result = await threePages(sql).cursor((rows) => {
      pages.push([...rows])
    })
    return { pages, result }
  }),
  operation('a cursor with a callback, page by page', async ({ sql }) => {
    const pages: unknown[] = []
    await threePages(sql).cursor(2, async (rows) => {
      pages.push([...rows])
    })
    return pages
  }),
  operation('a cursor with a callback that ends it', async ({ sql }) => {
    const pages: unknown[] = []
    await threePages(sql).cursor(2, (rows) => {
      pages.push([...rows])
      return sql.CLOSE as never
    })
    return { pages, after: await sql`select 1 as one` }
  }),
  operation('a cursor with a callback that throws', async ({ drizzle, url }) => {
    // A client of its own: postgres.js leaves holes in the next result of the connection that this happened on.
    const { $client: sql } = drizzle(url)
    const thrown = new Error('enough')
    const caught = await errorOf(
      threePages(sql).cursor(2, () => {
        throw thrown
      }),
    )
    return { same: caught === thrown, after: await sql`select 1 as one` }
  }),
  operation('a cursor as an async iterable', async ({ sql }) => {
    const pages: unknown[] = []
    for await (const rows of threePages(sql).cursor(2)) pages.push([...rows])
    const rowByRow: unknown[] = []
    for await (const [row] of threePages(sql).cursor()) rowByRow.push(row)
    return { pages, rowByRow, after: await sql`select 1 as one` }
  }),
  operation('a cursor left early leaves its connection to others', async ({ sql }) => {
    const pages: unknown[] = []
    for await (const rows of sql`select n from generate_series(1, 100000) n`.cursor(10)) {
      pages.push(rows.length)
      if (pages.length === 2) break
    }
    return { pages, after: await Promise.all(Array.from({ length: 15 }, (_, n) => sql`select ${n}::int as n`)) }
  }),
  operation('a cursor over rows that fit no page exactly, and over none', async ({ sql }) => {
    const sizes = async (rows: number) => {
      const seen: number[] = []
      for await (const page of sql`select n from generate_series(1, ${rows}::int) n`.cursor(3)) seen.push(page.length)
      return seen
    }
    return { none: await sizes(0), one: await sizes(1), exact: await sizes(6), more: await sizes(7) }
  }),
  operation('a cursor that fails midway', async ({ sql }) => {
    const pages: unknown[] = []
    const caught = await errorOf(async () => {
      for await (const rows of sql`select 10 / (4 - n) as x from generate_series(1, 5) n`.cursor(1))
        pages.push([...rows])
    })
    return { pages, caught, after: await sql`select 1 as one` }
  }),
  operation('a cursor over rows as arrays', async ({ sql }) => {
    const pages: unknown[] = []
    for await (const rows of sql`select id, name from users order by id`.values().cursor(2)) pages.push([...rows])
    return pages
  }),
]
