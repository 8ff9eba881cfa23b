// Back from JSON: an error that was sent between processes, kept with a job or read from a log is told apart as it was.

import * as acquire from './acquire.js'
import { type ErrorKind, isMooringsError, MooringsError, type RetryAdvice } from './base.js'
import * as config from './config.js'
import * as connection from './connection.js'
import * as constraint from './constraint.js'
import * as guard from './guard.js'
import * as session from './session.js'
import * as statement from './statement.js'
import * as transaction from './transaction.js'

const groups = {
  ...acquire,
  ...config,
  ...connection,
  ...constraint,
  ...guard,
  ...session,
  ...statement,
  ...transaction,
}
const classes = new Map<unknown, { readonly prototype: MooringsError }>([
  ...Object.entries(groups),
  ['MooringsError', MooringsError],
])

const kinds: Readonly<Record<ErrorKind, true>> = {
  acquire: true,
  connection: true,
  statement: true,
  transaction: true,
  session: true,
  constraint: true,
  config: true,
}
const advices: Readonly<Record<RetryAdvice, true>> = { transaction: true, reconnect: true, never: true, unknown: true }

type Check = (value: unknown) => boolean

const isText: Check = (value) => typeof value === 'string'
const isStep: Check = (value) => isText(value) || typeof value === 'number'
const isList =
  (isOne: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(isOne)
const isSite: Check = (value) => isObject(value) && 'table' in value && isText(value.table)

/** What guards, issues and problems read. All else is taken as it comes. */
const fields: ReadonlyMap<string, Check> = new Map([
  ...['code', 'constraint', 'schema', 'table', 'domain', 'userMessage', 'userCode'].map(
    (key) => [key, isText] as const,
  ),
  ['kind', (value) => isText(value) && Object.hasOwn(kinds, String(value))],
  ['retry', (value) => isText(value) && Object.hasOwn(advices, String(value))],
  ['columns', isList(isText)],
  ['keys', isList(isText)],
  ['path', isList(isStep)],
  ['partitionOf', isSite],
  ['references', isSite],
  ['direction', (value) => value === 'missing-parent' || value === 'still-referenced'],
  ['sent', (value) => value === false],
  ['retryInMs', Number.isFinite],
])

/**
 * The error that `toJSON()` was asked of, for guards, `toIssues` and `toProblem` to tell apart: of its class, with its
 * fields. Its cause is a name and a code, its stack begins here, and an application's own class has become
 * MooringsError.
 *
 * @returns undefined for what is not the JSON of one of ours
 * @example
 * // in a worker: process.send?.({ failed: error.toJSON() })
 * const error = errorFromJSON(message.failed)
 * if (isUniqueViolation(error, users.email)) …
 */
export function errorFromJSON(json: unknown): MooringsError | undefined {
  try {
    return isObject(json) ? made(Object.entries(json)) : undefined
  } catch {
    // A getter, or a proxy: no JSON at all.
    return undefined
  }
}

function made(entries: readonly (readonly [string, unknown])[]): MooringsError | undefined {
  const { name, message, kind, retry, ...others } = Object.fromEntries(entries)
  if (!isText(name) || !isText(message) || fields.get('kind')?.(kind) !== true) return undefined
  if (fields.get('retry')?.(retry) !== true) return undefined
  const error: unknown = Reflect.construct(Error, [message], constructorOf(classes.get(name) ?? MooringsError))
  if (!isMooringsError(error)) return undefined
  for (const [key, value] of Object.entries({ kind, retry, ...others })) {
    // What every error has, as its stack and methods, it has of its own.
    if (key in error || fields.get(key)?.(value) === false) continue
    Object.defineProperty(error, key, { value, enumerable: key !== 'cause', configurable: true, writable: true })
  }
  return error
}

function constructorOf({ prototype }: { readonly prototype: MooringsError }): () => unknown {
  const made = function made() {}
  made.prototype = prototype
  return made
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
