// Arrays of every element type, of two dimensions, with NULLs and with everything that needs quoting.

import { arrayContained, arrayContains, arrayOverlaps, sql } from 'drizzle-orm'
import { errorOf, type Operation, operation } from '../operation.js'
import { lists, posts } from '../schema/index.js'
import { roundTrip } from './round-trip.js'

const uuid = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'

export const arrayTypes: readonly Operation[] = [
  roundTrip('NULL instead of an array', lists, [{}]),
  roundTrip('an empty array of every type', lists, [
    {
      ints: [],
      bigs: [],
      texts: [],
      shorts: [],
      exacts: [],
      doubles: [],
      flags: [],
      keys: [],
      moods: [],
      jsons: [],
      days: [],
      locals: [],
      zoned: [],
      matrix: [],
    },
  ]),
  roundTrip('arrays of integers and bigints', lists, [
    { ints: [1, -2, 2147483647], bigs: [9223372036854775807n, -9223372036854775808n] },
    { ints: [0], bigs: [0n] },
  ]),
  roundTrip('arrays of text with everything that needs quoting', lists, [
    { texts: ['plain', '', ' ', 'NULL', 'null'] },
    { texts: ['a,b', 'c"d', 'e\\f', "g'h", '{', '}', '{}', 'line\nbreak', '🚢'] },
    { texts: ['\\"', '\\\\', '","'] },
    { shorts: ['one', 'two, three', 'four "five"'] },
  ]),
  roundTrip('arrays of numerics and doubles', lists, [
    { exacts: ['1.10', '123456789012345678901234567890', 'NaN'], doubles: [0.1, -1e300] },
  ]),
  roundTrip('arrays of booleans', lists, [{ flags: [true, false] }]),
  roundTrip('arrays of uuids and enums', lists, [{ keys: [uuid, uuid.toUpperCase()], moods: ['happy', 'sad'] }]),
  roundTrip('arrays of jsonb', lists, [
    { jsons: [{ a: 1 }, [1, 2], 'text', 3, true] },
    { jsons: [{ quote: '"', back: '\\', comma: ',', brace: '{}' }] },
  ]),
  roundTrip('arrays of dates and timestamps', lists, [
    {
      days: ['2024-02-29', '1970-01-01'],
      locals: [new Date('2024-02-29T12:34:56.789Z')],
      zoned: [new Date('2024-02-29T12:34:56.789Z'), new Date(0)],
      zonedTexts: ['2024-02-29 12:00:00+00', '2024-02-29 12:00:00.123456+02'],
    },
  ]),
  roundTrip('two-dimensional arrays', lists, [
    {
      matrix: [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      wordMatrix: [
        ['a,b', 'c"d'],
        ['', '{}'],
      ],
    },
    { matrix: [[7]], wordMatrix: [['x']] },
  ]),
  operation('NULL elements in arrays of every type', async ({ db, sql: client }) => {
    await db.execute(sql`insert into lists (ints, texts, exacts, doubles, flags, keys, moods, days, matrix)
      values ('{1,NULL}', '{a,NULL,"NULL"}', '{NULL,1.5}', '{NULL}', '{t,NULL}', '{NULL}', '{NULL}', '{NULL}', '{{1,NULL}}')`)
    const { ints, texts, exacts, doubles, flags, keys, moods, days, matrix } = lists
    const [selected] = await db.select({ ints, texts, exacts, doubles, flags, keys, moods, days, matrix }).from(lists)
    const columns = 'ints, texts, exacts, doubles, flags, keys, moods, days, matrix'
    const [executed] = await db.execute(sql.raw(`select ${columns} from lists`))
    const [tagged] = await client`select ${client.unsafe(columns)} from lists`
    return { selected, executed, tagged }
  }),
  operation('NULL elements in arrays of timestamps', async ({ db }) => {
    await db.execute(
      sql`insert into lists (locals, zoned, zoned_texts) values ('{NULL,"2024-01-01 00:00:00"}', '{"2024-01-01 00:00:00+00",NULL}', '{NULL}')`,
    )
    const { locals, zoned, zonedTexts } = lists
    const [selected] = await db.select({ locals, zoned, zonedTexts }).from(lists)
    return { selected, executed: await db.execute(sql`select locals, zoned, zoned_texts from lists`) }
  }),
  operation('NULL elements that Drizzle cannot map, in arrays of jsonb and bigint', async ({ db }) => {
    await db.insert(lists).values({ jsons: [{ a: 1 }, null] })
    const jsons = await errorOf(db.select({ jsons: lists.jsons }).from(lists))
    await db.insert(lists).values({ bigs: sql`'{1,NULL}'` })
    return { jsons, bigs: await errorOf(db.select({ bigs: lists.bigs }).from(lists)) }
  }),
  operation('arrays with a lower bound of their own', async ({ db }) => {
    await db.execute(sql`insert into lists (ints, texts) values ('[0:2]={1,2,3}', '[-1:0]={a,b}')`)
    const [row] = await db.select({ ints: lists.ints, texts: lists.texts }).from(lists)
    return row
  }),
  operation('array operators take arrays as parameters', async ({ db }) => ({
    contains: await db
      .select({ id: posts.id })
      .from(posts)
      .where(arrayContains(posts.labels, ['maths']))
      .orderBy(posts.id),
    contained: await db
      .select({ id: posts.id })
      .from(posts)
      .where(arrayContained(posts.labels, ['types', 'graphs']))
      .orderBy(posts.id),
    overlaps: await db
      .select({ id: posts.id })
      .from(posts)
      .where(arrayOverlaps(posts.labels, ['hard, ware', 'engines']))
      .orderBy(posts.id),
  })),
  operation('a JavaScript array in SQL becomes a list of parameters', async ({ db }) => ({
    rows: await db.execute(sql`select id from posts where id in ${[1, 3]} order by id`),
    query: db
      .select()
      .from(posts)
      .where(sql`${posts.id} in ${[1, 3]}`)
      .toSQL(),
  })),
  operation('an array as one parameter, and unnested', ({ db }) =>
    db.execute(
      sql`select n, t from unnest(${sql.param([1, 2], lists.ints)}::int[], ${sql.param(['x', 'y,z'], lists.texts)}::text[]) as u (n, t)`,
    ),
  ),
  operation('an array appended to in an update', async ({ db }) => {
    await db.update(posts).set({ labels: sql`coalesce(${posts.labels}, '{}') || ${'{"new"}'}::text[]` })
    return db.select({ id: posts.id, labels: posts.labels }).from(posts).orderBy(posts.id)
  }),
]
