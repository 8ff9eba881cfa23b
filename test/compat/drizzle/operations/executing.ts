// `db.execute` in every form of its result, and the ways to write its SQL.

import { eq, sql } from 'drizzle-orm'
import { type Operation, operation } from '../operation.js'
import { posts, users } from '../schema/index.js'

export const executing: readonly Operation[] = [
  operation('the rows of a select', ({ db }) =>
    db.execute(sql`select id, name, joined_at, mood from ${users} order by id`),
  ),
  operation('its result is an array with the outcome beside it', async ({ db }) => {
    const result = await db.execute(sql`select id, name from users order by id limit 3`)
    const [first, ...rest] = result
    const collected: unknown[] = []
    for (const row of result) collected.push(row)
    return {
      isArray: Array.isArray(result),
      length: result.length,
      first,
      rest,
      collected,
      mapped: result.map((row) => row.id),
      filtered: result.filter((row) => row.id === 2),
      at: result.at(-1),
      spread: [...result],
      keys: Object.keys(result),
      json: JSON.stringify(result),
      count: result.count,
      command: result.command,
      columns: result.columns.map((column) => ({ name: column.name, type: column.type })),
      statement: result.statement.string,
    }
  }),
  operation('count and command of every kind of statement', async ({ db }) => {
    const outcome = async (text: string) => {
      const { count, command, length } = await db.execute(sql.raw(text))
      return { text, count, command, length }
    }
    const outcomes: unknown[] = []
    for (const text of [
      `insert into tags (name) values ('x'), ('y')`,
      `insert into tags (name) values ('z') returning id`,
      `update tags set name = name || '!' where id > 4`,
      `delete from tags where id > 100`,
      'select * from tags where false',
      'create table scratch.things (id int)',
      'create index on scratch.things (id)',
      'truncate scratch.things',
      'drop table scratch.things',
      `do $$ begin perform 1; end $$`,
      'show server_encoding',
      'values (1), (2)',
      'table tags',
    ])
      outcomes.push(await outcome(text))
    return outcomes
  }),
  operation('parameters of every JavaScript type in SQL', ({ db }) =>
    db.execute(
      sql`select ${'text'}::text as string, ${42}::int as number, ${1.5}::float8 as fraction, ${true}::bool as boolean,
        ${null}::text as nothing, ${9007199254740993n}::int8 as bigint, ${Buffer.from('bytes')}::bytea as bytes,
        ${'2024-01-01 00:00:00+00'}::timestamptz as moment, ${JSON.stringify({ a: [1] })}::jsonb as json, ${'{1,2}'}::int[] as list`,
    ),
  ),
  operation('values come as the driver leaves them, dates as text', ({ db }) =>
    db.execute(
      sql.raw(`select 1::int2 as int2, 2::int4 as int4, 3::int8 as int8, 4::oid as oid, 1.5::float4 as float4, 2.5::float8 as float8,
        1.10::numeric as numeric, true as bool, 'x'::"char" as char, '\\x00ff'::bytea as bytea, '{"a": 1}'::json as json, '[1]'::jsonb as jsonb,
        date '2024-02-29' as date, timestamp '2024-02-29 12:00' as timestamp, timestamptz '2024-02-29 12:00+00' as timestamptz, time '12:00' as time,
        interval '1 day' as interval, array[1,2] as ints, array['a','b'] as texts, array[date '2024-01-01'] as dates,
        array[timestamptz '2024-01-01 00:00+00'] as moments, array[1.5::numeric] as numerics, array['{}'::jsonb] as jsons, array['ok'::mood] as moods,
        '(1,2)'::point as point, '10.0.0.0/8'::inet as inet, row(1, 'a') as record, null as nothing, 'NaN'::float8 as nan, 'Infinity'::float8 as infinity`),
    ),
  ),
  operation('a string instead of a sql object', ({ db }) => db.execute('select count(*) as n from users')),
  operation('a query builder instead of SQL', ({ db }) =>
    db.execute(db.select({ id: users.id }).from(users).orderBy(users.id).getSQL()),
  ),
  operation('two columns of one name', ({ db }) => db.execute(sql`select 1 as same, 2 as same`)),
  operation('a column without a name, and one with an odd name', ({ db }) =>
    db.execute(sql.raw(`select 1, 2 as "Mixed Case", 3 as "with ""quotes""", 4 as "__proto__", 5 as "é"`)),
  ),
  operation('a row without columns', async ({ db }) => {
    const result = await db.execute(sql`select from users`)
    return { length: result.length, count: result.count, rows: result }
  }),
  operation('several statements in one text', ({ db }) =>
    db.execute(
      sql.raw(
        `create table scratch.many (id int); insert into scratch.many values (1), (2); select * from scratch.many order by id`,
      ),
    ),
  ),
  operation('a text with a comment, a semicolon and no statement', async ({ db }) => ({
    comment: await db.execute(sql.raw('select 1 as one -- comment')),
    semicolon: await db.execute(sql.raw('select 1 as one;')),
  })),
  operation('raw SQL, identifiers, joined lists and nested fragments', async ({ db }) => {
    const conditions = [sql`${users.age} > ${50}`, sql`${users.email} is not null`]
    const columns = sql.join([sql.identifier('id'), sql.identifier('name')], sql.raw(', '))
    const query = sql`select ${columns} from ${users} where ${sql.join(conditions, sql` and `)}`
    query.append(sql` order by ${users.id} ${sql.raw('desc')}`)
    return { rows: await db.execute(query), empty: await db.execute(sql`select 1 as one ${sql.empty()}`) }
  }),
  operation('the same parameter many times', ({ db }) => {
    const value = 7
    return db.execute(sql`select ${value}::int as a, ${value}::int + ${value}::int as b`)
  }),
  operation('a parameter of a column takes the column’s mapping', ({ db }) =>
    db.execute(
      sql`select ${sql.param(new Date('2024-06-01T00:00:00Z'), users.joinedAt)}::timestamptz as moment,
        ${sql.param({ words: 3 }, posts.details)}::jsonb as details, ${sql.param(['a,b', 'c"d'], posts.labels)}::text[] as labels`,
    ),
  ),
  operation('text with quotes, backslashes, newlines and emoji', ({ db }) =>
    db.execute(
      sql`select ${`it's "quoted" \\ back\nline\ttab 🚢 é \u200b`}::text as text, length(${'🚢🚢'}::text) as length`,
    ),
  ),
  operation('a large text and a large number of rows', async ({ db }) => {
    const [large] = await db.execute<{ text: string }>(sql`select repeat(${'ab'}, 500000) as text`)
    const rows = await db.execute<{ n: number }>(
      sql`select n, repeat('x', 50) as filler from generate_series(1, 20000) n`,
    )
    return { length: large?.text.length, rows: rows.length, count: rows.count, last: rows.at(-1) }
  }),
  operation('explain and show', async ({ db }) => ({
    explain: (await db.execute(sql`explain (costs off) select * from users where id = 1`)).length > 0,
    show: await db.execute(sql`show standard_conforming_strings`),
  })),
  operation('a setting made for one transaction is gone after it', async ({ db }) => {
    const setting = sql`select current_setting('moorings.test', true) as setting`
    const inside = await db.transaction(async (tx) => {
      await tx.execute(sql`select set_config('moorings.test', 'inside', true)`)
      return tx.execute(setting)
    })
    const [after] = await db.execute<{ setting: string | null }>(setting)
    return { inside, after: after?.setting || 'none' }
  }),
  operation('functions that return sets, records and void', async ({ db }) => ({
    set: await db.execute(sql`select * from generate_series(1, 3) as n`),
    record: await db.execute(sql`select * from (values (1, 'a'), (2, null)) as t (n, s)`),
    void: await db.execute(sql`select pg_sleep(0)`),
    notice: await db.execute(sql`select tell(${'hello'})`),
  })),
  operation('raw SQL among the columns of a select, mapped and not', ({ db }) =>
    db
      .select({ id: users.id, raw: sql`${users.joinedAt}`, mapped: sql`${users.joinedAt}`.mapWith(users.joinedAt) })
      .from(users)
      .where(eq(users.id, 2)),
  ),
]
