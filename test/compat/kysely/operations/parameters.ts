// What numbers, texts, dates and bytes become as parameters, and parameters that do not fit.

import { CompiledQuery } from 'kysely'
import { about, caught } from '../operation.js'
import { local, sending } from './sending.js'

export const parameterOperations = about('parameter', [
  sending('null and undefined', ['int', 'text', 'jsonb', 'int[]', 'timestamptz'], null, undefined),
  sending('numbers', ['int', 'float8', 'numeric', 'text'], 0, -0, 5, -2147483648),
  sending('fractions and extremes', ['float8', 'numeric', 'text', 'int'], 0.1, 1e21, 5e-324, Number.NaN, -Infinity),
  sending('bigints', ['bigint', 'numeric', 'text'], 0n, -9223372036854775808n, 12345678901234567890n),
  sending('booleans', ['boolean', 'text', 'int'], true, false),
  sending(
    'strings',
    ['text', 'varchar(3)', 'char(4)', 'name'],
    '',
    ' ',
    "O'Neill",
    'C:\\x',
    '🐘',
    'NULL',
    '\ud800',
    'a\nb',
  ),
  sending('a string with a NUL character', ['text'], 'a\0b'),
  sending('strings for numbers', ['int', 'bigint', 'float8'], '5', ' -5 ', 'x', ''),
  sending(
    'strings for dates',
    ['date', 'timestamp', 'timestamptz', 'time'],
    '2024-06-30 12:00:00',
    'infinity',
    '12:00',
  ),
  sending('strings for JSON', ['json', 'jsonb'], '{"a": 1}', '[1]', '"x"', '5', 'null', 'x'),
  sending(
    'strings for the rest',
    ['bytea', 'uuid', 'mood', 'boolean', 'inet', 'int4range'],
    '\\x00ff',
    'happy',
    'yes',
    '[1,2)',
  ),
  sending('boxed primitives', ['text', 'jsonb'], Object('x'), Object(5), Object(true)),
  sending(
    'dates, in winter and in summer',
    ['timestamptz', 'timestamp', 'date', 'time', 'timetz', 'text'],
    local(2024, 0, 31, 12, 34, 56, 789),
    local(2024, 6, 1, 0, 0, 0, 1),
  ),
  sending(
    'dates around the change to summer time',
    ['timestamptz', 'timestamp'],
    new Date('2024-03-10T05:29:59.999Z'),
    new Date('2024-03-10T05:30:00.000Z'),
    new Date('2024-11-03T04:30:00.000Z'),
    new Date('2024-11-03T05:30:00.000Z'),
  ),
  sending(
    'dates long ago and far ahead',
    ['timestamptz', 'timestamp', 'date'],
    local(1850, 0, 1),
    local(33, 3, 3, 15),
    local(0, 11, 31),
    local(-43, 2, 15, 12),
    local(12024, 0, 1),
    new Date(0),
  ),
  sending('an invalid date', ['timestamptz', 'text'], new Date(Number.NaN)),
  sending(
    'buffers and typed arrays, as bytea',
    ['bytea'],
    Buffer.from([0, 255, 92]),
    Buffer.alloc(0),
    Uint8Array.of(1, 2, 3),
    Uint8Array.of(1, 2, 3, 4).subarray(1, 3),
    Uint16Array.of(258),
    new DataView(Uint8Array.of(7, 8).buffer),
  ),
  sending('a buffer that is no bytea: a text', ['text', 'varchar'], Buffer.from("O'Neill 🐘")),
  sending('a buffer that is no bytea: JSON', ['json', 'jsonb'], Buffer.from('{"a":1}')),
  sending('a buffer that is no bytea: the sixteen bytes of a uuid', ['uuid'], Buffer.alloc(16, 7)),
  sending('an ArrayBuffer', ['jsonb', 'bytea'], Uint8Array.of(1).buffer),
  {
    name: 'of each kind into its column, its type told by the column alone',
    run: ({ db }) =>
      db
        .insertInto('specimen')
        .values({
          n_int: 5,
          n_bigint: 9223372036854775807n,
          n_numeric: 1.5,
          n_double: Number.NaN,
          a_boolean: false,
          a_text: 'C:\\x',
          a_date: local(2024, 1, 29),
          a_time: '12:34:56.7',
          a_timestamp: local(2024, 0, 31, 12, 34, 56, 789),
          a_timestamptz: local(2024, 6, 1, 12),
          a_interval: '1 day',
          a_json: { a: 1 },
          a_jsonb: JSON.stringify([1, { b: null }]),
          a_bytea: Buffer.from([0, 255]),
          a_uuid: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
          a_mood: 'happy',
          a_point: '(1,2)',
          ints: [1, null],
          texts: ['a,b', null],
          jsonbs: [{ a: 1 }, null],
          byteas: [Buffer.from('x')],
          timestamptzs: [new Date(0)],
          moods: ['sad'],
        })
        .returningAll()
        .execute(),
  },
  {
    name: 'of the wrong kind for its column',
    run: ({ db }) => {
      const wrong: object[] = [
        { n_int: true },
        { n_int: 1.5 },
        { n_int: new Date(0) },
        { a_boolean: 2 },
        { a_jsonb: [1, 2] },
        { a_uuid: 'x' },
        { a_point: { x: 1, y: 2 } },
        { ints: 5 },
        { ints: { a: 1 } },
        { a_date: 5 },
      ]
      return Promise.all(
        wrong.map((values) =>
          caught(
            db
              .insertInto('specimen')
              .values(values as never)
              .execute(),
          ),
        ),
      )
    },
  },
  {
    name: 'too few and too many for the statement',
    run: async ({ db }) => [
      await caught(db.executeQuery(CompiledQuery.raw('select $1::int, $2::int', [1]))),
      await caught(db.executeQuery(CompiledQuery.raw('select $1::int', [1, 2]))),
      await caught(db.executeQuery(CompiledQuery.raw('select $2::int', [1, 2]))),
    ],
  },
])
