// Two ORMs on one pool of a single connection: each statement brings its own value mapping, and none sees another's.

import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { type Client, createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { sql as drizzleSql } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { Kysely, sql as kyselySql } from 'kysely'
import { useScene } from './scene.js'

const scene = useScene()

const level = pg.pgEnum('level', ['low', 'high'])
const everything = pg.pgTable('everything', {
  id: pg.integer().primaryKey(),
  day: pg.date({ mode: 'date' }),
  local: pg.timestamp({ mode: 'date' }),
  moment: pg.timestamp({ withTimezone: true, mode: 'date' }),
  plain: pg.json(),
  binary: pg.jsonb(),
  big: pg.bigint({ mode: 'bigint' }),
  exact: pg.numeric(),
  counts: pg.integer().array(),
  words: pg.text().array(),
  levels: level().array(),
  days: pg.date({ mode: 'string' }).array(),
  flag: pg.boolean(),
  span: pg.interval(),
})

type Row = Record<string, unknown>

interface Database {
  everything: Row
}

const inserted = `
  insert into everything (id, day, local, moment, plain, "binary", big, exact, counts, words, levels, days, bytes, flag, span)
  values (1, '2024-02-29', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789+00', '{"a":[1,"x"]}', '{"a":[1,"x"]}',
    9007199254740993, 12345678901234567890.125, '{1,NULL,3}', '{"a b",NULL,"{}"}', '{low,high}', '{2024-02-29,2024-03-01}',
    '\\x00ff10', true, '1 day 02:03:04'), (2, ${Array.from({ length: 14 }, () => 'null').join(', ')})`

const json = { a: [1, 'x'] }
const utc = new Date('2024-02-29T12:34:56.789Z')
const local = new Date(2024, 1, 29, 12, 34, 56, 789)
const same = { id: 1, plain: json, binary: json, big: '9007199254740993', exact: '12345678901234567890.125' }
const arrays = { counts: [1, null, 3], words: ['a b', null, '{}'] }
const bytes = Buffer.from([0, 255, 16])

/** What each makes of the first row. */
const expected = {
  drizzle: {
    ...same,
    ...arrays,
    day: '2024-02-29',
    local: '2024-02-29 12:34:56.789',
    moment: '2024-02-29 12:34:56.789+00',
    levels: ['low', 'high'],
    days: '{2024-02-29,2024-03-01}',
    bytes,
    flag: true,
    span: '1 day 02:03:04',
  },
  kysely: {
    ...same,
    ...arrays,
    day: new Date(2024, 1, 29),
    local,
    moment: utc,
    levels: '{low,high}',
    days: [new Date(2024, 1, 29), new Date(2024, 2, 1)],
    bytes,
    flag: true,
    span: expect.objectContaining({ days: 1, hours: 2, minutes: 3, seconds: 4 }),
  },
  client: {
    ...same,
    ...arrays,
    day: new Date('2024-02-29'),
    // As postgres.js does it: a timestamp is read in the process's time zone, a date in UTC.
    local,
    moment: utc,
    levels: ['low', 'high'],
    days: [new Date('2024-02-29'), new Date('2024-03-01')],
    bytes,
    flag: true,
    span: '1 day 02:03:04',
  },
} satisfies Record<string, Row>

const question = 'select * from everything order by id'

let pool: PostgresPool
let orm: ResilientDatabase
let kysely: Kysely<Database>
let client: Client

beforeAll(() =>
  scene.admin.query(`
    create type level as enum ('low', 'high');
    create table everything (id int primary key, day date, local timestamp, moment timestamptz, plain json, "binary" jsonb,
      big bigint, exact numeric, counts int[], words text[], levels level[], days date[], bytes bytea, flag boolean,
      span interval)`),
)
beforeEach(async () => {
  await scene.admin.query('truncate everything')
  await scene.admin.query(inserted)
  pool = scene.closing(createPool(scene.url, { resilience: { pool: { min: 0, max: 1, overflow: 0 } } }))
  orm = drizzle({ client: pool })
  kysely = new Kysely<Database>({ dialect: new ResilientPostgresDialect({ client: pool }) })
  client = createClient(pool)
})

const askers = {
  drizzle: async (sql: string): Promise<Row[]> => [...(await orm.execute(sql))],
  kysely: async (sql: string): Promise<Row[]> => (await kyselySql.raw<Row>(sql).execute(kysely)).rows,
  client: async (sql: string): Promise<Row[]> => [...(await client.unsafe(sql))],
}
type Name = keyof typeof askers
const names: readonly Name[] = ['drizzle', 'kysely', 'client', 'kysely', 'drizzle', 'client', 'drizzle']

const nulls = { ...Object.fromEntries(Object.keys(same).map((name) => [name, null])), id: 2 }

function check(name: Name, rows: readonly Row[]): void {
  expect(rows[0]).toEqual(expected[name])
  expect(rows[1]).toMatchObject(nulls)
  expect(Object.values(rows[1] ?? {}).filter((value) => value !== null)).toEqual([2])
}

describe('two ORMs on one connection', () => {
  it('are served by the same backend, in turn', async () => {
    const pids = []
    for (const name of names) pids.push((await askers[name]('select pg_backend_pid() as pid'))[0]?.pid)
    expect(new Set(pids).size).toBe(1)
    expect(pool.stats()).toMatchObject({ created: 1, leased: 0 })
  })

  it('each see the values they know, one after the other', async () => {
    for (const name of names) check(name, await askers[name](question))
    expect(pool.stats().created).toBe(1)
  })

  it('each see the values they know, all at once', async () => {
    const answers = await Promise.all(names.map((name) => askers[name](question)))
    answers.forEach((rows, i) => {
      check(names[i] ?? 'client', rows)
    })
    expect(pool.stats().created).toBe(1)
  })

  it('each read what the other wrote, as the value it was', async () => {
    const written = {
      day: new Date('2024-02-29'),
      local: utc,
      moment: utc,
      plain: json,
      binary: json,
      big: 9007199254740993n,
      exact: '0.10',
      counts: [1, 2],
      words: ['it\'s "x"', 'b\\c', ''],
      levels: ['high' as const],
      days: ['2024-02-29'],
      flag: false,
      span: '2 mons',
    }
    await orm.insert(everything).values({ id: 10, ...written })
    // As with pg: an array meant as JSON, and an enum's array, are written by the application.
    await kysely
      .insertInto('everything')
      .values({ id: 11, ...written, day: '2024-02-29', local: '2024-02-29 12:34:56.789' })
      .execute()
    const byDrizzle = await orm.select().from(everything).where(drizzleSql`id >= 10`).orderBy(everything.id)
    expect(byDrizzle).toEqual([
      { id: 10, ...written },
      { id: 11, ...written },
    ])
    const byKysely = await kysely.selectFrom('everything').selectAll().where('id', '>=', 10).orderBy('id').execute()
    const [first, second] = byKysely
    expect({ ...second, id: 0 }).toEqual({ ...first, id: 0 })
    expect(first).toMatchObject({
      moment: utc,
      plain: json,
      big: '9007199254740993',
      words: written.words,
      flag: false,
    })
  })

  it('may prepare the same SQL, whoever comes first', async () => {
    const text = 'select "day", "big", "days" from "everything" where "everything"."id" = $1'
    const prepared = orm
      .select({ day: everything.day, big: everything.big, days: everything.days })
      .from(everything)
      .where(drizzleSql`${everything.id} = ${drizzleSql.placeholder('id')}`)
      .prepare('of_one')
    const drizzled = { day: new Date('2024-02-29'), big: 9007199254740993n, days: ['2024-02-29', '2024-03-01'] }
    const ways: Record<string, () => Promise<void>> = {
      prepared: async () => expect(await prepared.execute({ id: 1 })).toEqual([drizzled]),
      template: async () => {
        const [row] = await client`select "day", "big", "days" from "everything" where "everything"."id" = ${1}`
        const { day, big, days } = expected.client
        expect(row).toEqual({ day, big, days })
      },
      unsafe: async () => {
        const [row] = await client.unsafe(text, [1], { prepare: true })
        expect(row).toEqual({ day: expected.client.day, big: expected.client.big, days: expected.client.days })
      },
      kysely: async () => {
        const { rows } = await kysely.executeQuery<Row>({
          ...kyselySql`select 1`.compile(kysely),
          sql: text,
          parameters: [1],
        })
        const { day, big, days } = expected.kysely
        expect(rows).toEqual([{ day, big, days }])
      },
    }
    const [...all] = Object.values(ways)
    for (const way of [...all, ...all.toReversed(), ...all]) await way()
    const known = await client`select statement from pg_prepared_statements where statement like 'select "day"%'`
    // Kysely's values are text: it does not say what types they have in JavaScript, and has it prepared for itself.
    expect(known).toEqual([{ statement: text }, { statement: text }])
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it("a change to one client's parsers and serializers reaches nobody else", async () => {
    const other = drizzle({ client: pool })
    const { parsers, serializers } = orm.$client.options
    parsers[20] = (text: string) => `changed ${text}`
    parsers[16] = () => 'changed'
    parsers[114] = () => 'changed'
    serializers[25] = (value: unknown) => `changed ${String(value)}`
    const sql = `select 7::bigint as n, true as t, '{}'::json as j, array[7::bigint] as ns, $1::text as w`
    const read = async (from: Client) => (await from.unsafe(sql, ['w']))[0]
    const changed = { n: 'changed 7', t: 'changed', j: 'changed', ns: ['changed 7'], w: 'changed w' }
    const unchanged = { n: '7', t: true, j: {}, ns: ['7'], w: 'w' }
    for (let round = 0; round < 3; round++) {
      expect(await read(orm.$client)).toEqual(changed)
      expect(await read(other.$client)).toEqual(unchanged)
      expect(await read(client)).toEqual(unchanged)
      const { rows } = await kysely.executeQuery({ ...kyselySql`select 1`.compile(kysely), sql, parameters: ['w'] })
      expect(rows).toEqual([unchanged])
    }
    // Nor one that is made later.
    expect(await read(createClient(pool))).toEqual(unchanged)
    expect(pool.stats().created).toBe(1)
  })

  it('take turns with transactions, and a failed statement of one is not seen by the other', async () => {
    for (let round = 0; round < 5; round++) {
      await Promise.all([
        orm.transaction(async (tx) => {
          await tx.execute(`insert into marks values ('drizzle')`)
          check('drizzle', [...(await tx.execute(question))])
        }),
        kysely.transaction().execute(async (trx) => {
          await kyselySql`insert into marks values ('kysely')`.execute(trx)
          check('kysely', (await kyselySql.raw<Row>(question).execute(trx)).rows)
        }),
        expect(orm.execute('select 1/0')).rejects.toMatchObject({ code: '22012' }),
        expect(kyselySql`select 1/0`.execute(kysely)).rejects.toMatchObject({ code: '22012' }),
        client.begin(async (sql) => check('client', [...(await sql.unsafe(question))])),
      ])
    }
    expect(await scene.marks()).toHaveLength(10)
    expect(pool.stats()).toMatchObject({ created: 1, leased: 0 })
  })
})
