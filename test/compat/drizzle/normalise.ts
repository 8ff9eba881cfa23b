// Makes outcomes comparable: plain data in which every value's type is spelled out, class identity and the order of
// properties do not matter, and what is bound to differ between two databases (oids, pids) is mapped away.

import { isDate, isMap, isNativeError, isSet, isUint8Array } from 'node:util/types'

export type Plain = string | number | boolean | null | Plain[] | { [key: string]: Plain }

/** The fields of a server's error that both sides must show alike. */
const serverErrorFields = [
  'severity',
  'code',
  'message',
  'detail',
  'hint',
  'schema_name',
  'table_name',
  'column_name',
  'data type_name',
  'constraint_name',
  'position',
  'where',
]

/** First oid that is not built into PostgreSQL: those of enums and tables differ from one database to the next. */
const firstUserOid = 16_384

export interface NormaliseOptions {
  /** Sees every error met, as it was thrown. */
  onError?: (error: Error) => void
}

// Not `instanceof`: in jest, errors and buffers made by Node itself are of another realm.
export function normalise(value: unknown, options: NormaliseOptions = {}): Plain {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { $number: Object.is(value, -0) ? '-0' : `${value}` }
  }
  if (typeof value === 'undefined') return { $undefined: true }
  if (typeof value === 'bigint') return { $bigint: `${value}` }
  if (typeof value === 'symbol') return { $symbol: String(value) }
  if (typeof value === 'function') return { $function: true }
  if (isDate(value)) return { $date: Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString() }
  if (isUint8Array(value)) {
    return { [Buffer.isBuffer(value) ? '$buffer' : '$bytes']: Buffer.from(value).toString('hex') }
  }
  if (isNativeError(value)) return { $error: normaliseError(value, options) }
  if (Array.isArray(value)) return normaliseArray(value, options)
  if (isMap(value)) return { $map: normalise([...value], options) }
  if (isSet(value)) return { $set: normalise([...value], options) }
  return normaliseObject(value, options)
}

function normaliseObject(value: object, options: NormaliseOptions): { [key: string]: Plain } {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, normalise(item, options)]))
}

function normaliseArray(value: readonly unknown[], options: NormaliseOptions): Plain {
  // Array.from makes holes visible.
  const items = Array.from(value, (item) => normalise(item, options))
  // What postgres.js returns is an array with the statement's outcome in properties that are not enumerable.
  if (!('command' in value)) return items
  const { count, command, columns, statement, state } = value as unknown as Record<string, unknown>
  return {
    $rows: items,
    count: normalise(count),
    command: normalise(command),
    columns: Array.isArray(columns) ? columns.map(describeColumn) : normalise(columns),
    statement: describeStatement(statement),
    state: shapeOf(state),
  }
}

/** A postgres.js statement, as in `result.statement` or from `.describe()`. */
export function describeStatement(statement: unknown): Plain {
  if (typeof statement !== 'object' || statement === null) return normalise(statement)
  const { string, types, columns, ...rest } = statement as Record<string, unknown>
  return {
    string: normalise(string),
    types: Array.isArray(types) ? types.map(describeType) : normalise(types),
    columns: Array.isArray(columns) ? columns.map(describeColumn) : normalise(columns),
    ...(shapeOf(rest) as { [key: string]: Plain }),
  }
}

function describeColumn(column: unknown): Plain {
  if (typeof column !== 'object' || column === null) return normalise(column)
  // Whether a column shows its parser is an operation of its own.
  const { type, table, parser: _parser, ...rest } = column as Record<string, unknown>
  return {
    ...normaliseObject(rest, {}),
    type: describeType(type),
    table: table === 0 ? 'none' : typeof table,
  }
}

function describeType(oid: unknown): Plain {
  return typeof oid === 'number' && oid >= firstUserOid ? 'a type of this database' : normalise(oid)
}

/** The types of an object's values, for values that differ by nature: a backend's pid and secret, a statement's name. */
function shapeOf(value: unknown): Plain {
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, typeof item]))
}

/** The value with `severity` in an error's chain of causes: the driver's own account of what the server said. */
export function serverErrorOf(error: unknown): (Error & { code: string }) | undefined {
  return chainOf(error).find((link): link is Error & { code: string } => 'severity' in link)
}

function chainOf(error: unknown): Error[] {
  const chain: Error[] = []
  for (let link = error; isNativeError(link) && !chain.includes(link); link = link.cause) chain.push(link)
  return chain
}

function normaliseError(error: Error, options: NormaliseOptions): Plain {
  options.onError?.(error)
  const server = serverErrorOf(error)
  if (server) {
    const fields = server as unknown as Record<string, unknown>
    return Object.fromEntries(
      serverErrorFields.filter((key) => key in fields).map((key) => [key, normalise(fields[key])]),
    )
  }
  const chain = chainOf(error)
  const root = chain.at(-1) ?? error
  const code = chain.map((link) => ('code' in link ? link.code : undefined)).find((found) => found !== undefined)
  const message = root.message
    // postgres.js's own errors end with the server's address.
    .replace(/^(write \w+) \S+$/, '$1 (address)')
    // How our errors word what is allowed is tested where they are made.
    .replaceAll(/; allowed: .*/g, '')
  return { code: normalise(code), name: root.name, message }
}
