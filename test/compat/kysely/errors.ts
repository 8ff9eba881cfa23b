// Errors in one form on both sides. What the server said must be the same, wherever each driver keeps it: pg on its
// DatabaseError, ours on a MooringsError and, as the driver named it, on its cause.

import { types } from 'node:util'
import { ConstraintViolationError, isMooringsError, type MooringsError } from '@moorings/core'
import pg from 'pg'
import { withoutValues } from './allowed-differences.js'

interface ServerError {
  code: unknown
  message: unknown
  severity: unknown
  detail: unknown
  hint: unknown
  position: unknown
  where: unknown
  schema: unknown
  table: unknown
  column: unknown
  dataType: unknown
  constraint: unknown
}

/** `undefined` for what is no error. */
export function renderableError(value: object): object | undefined {
  const error = recognised(value)
  return error && 'where' in error ? { ...error, where: withoutPortal(error.where) } : error
}

/** Portals are named as the driver likes. */
function withoutPortal(where: unknown): unknown {
  return typeof where === 'string' ? where.replaceAll(/unnamed portal|portal "[^"]*"/g, 'portal') : where
}

function recognised(value: object): object | undefined {
  if (value instanceof pg.DatabaseError) return fromPg(value)
  if (isMooringsError(value)) return fromMoorings(value)
  if (!isError(value)) return undefined
  return {
    class: value.constructor.name,
    message: 'message' in value ? value.message : undefined,
    cause: 'cause' in value ? value.cause : undefined,
  }
}

function isError(value: object): boolean {
  // Not by instanceof alone: errors of Node itself, and an AbortSignal's reason, come from outside jest's realm.
  return types.isNativeError(value) || Object.prototype.toString.call(value) === '[object DOMException]'
}

function fromPg(error: pg.DatabaseError): ServerError {
  const { code, message, severity, detail, hint, position, where, schema, table, column, dataType, constraint } = error
  return { code, message, severity, detail, hint, position, where, schema, table, column, dataType, constraint }
}

function fromMoorings(error: MooringsError): object {
  const { cause } = error
  // Not the server's words: our own error, which no stock dialect throws.
  if (!isPostgresError(cause)) return { class: error.name, code: error.code, message: error.message }
  const of = (field: string): unknown => Reflect.get(cause, field)
  const server: ServerError = {
    code: error.code,
    message: cause.message,
    severity: of('severity'),
    detail: of('detail'),
    hint: of('hint'),
    position: of('position'),
    where: of('where'),
    schema: of('schema_name'),
    table: of('table_name'),
    column: of('column_name'),
    // The key has a space in postgres.js.
    dataType: of('data type_name'),
    constraint: of('constraint_name'),
  }
  const contradictions = contradictionsOf(error, cause)
  return contradictions.length > 0 ? { ...server, contradictions } : server
}

function isPostgresError(value: unknown): value is Error {
  return value instanceof Error && value.name === 'PostgresError'
}

/** What an application reads on our error itself must be what the driver's error says. */
function contradictionsOf(error: MooringsError, cause: Error): string[] {
  const pairs: [string, unknown, unknown][] = [
    ['code', error.code, Reflect.get(cause, 'code')],
    ['message', error.message, withoutValues(error.code, cause.message)],
  ]
  if (error instanceof ConstraintViolationError) {
    for (const field of ['constraint', 'schema', 'table'] as const) {
      pairs.push([field, error[field], Reflect.get(cause, `${field}_name`)])
    }
  }
  return pairs
    .filter(([, ours, theirs]) => ours !== theirs)
    .map(([field, ours, theirs]) => `${field}: ${String(ours)} instead of ${String(theirs)}`)
}
