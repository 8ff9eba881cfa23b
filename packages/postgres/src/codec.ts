// An ORM's own value mapping. It travels with each statement, so that several ORMs can share one connection and each
// gets the values it expects.

import { type ArrayTypes, parseArray, serializeArray } from './array-types.js'
import type { LibraryColumn, LibraryResult, LibraryRow, LibraryTransform, Parser, Serializer } from './library.js'

export interface Codec {
  /** How to read a column of this type; undefined leaves the server's text as it is. */
  parser(oid: number, arrays: ArrayTypes): Parser | undefined
  /** How to write a parameter of the type the server asks for; what is not in it is written by `String`. */
  serializers(arrays: ArrayTypes): Record<number, Serializer>
  readonly transform: LibraryTransform
}

export const noTransform: LibraryTransform = {
  undefined: undefined,
  column: { from: undefined, to: undefined },
  value: { from: undefined },
  row: { from: undefined },
}

const noSerializers = {}

/** Commands of our own: text as the server wrote it, and no parameters. */
export const plain: Codec = { parser: () => undefined, serializers: () => noSerializers, transform: noTransform }

/**
 * The mapping of postgres.js itself: two tables by type oid, which their owner may change in place (Drizzle does), and
 * array types derived from them as the library does when it connects.
 */
export class TableCodec implements Codec {
  readonly #parsers: Record<number, Parser | undefined>
  readonly #serializers: Record<number, Serializer>
  readonly transform: LibraryTransform
  readonly #arrayParsers = new Map<number, Parser | undefined>()
  #withArrays: Record<number, Serializer> | undefined
  #version = -1

  constructor(tables: {
    parsers: Record<number, Parser | undefined>
    serializers: Record<number, Serializer>
    transform: LibraryTransform
  }) {
    this.#parsers = tables.parsers
    this.#serializers = tables.serializers
    this.transform = tables.transform
  }

  parser(oid: number, arrays: ArrayTypes): Parser | undefined {
    const own = this.#parsers[oid]
    if (own !== undefined) return own
    if (this.#version !== arrays.version) this.#derive(arrays)
    const derived = this.#arrayParsers.get(oid)
    if (derived !== undefined) return derived
    const element = arrays.elementOf(oid)
    if (element === undefined) {
      arrays.noteUnknown(oid)
      return undefined
    }
    const parser: Parser = (text) => parseArray(text, oid, this.#parsers[element])
    this.#arrayParsers.set(oid, parser)
    return parser
  }

  serializers(arrays: ArrayTypes): Record<number, Serializer> {
    if (this.#version !== arrays.version) this.#derive(arrays)
    return this.#withArrays ?? this.#serializers
  }

  #derive(arrays: ArrayTypes): void {
    // The owner's table stays in front of what is derived and is read live: it may still be changed.
    const derived: Record<number, Serializer> = Object.create(this.#serializers)
    for (const [array, element] of arrays.entries()) {
      if (this.#parsers[array] !== undefined && this.#serializers[array] !== undefined) continue
      derived[array] = (value) => serializeArray(value, array, this.#serializers[element], this.transform.undefined)
    }
    this.#withArrays = derived
    this.#arrayParsers.clear()
    this.#version = arrays.version
  }
}

/** What the rows of a result are. */
export type Shape = 'objects' | 'values' | 'buffers'

type RowMapper = (row: LibraryRow) => LibraryRow

/** What has to be done to each row of such a result, or undefined if it is right as it is. */
export function rowMapper(
  columns: readonly LibraryColumn[],
  shape: Shape,
  codec: Codec,
  arrays: ArrayTypes,
): RowMapper | undefined {
  const { transform } = codec
  const rowFrom = transform.row.from
  if (shape === 'buffers') return rowFrom
  const byValue = shape === 'values'
  const valueFrom = transform.value.from
  const nameFrom = transform.column.from

  const steps: Step[] = []
  columns.forEach((column, index) => {
    const parser = codec.parser(column.type, arrays)
    const { name } = column
    if (parser === undefined && valueFrom === undefined && (byValue || nameFrom === undefined)) return
    if (!byValue && !isLastOfName(columns, index, name)) return
    const named = nameFrom === undefined ? column : { ...column, name: nameFrom(name) }
    steps.push({ index, name, parse: reader(parser, valueFrom, named), to: named.name })
  })
  if (steps.length === 0) return rowFrom
  const mapped = byValue ? byPosition(steps) : nameFrom === undefined ? byName(steps) : renaming(steps)
  return rowFrom === undefined ? mapped : (row) => rowFrom(mapped(row))
}

interface Step {
  readonly index: number
  readonly name: string
  readonly to: string
  readonly parse: (text: unknown) => unknown
}

function reader(
  parser: Parser | undefined,
  valueFrom: LibraryTransform['value']['from'],
  column: LibraryColumn,
): Step['parse'] {
  const parse = (text: unknown) => (typeof text === 'string' && parser !== undefined ? parser(text) : text)
  return valueFrom === undefined ? parse : (text) => valueFrom(parse(text), column)
}

// Plain loops: these run for every row of every result.

function byPosition(steps: readonly Step[]): RowMapper {
  return (row) => {
    if (Array.isArray(row)) for (const { index, parse } of steps) row[index] = parse(row[index])
    return row
  }
}

function byName(steps: readonly Step[]): RowMapper {
  return (row) => {
    if (!Array.isArray(row)) for (const { name, parse } of steps) row[name] = parse(row[name])
    return row
  }
}

function renaming(steps: readonly Step[]): RowMapper {
  return (row) => {
    if (Array.isArray(row)) return row
    const renamed: LibraryRow = {}
    for (const { name, to, parse } of steps) renamed[to] = parse(row[name])
    return renamed
  }
}

/** Whether it only reads columns. */
function isPlain({ transform: { column, value, row } }: Codec): boolean {
  return column.from === undefined && value.from === undefined && row.from === undefined
}

/** What a {@link rowMapper} would do, without making one: for a single row that takes longer than the row. */
function mapRow(
  row: LibraryRow,
  columns: readonly LibraryColumn[],
  shape: Shape,
  codec: Codec,
  arrays: ArrayTypes,
): void {
  if (shape === 'buffers') return
  for (let index = 0; index < columns.length; index++) {
    const column = columns[index]
    if (column === undefined) continue
    const parser = codec.parser(column.type, arrays)
    if (parser === undefined) continue
    if (Array.isArray(row)) {
      const text = row[index]
      if (typeof text === 'string') row[index] = parser(text)
    } else if (isLastOfName(columns, index, column.name)) {
      const text = row[column.name]
      if (typeof text === 'string') row[column.name] = parser(text)
    }
  }
}

/** Of several columns with one name the last wins, in the library too: its value must not be parsed twice. */
function isLastOfName(columns: readonly LibraryColumn[], index: number, name: string): boolean {
  for (let later = index + 1; later < columns.length; later++) if (columns[later]?.name === name) return false
  return true
}

/**
 * Maps a result in place, as the library would have built it with the codec's parsers.
 *
 * @param described the statement's columns, for a cursor's later chunks, which carry none themselves
 */
export function mapResult(
  result: LibraryResult,
  shape: Shape,
  codec: Codec,
  arrays: ArrayTypes,
  described?: LibraryColumn[] | null,
): void {
  closeGap(result)
  const columns = result.columns ?? result.statement?.columns ?? described
  if (columns === null || columns === undefined) return
  const [first] = result
  if (first !== undefined && result.length === 1 && isPlain(codec)) mapRow(first, columns, shape, codec, arrays)
  else if (first !== undefined) {
    const map = rowMapper(columns, shape, codec, arrays)
    if (map !== undefined) {
      for (let index = 0; index < result.length; index++) {
        const row = result[index]
        if (row !== undefined) result[index] = map(row)
      }
    }
  }
  const nameFrom = codec.transform.column.from
  if (nameFrom === undefined) return
  // A prepared statement's columns are shared by all its results: renamed in a copy.
  const renamed = columns.map((column) => ({ ...column, name: nameFrom(column.name) }))
  result.columns = renamed
  if (result.statement !== null) result.statement = { ...result.statement, columns: renamed }
}

/**
 * postgres.js counts the rows of a statement from zero only if the one before did not fail after some rows: otherwise
 * the result begins with as many holes.
 */
function closeGap(result: LibraryResult): void {
  if (result.length === 0 || 0 in result) return
  const first = result.findIndex((_, index) => index in result)
  result.splice(0, first)
}
