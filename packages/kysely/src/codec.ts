// How values travel, for Kysely: as `pg` maps them, since that is what an application's code and types were written for.
// Results go through pg-types, the registry `pg` itself reads; parameters become text, so that the server infers their
// types exactly as it does for `pg`.

import { types as nodeTypes } from 'node:util'
import pgTypes from 'pg-types'

/**
 * Where parsers of result values come from: the shape of `types` in pg's own configuration, so that what an application
 * passed there fits here.
 *
 * @example
 * const types: TypeParsers = {
 *   getTypeParser: (oid, format) => (oid === 20 ? BigInt : pg.types.getTypeParser(oid, format)),
 * }
 */
export interface TypeParsers {
  getTypeParser(oid: number, format: 'text'): (text: string) => unknown
}

/** A parameter that says itself how it is written; what it returns is prepared in turn. */
export interface ToPostgres {
  toPostgres(prepareValue: (value: unknown) => string | null): unknown
}

/** The value mapping of one dialect: both directions in PostgreSQL's text format. */
export interface Codec {
  /** The parser of a column. NULL never reaches it. */
  parserOf(oid: number): (text: string) => unknown
  /** A parameter as the server is to read it, `null` for NULL. Throws what a value's own `toPostgres` or `toJSON` throws. */
  prepareParameter(value: unknown): Parameter
}

/** A parameter on its way to the server. */
export type Parameter = string | null | Bytes

/**
 * Bytes whose column is not known yet: in a bytea they are themselves, in a uuid its sixteen bytes, elsewhere UTF-8 text,
 * as pg's binary parameters are read by the server. Not a Uint8Array, of which postgres.js would make a bytea at once.
 */
export class Bytes {
  readonly #bytes: Buffer

  constructor(view: ArrayBufferView) {
    this.#bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
  }

  get bytea(): string {
    return `\\x${this.#bytes.toString('hex')}`
  }

  get uuid(): string {
    return this.#bytes.toString('hex')
  }

  toString(): string {
    return this.#bytes.toString('utf8')
  }
}

/** By the type the server asks for; everything else is written as its text. */
export const binarySerializers: Record<number, (value: unknown) => unknown> = {
  17: (value) => (value instanceof Bytes ? value.bytea : String(value)),
  2950: (value) => (value instanceof Bytes ? value.uuid : String(value)),
}

/**
 * Without `types`, parsers are looked up in pg-types each time they are needed: `pg.types.setTypeParser(…)` goes on
 * working, also when it is called late, as long as `pg` and this package share one copy of pg-types.
 */
export function createCodec(types: TypeParsers = pgTypes): Codec {
  return {
    parserOf: (oid) => types.getTypeParser(oid, 'text'),
    prepareParameter: (value) => prepare(value, []),
  }
}

/**
 * - `null`, `undefined`: NULL
 * - `Date`: local time with its offset, so that a `timestamp` and a `date` keep what the application's clock shows
 * - `Buffer`, typed arrays: bytea
 * - arrays: an array literal, nested ones included (an array meant as JSON must be stringified by the caller)
 * - other objects: what their `toPostgres` returns, else their JSON
 * - everything else: its text
 */
export function prepareValue(value: unknown): string | null {
  const prepared = prepare(value, [])
  return prepared instanceof Bytes ? prepared.bytea : prepared
}

function prepare(value: unknown, outer: readonly object[]): Parameter {
  if (value === null || value === undefined) return null
  if (typeof value !== 'object') return String(value)
  if (ArrayBuffer.isView(value)) return new Bytes(value)
  // Not instanceof: a Date may come from another realm (a vm context, jest).
  if (nodeTypes.isDate(value)) return localTime(value)
  if (Array.isArray(value)) return arrayLiteral(value)
  if (!hasToPostgres(value)) return json(value)
  if (outer.includes(value)) throw new Error('A parameter refers to itself: its toPostgres() leads back to it')
  return prepare(value.toPostgres(prepareValue), [...outer, value])
}

function hasToPostgres(value: object): value is ToPostgres {
  return 'toPostgres' in value && typeof value.toPostgres === 'function'
}

function json(value: object): string | null {
  // Its type hides that the answer is undefined where a toJSON() returns undefined.
  const text: string | undefined = JSON.stringify(value)
  return text ?? null
}

function arrayLiteral(items: readonly unknown[]): string {
  // Array.from, as map() would leave the holes of a sparse array out.
  return `{${Array.from(items, arrayElement).join(',')}}`
}

function arrayElement(item: unknown): string {
  if (Array.isArray(item)) return arrayLiteral(item)
  const text = prepareValue(item)
  // Always quoted: spares the question which texts ('', 'null', 'a b', '{') an array literal would read differently.
  return text === null ? 'NULL' : `"${text.replaceAll(/["\\]/g, '\\$&')}"`
}

function localTime(date: Date): string {
  const year = date.getFullYear()
  // PostgreSQL counts 2 BC, 1 BC, 1 AD where JavaScript counts -1, 0, 1.
  const beforeChrist = year < 1
  const day = [padded(beforeChrist ? 1 - year : year, 4), padded(date.getMonth() + 1), padded(date.getDate())]
  const time = [padded(date.getHours()), padded(date.getMinutes()), padded(date.getSeconds())]
  return `${day.join('-')}T${time.join(':')}.${padded(date.getMilliseconds(), 3)}${offset(date)}${beforeChrist ? ' BC' : ''}`
}

function offset(date: Date): string {
  const minutesWestOfUtc = date.getTimezoneOffset()
  const minutes = Math.abs(minutesWestOfUtc)
  return `${minutesWestOfUtc > 0 ? '-' : '+'}${padded(Math.floor(minutes / 60))}:${padded(minutes % 60)}`
}

function padded(value: number, length = 2): string {
  return String(value).padStart(length, '0')
}
