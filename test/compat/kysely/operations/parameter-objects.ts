// What arrays and objects become as parameters, and those that cannot become anything.

import { sql } from 'kysely'
import { about, type Context, caught } from '../operation.js'
import { local, sending } from './sending.js'

class Money {
  readonly #cents: number
  constructor(cents: number) {
    this.#cents = cents
  }
  toPostgres(): string {
    return (this.#cents / 100).toFixed(2)
  }
}

class Range {
  readonly from: unknown
  readonly to: unknown
  constructor(from: unknown, to: unknown) {
    this.from = from
    this.to = to
  }
  toPostgres(prepareValue: (value: unknown) => unknown): string {
    return `[${prepareValue(this.from) ?? ''},${prepareValue(this.to) ?? ''})`
  }
}

function circular(): object {
  const object: Record<string, unknown> = {}
  object.self = object
  return object
}

/** Rejects before anything is sent, and the connection is fit for the next query. */
async function refused({ open }: Context, value: unknown): Promise<unknown> {
  const db = open({ max: 1 })
  return [
    await caught(sql`select ${value}::text`.execute(db)),
    await caught(db.transaction().execute((trx) => sql`select ${value}::text`.execute(trx))),
    (await sql`select ${1}::int as fine`.execute(db)).rows,
  ]
}

export const parameterObjectOperations = about('parameter', [
  sending(
    'arrays of numbers',
    ['int[]', 'bigint[]', 'float8[]', 'text[]'],
    [1, -2, 3],
    [],
    [
      [1, 2],
      [3, 4],
    ],
    [null, undefined],
  ),
  sending(
    'arrays of texts',
    ['text[]', 'varchar[]'],
    ['', ' ', 'NULL', 'a,b', '"', '\\', '{}', "'", '🐘', 'a\nb', null],
    [['a'], ['b,c']],
  ),
  sending('arrays of booleans and bigints', ['boolean[]', 'text[]'], [true, false, null], [1n, 0n]),
  sending(
    'arrays of dates',
    ['timestamptz[]', 'timestamp[]', 'date[]'],
    [local(2024, 0, 31, 12), null],
    [[new Date(0)]],
  ),
  sending('arrays of buffers', ['bytea[]'], [Buffer.from([0, 255]), null, Uint8Array.of(34, 92)], [[Buffer.from('x')]]),
  sending('arrays of objects', ['jsonb[]', 'json[]'], [{ a: 'say "hi", \\' }, { b: [1, null] }, null]),
  sending(
    'arrays of enums, uuids and ranges',
    ['mood[]', 'uuid[]', 'int4range[]'],
    ['sad', null],
    ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ['[1,2)'],
  ),
  sending('an array where the nesting is uneven', ['int[]'], [[1], [2, 3]], [1, [2]]),
  sending('an array with holes', ['int[]'], new Array(2)),
  sending('an array for JSON must be stringified', ['jsonb'], [1, 2], JSON.stringify([1, 2]), []),
  sending(
    'plain objects',
    ['json', 'jsonb', 'text'],
    { a: [1, null, { b: "it's" }], u: undefined },
    {},
    Object.create(null),
  ),
  sending(
    'objects of a class',
    ['jsonb'],
    new Map([[1, 2]]),
    new Set([1]),
    new URL('http://x/y'),
    /x/,
    new RangeError('x'),
    { at: new Date(0), bytes: Buffer.from('x') },
  ),
  sending('objects with toJSON', ['jsonb', 'text'], { toJSON: () => ({ mine: true }) }, { toJSON: () => undefined }),
  sending(
    'objects with toPostgres',
    ['numeric', 'text'],
    new Money(1234),
    { toPostgres: () => null },
    { toPostgres: () => 5n },
  ),
  sending(
    'objects with toPostgres that use what prepares values',
    ['int4range', 'text'],
    new Range(1, 10n),
    new Range(null, 5),
    { toPostgres: () => new Range(2, 3) },
  ),
  sending('an object with toPostgres that gives a date', ['timestamp', 'text'], {
    toPostgres: () => local(2024, 0, 31, 12),
  }),
  sending('an object with toPostgres that gives a buffer', ['bytea'], { toPostgres: () => Buffer.from([0, 255]) }),
  sending('an object with toPostgres that gives an array', ['int[]', 'text'], { toPostgres: () => [1, [2]].flat() }),
  sending('objects with toPostgres in an array', ['numeric[]', 'text[]'], [new Money(100), new Money(250)]),
  sending('symbols', ['text'], Symbol('x'), Symbol.iterator),
  {
    name: 'an object whose toPostgres throws',
    run: (context) =>
      refused(context, {
        toPostgres() {
          throw new RangeError('mine')
        },
      }),
  },
  { name: 'an object that JSON cannot say, as it contains itself', run: (context) => refused(context, circular()) },
  { name: 'an object that JSON cannot say, as it contains a bigint', run: (context) => refused(context, { big: 1n }) },
  {
    name: 'an object whose toPostgres leads back to itself',
    run: (context) => {
      const object: Record<string, unknown> = {}
      object.toPostgres = () => object
      return refused(context, object)
    },
  },
  {
    name: 'any($1) with an array, with an empty one and with one of nulls',
    run: ({ db }) =>
      Promise.all(
        [[1, 3], [], [null]].map((ids) =>
          db
            .selectFrom('person')
            .select('id')
            .where((eb) => eb('id', '=', eb.fn.any(sql<number[]>`${ids}::int[]`)))
            .orderBy('id')
            .execute(),
        ),
      ),
  },
])
