// db.$client as a postgres.js Sql: tagged templates, fragments and the helpers that write SQL.

import { errorOf, failing, type Operation, operation } from '../operation.js'

export const clientFragments: readonly Operation[] = [
  operation('a tagged template without parameters', ({ sql }) => sql`select id, name, mood from users order by id`),
  operation('a tagged template with parameters', ({ sql }) => {
    const age = 80
    return sql`select id, name from users where age > ${age} and mood = ${'ok'}`
  }),
  operation(
    'parameters of every JavaScript type',
    ({ sql }) =>
      sql`select ${'text'}::text as string, ${42}::int as number, ${0.5}::float8 as fraction, ${true}::bool as boolean, ${false}::bool as untrue,
      ${null}::int as nothing, ${9007199254740993n as never}::int8 as bigint, ${Buffer.from([0, 255])}::bytea as buffer,
      ${new Uint8Array([1, 2])}::bytea as bytes, ${[1, 2, 3]}::int[] as list, ${['a', 'b"c']}::text[] as words`,
  ),
  operation('a Date as a parameter', ({ sql }) =>
    errorOf(sql`select ${new Date('2024-01-01T00:00:00Z')}::timestamptz as moment`),
  ),
  operation(
    'dates come as Drizzle leaves them',
    ({ sql }) =>
      sql`select joined_at, joined_at::date as day, joined_at::timestamp as local, array[joined_at] as list, interval '1 day' as span from users order by id`,
  ),
  operation('fragments in fragments', ({ sql }) => {
    const adult = sql`age > ${18}`
    const cheerful = (yes: boolean) => (yes ? sql`and mood = ${'happy'}` : sql``)
    const order = (by: string) => sql`order by ${sql(by)} desc`
    return Promise.all([
      sql`select id from users where ${adult} ${cheerful(true)} ${order('id')}`,
      sql`select id from users where ${adult} ${cheerful(false)} ${order('name')}`,
      sql`select id from (${sql`select id, age from users where ${sql`id > ${1}`}`}) as inner_users where ${adult} order by id`,
    ])
  }),
  operation(
    'an array of fragments',
    ({ sql }) => sql`select id from users where true ${[sql`and age > ${50}`, sql`and id <> ${2}`]} order by id`,
  ),
  operation(
    'identifiers, qualified and quoted',
    ({ sql }) =>
      sql`select ${sql('u.name')}, ${sql(['id', 'age'])} from ${sql('public.users')} as ${sql('u')} order by ${sql('id')}`,
  ),
  operation('select with a list of columns and an object of values', async ({ sql }) => ({
    columns: await sql`select ${sql(['id', 'name'])} from users order by id`,
    values:
      await sql`select ${sql({ a: 'one', b: sql`1 + 1`, c: sql('name') } as never)} from users order by id limit 1`,
  })),
  operation('insert of an object', async ({ sql }) => ({
    all: await sql`insert into users ${sql({ name: 'Linus', age: 54, mood: 'ok' })} returning *`,
    some: await sql`insert into users ${sql({ name: 'Margaret', age: 80, ignored: true }, 'name', 'age')} returning id, name, age`,
    list: await sql`insert into users ${sql({ name: 'Kay', age: 81, ignored: true }, ['name'])} returning id, name, age`,
  })),
  operation('insert of many objects', async ({ sql }) => {
    const rows = [
      { name: 'one', age: 1 },
      { name: 'two', age: null },
    ]
    const result = await sql`insert into users ${sql(rows)} returning id, name, age`
    return { result, without: await sql`insert into users ${sql(rows, 'name')}` }
  }),
  operation(
    'insert with a fragment and an expression as values',
    ({ sql }) =>
      sql`insert into users ${sql({ name: sql`upper(${'made'})`, age: sql`(select max(age) from users)` } as never)} returning name, age`,
  ),
  operation('update of an object', async ({ sql }) => {
    const user = { name: 'Ada Lovelace', age: 37, mood: 'ok' }
    return {
      all: await sql`update users set ${sql(user)} where id = 1 returning *`,
      some: await sql`update users set ${sql(user, 'age', 'mood')} where id = 2 returning *`,
    }
  }),
  operation('a list after in', async ({ sql }) => ({
    numbers: await sql`select id from users where id in ${sql([1, 3, 5])} order by id`,
    texts: await sql`select id from users where name in ${sql(['Ada', `O'Hara`])}`,
    empty: await sql`select id from users where id in ${sql([])}`,
  })),
  operation('lists of rows after values', ({ sql }) => {
    const rows = [
      [1, 'Ada!'],
      [2, 'Grace!'],
    ]
    return sql`update users set name = fresh.name from (values ${sql(rows as never)}) as fresh (id, name)
      where users.id = fresh.id::int returning users.id, users.name`
  }),
  operation(
    'returning with a list of columns',
    ({ sql }) => sql`delete from tags where id = 4 returning ${sql(['id', 'name'])}`,
  ),
  operation('sql.array with and without a type', async ({ sql }) => ({
    inferred: await sql`select ${sql.array([1, 2])}::int[] as list, ${sql.array(['a', 'b,c'])}::text[] as words`,
    typed: await sql`select ${sql.array(['1', '2'], 23)} as list`,
    any: await sql`select id from users where id = any(${sql.array([2, 4])}::int[]) order by id`,
    empty: await sql`select ${sql.array([])}::int[] as list`,
  })),
  operation('arrays of every kind as parameters', async ({ sql }) => {
    const [row] =
      await sql`select ${[1, null, 3]}::int[]::text as nulls, ${['a', null, 'NULL', '', ' ', 'q"b\\s', '{,}']}::text[]::text as words,
      ${
        [
          [1, 2],
          [3, 4],
        ] as never
      }::int[]::text as matrix, ${
        [
          ['a,b', null],
          ['"', '\\'],
        ] as never
      }::text[]::text as words_matrix,
      ${sql.array([true, false, null])}::bool[]::text as flags, ${[1.5, -0.25]}::float8[]::text as numbers, ${sql.array([Buffer.from([0, 255])])}::bytea[]::text as bytes,
      ${sql.array([9007199254740993n, 1n] as never)}::int8[]::text as bigs, ${[]}::int[]::text as empty, ${['ok', 'sad']}::mood[]::text as moods`
    return {
      row,
      literal: await sql`select ${'{1,2}'}::int[] as list`,
      undefined: await errorOf(sql`select ${[1, undefined] as never}::int[] as list`),
      unsafe: await sql.unsafe('select $1::text[]::text as list', [['x', null, 'y"']]),
      // Drizzle takes arrays of dates and numerics for itself, as literals.
      moments: await errorOf(sql`select ${[new Date(0)]}::timestamptz[]::text as moments`),
      days: await errorOf(sql`select ${['2024-02-29']}::date[]::text as days`),
      numerics: await errorOf(sql`select ${[1.5]}::numeric[]::text as numerics`),
    }
  }),
  // Drizzle hands JSON to the driver as text, and takes postgres.js's own serializer away for that.
  operation(
    'sql.json takes text beside Drizzle',
    ({ sql }) =>
      sql`select ${sql.json('{"a": [1, {"b": null}]}')} as object, ${sql.json('[1, "two"]')} as list, ${sql.json(null)} as nothing`,
  ),
  failing(
    'sql.json of an object beside Drizzle',
    'ERR_INVALID_ARG_TYPE',
    ({ sql }) => sql`select ${sql.json({ a: 1 })} as object`,
  ),
  operation('an object or array for a jsonb column', async ({ sql }) => ({
    object: await errorOf(
      sql`insert into documents (strict) values (${{ plain: 'object' } as never}) returning strict, jsonb_typeof(strict) as kind`,
    ),
    text: await errorOf(
      sql`insert into documents (strict) values (${JSON.stringify({ as: 'text' })}) returning strict, jsonb_typeof(strict) as kind`,
    ),
  })),
  operation(
    'sql.typed with an oid',
    ({ sql }) =>
      sql`select ${sql.typed('7', 23)} as number, ${sql.typed('7', 25)} as text, ${sql.types('2024-01-01', 1082)} as day`,
  ),
  operation('the same query object awaited twice runs once', async ({ sql }) => {
    const query = sql`insert into tags (name) values ('once') returning id`
    return { first: await query, second: await query, count: (await sql`select count(*)::int as n from tags`)[0] }
  }),
  operation('then, catch and finally of a query', async ({ sql }) => {
    let finished = 0
    const value = await sql`select 1 as one`
      .then((rows) => rows.length)
      .finally(() => {
        finished += 1
      })
    const caught = await sql`select 1 / 0`.catch((error: unknown) => ({ error }))
    const settled = await Promise.allSettled([sql`select 2 as two`, sql`select 2 / 0`])
    return { value, caught, settled, finished }
  }),
  operation('a megabyte there and back', async ({ sql }) => {
    const bytes = Buffer.alloc(1_000_000, 'moorings')
    const [row] = await sql`select ${bytes}::bytea as bytes, ${'x'.repeat(1_000_000)}::text as text`
    return { same: bytes.equals(row?.bytes), length: row?.text.length }
  }),
  operation('a query runs when it is awaited, not before', async ({ sql }) => {
    sql`insert into tags (name) values ('never')`
    return sql`select count(*)::int as n from tags`
  }),
  operation('execute() runs a query at once', async ({ sql }) => {
    const insert = sql`insert into tags (name) values ('now') returning name`.execute()
    return { isThenable: typeof insert.then, result: await insert }
  }),
  operation('simple() sends it by the simple protocol', ({ sql }) => sql`select 1 as one, 'two' as two`.simple()),
  operation('many queries at once', ({ sql }) =>
    Promise.all(Array.from({ length: 50 }, (_, index) => sql`select ${index}::int as n`)),
  ),
  failing('undefined as a parameter', 'UNDEFINED_VALUE', ({ sql }) => sql`select ${undefined as never}::int`),
  failing('a server’s error', '42703', ({ sql }) => sql`select colour from users where id = ${1}`),
  failing('a helper used by itself', 'NOT_TAGGED_CALL', async ({ sql }) => {
    await (sql({ name: 'x' }) as unknown as PromiseLike<unknown>)
  }),
  operation('an error carries the query and its parameters unseen', async ({ sql }) => {
    const error = await errorOf(sql`select ${'x'}::int`)
    const holder = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error)
    const { query, parameters } = holder as unknown as Record<string, unknown>
    return { query, parameters, listed: Object.keys(holder).includes('parameters') }
  }),
]
