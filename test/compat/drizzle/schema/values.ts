// One column for every type that Drizzle maps, in every mode.

import {
  bigint,
  bigserial,
  boolean,
  char,
  cidr,
  customType,
  date,
  doublePrecision,
  inet,
  integer,
  interval,
  json,
  jsonb,
  line,
  macaddr,
  macaddr8,
  numeric,
  pgTable,
  point,
  real,
  serial,
  smallint,
  smallserial,
  text,
  time,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { mood } from './people.js'
import { tstzrange } from './rules.js'

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

/** A custom type that maps both ways. */
const int4range = customType<{ data: { from: number; to: number }; driverData: string }>({
  dataType: () => 'int4range',
  toDriver: ({ from, to }) => `[${from},${to})`,
  fromDriver(value) {
    const [from, to] = value.slice(1, -1).split(',').map(Number)
    return { from: from ?? Number.NaN, to: to ?? Number.NaN }
  },
})

export const numbers = pgTable('numbers', {
  id: serial().primaryKey(),
  small: smallint(),
  whole: integer(),
  bigNumber: bigint('big_number', { mode: 'number' }),
  big: bigint({ mode: 'bigint' }),
  exact: numeric(),
  exactNumber: numeric('exact_number', { mode: 'number' }),
  exactBigint: numeric('exact_bigint', { mode: 'bigint' }),
  scaled: numeric({ precision: 12, scale: 4 }),
  single: real(),
  double: doublePrecision(),
  autoSmall: smallserial('auto_small'),
  autoBig: bigserial('auto_big', { mode: 'bigint' }),
})

export const words = pgTable('words', {
  id: serial().primaryKey(),
  plain: text(),
  short: varchar({ length: 20 }),
  padded: char({ length: 5 }),
  flag: boolean(),
  key: uuid(),
  bytes: bytea(),
  mood: mood(),
  choice: text({ enum: ['red', 'green'] }),
})

export const moments = pgTable('moments', {
  id: serial().primaryKey(),
  dayText: date('day_text', { mode: 'string' }),
  day: date({ mode: 'date' }),
  hour: time(),
  hourPrecise: time('hour_precise', { precision: 3 }),
  hourZoned: time('hour_zoned', { withTimezone: true }),
  localText: timestamp('local_text', { mode: 'string' }),
  local: timestamp({ mode: 'date' }),
  localPrecise: timestamp('local_precise', { mode: 'string', precision: 3 }),
  zonedText: timestamp('zoned_text', { mode: 'string', withTimezone: true }),
  zoned: timestamp({ mode: 'date', withTimezone: true }),
  zonedWhole: timestamp('zoned_whole', { mode: 'date', withTimezone: true, precision: 0 }),
  span: interval(),
  spanDays: interval('span_days', { fields: 'day to second', precision: 3 }),
})

export const documents = pgTable('documents', {
  id: serial().primaryKey(),
  loose: json(),
  strict: jsonb(),
})

export const places = pgTable('places', {
  id: serial().primaryKey(),
  address: inet(),
  network: cidr(),
  card: macaddr(),
  card8: macaddr8(),
  spot: point(),
  spotXy: point('spot_xy', { mode: 'xy' }),
  edge: line(),
  edgeAbc: line('edge_abc', { mode: 'abc' }),
  span: int4range(),
  period: tstzrange(),
})

export const lists = pgTable('lists', {
  id: serial().primaryKey(),
  ints: integer().array(),
  bigs: bigint({ mode: 'bigint' }).array(),
  texts: text().array(),
  shorts: varchar({ length: 20 }).array(),
  exacts: numeric().array(),
  doubles: doublePrecision().array(),
  flags: boolean().array(),
  keys: uuid().array(),
  moods: mood().array(),
  jsons: jsonb().array(),
  days: date().array(),
  locals: timestamp().array(),
  zoned: timestamp({ withTimezone: true }).array(),
  zonedTexts: timestamp('zoned_texts', { withTimezone: true, mode: 'string' }).array(),
  matrix: integer().array().array(),
  wordMatrix: text('word_matrix').array().array(),
})
