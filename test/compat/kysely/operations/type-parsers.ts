// An application's own parsers of results, and values that go back as they came.

import { type Kysely, sql } from 'kysely'
import pg from 'pg'
import { about, caught, collect } from '../operation.js'
import type { Database } from '../schema/database.js'

const [int8, numeric, date, jsonb, int4] = [20, 1700, 1082, 3802, 23]

/** pg.types is one registry for the whole process. */
async function withParser<T>(oid: number, parse: (text: string) => unknown, run: () => Promise<T>): Promise<T> {
  const original = pg.types.getTypeParser(oid, 'text')
  pg.types.setTypeParser(oid, parse)
  try {
    return await run()
  } finally {
    pg.types.setTypeParser(oid, original)
  }
}

const some = sql`select 1::int8 as big, 1.5::numeric as exact, '2024-01-01'::date as day, '{"a":1}'::jsonb as doc, 7 as n`

async function rows(db: Kysely<Database>): Promise<unknown[]> {
  return (await some.execute(db)).rows
}

export const typeParserOperations = about('type parser', [
  {
    name: 'set on pg.types is honoured, and no longer once it is taken back',
    run: async ({ db }) => [
      await withParser(int8, BigInt, () => rows(db)),
      await withParser(numeric, Number, () => rows(db)),
      await withParser(
        date,
        (text) => text,
        () => rows(db),
      ),
      await withParser(
        jsonb,
        (text) => ({ unparsed: text }),
        () => rows(db),
      ),
      await rows(db),
    ],
  },
  {
    name: 'set on pg.types is honoured for a stream and within a transaction',
    run: ({ db }) =>
      withParser(
        int4,
        (text) => `#${text}`,
        () =>
          db
            .transaction()
            .execute(async (trx) => [
              await collect(trx.selectFrom('link').selectAll().orderBy('id').stream(1)),
              await trx.selectFrom('link').select('id').orderBy('id').executeTakeFirst(),
            ]),
      ),
  },
  {
    name: 'that gives undefined, null or an object of a class',
    run: async ({ db }) => [
      await withParser(
        int4,
        () => undefined,
        () => rows(db),
      ),
      await withParser(
        int4,
        () => null,
        () => rows(db),
      ),
      await withParser(
        int4,
        (text) => new URL(`http://x/${text}`).pathname,
        () => rows(db),
      ),
    ],
  },
  {
    name: 'that throws rejects the query, and the connection serves the next',
    run: ({ open }) => {
      const db = open({ max: 1 })
      const refuse = (text: string) => {
        if (text === '7') throw new RangeError('seven is too much')
        return Number(text)
      }
      return withParser(int4, refuse, async () => [
        await caught(rows(db)),
        await sql`select ${6}::int as n`.execute(db),
        await caught(sql`select n from generate_series(6, 8) n`.execute(db)),
        await sql`select 8 as n`.execute(db),
      ])
    },
  },
  {
    name: "of the dialect's own `types`",
    run: async ({ open, db }) => {
      const types = {
        getTypeParser: (oid: number) =>
          oid === int8 ? BigInt : oid === numeric ? Number : (text: string) => `${oid}: ${text}`,
      }
      const typed = open({ types })
      return [
        await rows(typed),
        await collect(typed.selectFrom('link').selectAll().orderBy('id').stream(1)),
        await rows(db),
      ]
    },
  },
  {
    name: 'a row that was read can be written back, and reads the same',
    run: async ({ db }) => {
      await sql`insert into specimen values (
        100, 5, 9223372036854775807, 1.10, 0.1, true, 'it''s', '2024-02-29', '12:34:56.789', '2024-01-31 12:34:56.789',
        '2024-06-30 12:00:00.5+02', '1 year 2 days 03:04:05.678', '{"a":[1,null]}', '{"b":"c"}', '\\x00ff',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'happy', null, '{1,NULL}', '{"a,b",NULL}', null, '{"\\\\x01"}',
        '{"2024-01-01 00:00:00+00"}', '{sad,ok}')`.execute(db)
      const { id: _id, ...row } = await db.selectFrom('specimen').selectAll().executeTakeFirstOrThrow()
      const inserted = await db.insertInto('specimen').values(row).executeTakeFirst()
      const texts = await sql`select (s.*)::text from specimen s order by id`.execute(db)
      return [row, inserted, texts.rows]
    },
  },
  {
    name: 'an interval that was read is a parameter again, by its own toPostgres',
    run: async ({ db }) => {
      const { rows } = await sql<{ i: { toPostgres?(): string; toISO?(): string } }>`
        select '1 year -2 days 03:04:05.678'::interval as i`.execute(db)
      const [row] = rows
      const again = await sql`select ${row?.i}::interval as i, ${row?.i}::interval::text as t`.execute(db)
      return [row, row?.i.toPostgres?.(), row?.i.toISO?.(), again.rows]
    },
  },
])
