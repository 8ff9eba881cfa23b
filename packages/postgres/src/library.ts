// What we rely on inside postgres.js beyond its documented surface. Everything of the kind is named here and nowhere
// else, and library.test.ts holds the library to it.

import type { Duplex } from 'node:stream'
import { MooringsError } from '@moorings/core'
import postgres from 'postgres'

/** A column of a result, as the library describes it. */
export interface LibraryColumn {
  name: string
  type: number
  table: number
  number: number
  parser?: unknown
}

export type LibraryRow = unknown[] | Record<string, unknown>

export interface LibraryResult<Row = LibraryRow> extends Array<Row> {
  columns: LibraryColumn[] | null
  command: string | null
  count: number | null
  statement: { columns: LibraryColumn[] | null } | null
}

/** What a connection of the library is given to carry out, as far as we read or write it. */
export interface LibraryStatement {
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  readonly strings: readonly string[]
  /** What stands between the strings: values, fragments, or helpers (an identifier, a builder, a parameter). */
  readonly args: readonly unknown[]
  /** As the library has built them; it builds them anew where there are none. */
  parameters?: unknown
  /** As the caller has it: `prepare` is there, and undefined, where it is left to the connection. */
  readonly options: { simple?: boolean; prepare?: boolean | undefined }
  /** Whether the server has it prepared already; set when it is given to a connection. */
  readonly prepared?: unknown
  /** `true`: rows of buffers; `'values'`: rows of arrays; otherwise rows of objects. */
  readonly isRaw?: boolean | 'values'
  readonly onlyDescribe?: boolean
  /** Asked for as a stream: a COPY. */
  readonly streaming?: boolean
  /** Set while the statement waits for its description: its parameters follow then. */
  readonly describeFirst?: unknown
  cursorFn?: ((chunk: LibraryResult) => unknown) | undefined
  forEachFn?: ((row: LibraryRow, result: LibraryResult) => unknown) | undefined
  readonly statement: { columns: LibraryColumn[] | null } | null
  /** Ours: told why the library tries it once more, before it does. */
  retrying?: ((error: unknown) => void) | undefined
}

/**
 * The library's own Query: a promise that starts when somebody waits for it, by calling `handler(query)`. The handler is
 * a plain property, so a query made by one instance can be carried out by another's connection.
 */
export interface LibraryQuery extends Promise<unknown>, LibraryStatement {
  /** As a method: an instance's own takes any statement. */
  handler(query: LibraryQuery): void
  canceller: ((query: LibraryQuery) => Promise<void>) | null
  strings: readonly string[]
  executed: boolean
  readonly origin: string
  cursor(rows?: unknown, each?: (chunk: LibraryResult) => unknown): unknown
  values(): LibraryQuery
  execute(): LibraryQuery
  /** Has it carried out, once, in the next turn. */
  handle(): unknown
}

/** The class of the library's queries. */
type QueryClass = new (
  strings: readonly string[],
  args: readonly unknown[],
  handler: (query: never) => void,
  canceller: (query: LibraryQuery) => Promise<void>,
  options?: object,
) => LibraryQuery

/** The parsed options of an instance; most of them are read again for every statement. */
export interface LibraryOptions {
  host: string[]
  port: number[]
  path: string | false | undefined
  user: string
  database: string
  pass: unknown
  connection: Record<string, unknown>
  prepare?: unknown
  types: Record<string, unknown>
  parsers: Record<number, Parser | undefined>
  serializers: Record<number, Serializer>
  transform: LibraryTransform
  parameters: Record<string, string>
  shared: { retries: number; typeArrayMap: Record<number, number> }
}

export type Parser = (text: string) => unknown
export type Serializer = (value: unknown) => unknown

export interface LibraryTransform {
  undefined: unknown
  column: { from: ((name: string) => string) | undefined; to: ((name: string) => string) | undefined }
  value: { from: ((value: unknown, column: LibraryColumn) => unknown) | undefined; to?: unknown }
  row: { from: ((row: LibraryRow) => LibraryRow) | undefined; to?: unknown }
}

export interface UnsafeOptions {
  readonly simple?: boolean
  readonly prepare?: boolean | undefined
}

export interface LibrarySql {
  (strings: TemplateStringsArray, ...args: unknown[]): unknown
  unsafe(text: string): LibraryQuery
  readonly types: unknown
  readonly typed: unknown
  readonly array: unknown
  readonly json: unknown
  readonly PostgresError: unknown
  readonly parameters: Record<string, string>
  readonly options: LibraryOptions
  /** What a cursor's callback returns to close the cursor. */
  readonly CLOSE: object
}

export function isResult(value: unknown): value is LibraryResult {
  return Array.isArray(value) && 'columns' in value && 'command' in value
}

/** With its fragments put in, as the library has sent it; empty before that. */
export function textOf({ string }: LibraryStatement & { readonly string?: unknown }): string {
  return typeof string === 'string' ? string : ''
}

/** As far as it is known before it is sent: with its fragments, and without what helpers make of values and names. */
export function writtenText({ strings, args }: LibraryQuery): string {
  let [text = ''] = strings
  for (const [at, string] of strings.slice(1).entries()) {
    const fragment = asLibraryQuery(args[at])
    text += `${fragment === undefined ? '$1' : writtenText(fragment)}${string}`
  }
  return text
}

/** A text as it was given to `unsafe`; undefined for a tagged template. */
export function textGiven({ strings }: LibraryStatement): string | undefined {
  return 'raw' in strings ? undefined : strings[0]
}

/** Whether the library prepares it: a tagged template unless it is told not to, a text when it is told to. */
export function isPrepared({ options }: LibraryStatement): boolean {
  if (options.simple === true) return false
  return 'prepare' in options ? options.prepare === true : true
}

/** Whether its caller leaves it to the connection to prepare it. The library takes it for no. */
export function leavesPreparing({ options, cursorFn, onlyDescribe, streaming }: LibraryStatement): boolean {
  if (options.prepare !== undefined || !('prepare' in options)) return false
  return cursorFn === undefined && onlyDescribe !== true && streaming !== true
}

/** The data of a COPY. */
export function isStream(value: unknown): value is Duplex {
  return typeof value === 'object' && value !== null && 'once' in value && typeof value.once === 'function'
}

/** The library's query, or undefined for a fragment's helper (an identifier, a builder, a parameter). */
export function asLibraryQuery(made: unknown): LibraryQuery | undefined {
  return isLibraryQuery(made) ? made : undefined
}

function isLibraryQuery(made: unknown): made is LibraryQuery {
  return made instanceof Promise && 'handler' in made && 'canceller' in made
}

/** For a query that was not asked for `raw()` or `values()`; what its rows hold is for the caller to know. */
export function isObjectResult<Row>(value: unknown): value is LibraryResult<Row> {
  return isResult(value)
}

function isLibrarySql(value: unknown): value is LibrarySql {
  return (
    typeof value === 'function' &&
    'unsafe' in value &&
    typeof value.unsafe === 'function' &&
    'options' in value &&
    typeof value.options === 'object' &&
    value.options !== null &&
    'shared' in value.options
  )
}

/** An instance over options that are parsed already: it opens nothing until its first query. */
export function librarySql(options: object): LibrarySql {
  const sql: unknown = postgres(options)
  if (!isLibrarySql(sql)) throw unknownLibrary()
  return sql
}

/** What the library makes its queries of, which no module of it offers; and what closes a cursor of one. @param sql any instance */
export function queryClass(sql: unknown): { readonly Query: QueryClass; readonly close: object } {
  if (!isLibrarySql(sql)) throw unknownLibrary()
  const { constructor: made } = sql.unsafe('')
  if (!isQueryClass(made)) throw unknownLibrary()
  return { Query: made, close: sql.CLOSE }
}

function isQueryClass(value: unknown): value is QueryClass {
  return typeof value === 'function' && value.prototype instanceof Promise && 'handle' in value.prototype
}

function unknownLibrary(): MooringsError {
  return new MooringsError('config', 'This version of postgres.js does not look like one Moorings knows (3.4)')
}

/** What the library makes of an ErrorResponse. */
export function serverError(fields: Readonly<Record<string, string>>): unknown {
  return Reflect.construct(postgres.PostgresError, [fields])
}
