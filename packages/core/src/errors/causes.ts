// What an error was made of: itself, its cause, the cause of that, and so on, as far as it can be read. Of whatever it is
// given: getters may throw, causes go round in circles, and some have no end.

import type { Driver } from '../driver.js'
import { isMooringsError, type MooringsError } from './base.js'
import { ConstraintViolationError } from './constraint.js'
import { RetriesExhaustedError, TransactionAbortedError } from './transaction.js'

/** A chain of causes is short. What is longer was made by somebody who wants to keep us busy. */
const MAX_LOOKED_AT = 100

/** All of it, the outermost first. */
export function* causesOf(error: unknown): Generator<object> {
  // A set is walked in the order of insertion, what is added on the way included.
  const found = new Set<unknown>([error])
  for (const one of found) {
    if (!isObject(one)) continue
    yield one
    for (const cause of behind(one)) {
      if (found.size >= MAX_LOOKED_AT) break
      found.add(cause)
    }
  }
}

/**
 * Those of ours that tell what has gone wrong: several only where an AggregateError holds them. One of ours speaks for
 * itself, whatever it was caused by. Only a transaction that was aborted stands for what it was aborted for, if that is
 * ours; and one that was run too often for the violation it ended with.
 */
export function* mooringsErrorsIn(error: unknown, seen: Set<object> = new Set()): Generator<MooringsError> {
  if (!isObject(error) || seen.has(error) || seen.size >= MAX_LOOKED_AT) return
  seen.add(error)
  if (!isMooringsError(error)) {
    for (const cause of behind(error)) yield* mooringsErrorsIn(cause, seen)
    return
  }
  const causes = standsFor(error) ? [...mooringsErrorsIn(read(error, 'cause'), seen)] : []
  const told = error instanceof RetriesExhaustedError ? causes.filter(isViolation) : causes
  yield* told.length > 0 ? told : [error]
}

/** The first of them. */
export function mooringsErrorIn(error: unknown): MooringsError | undefined {
  const [first] = mooringsErrorsIn(error)
  return first
}

/** For an event, of what the application threw: ours in it, as its ORM's wrapper may quote a statement's parameters. */
export function toldBy(error: unknown, driver: Pick<Driver, 'classify'>): MooringsError {
  return mooringsErrorIn(error) ?? driver.classify(error, 'statement')
}

function standsFor(error: MooringsError): boolean {
  return error instanceof TransactionAbortedError || error instanceof RetriesExhaustedError
}

export function isViolation(error: MooringsError): error is ConstraintViolationError {
  return error instanceof ConstraintViolationError
}

/** Its cause, and what an AggregateError holds. What one of ours collects are earlier attempts: the last is its cause. */
function behind(error: object): unknown[] {
  const causes = [read(error, 'cause')]
  if (!isMooringsError(error)) causes.push(...entriesOf(read(error, 'errors')))
  return causes
}

function entriesOf(list: unknown): unknown[] {
  if (!isObject(list) || !isList(list)) return []
  const length = read(list, 'length')
  const count = typeof length === 'number' ? Math.min(length, MAX_LOOKED_AT) : 0
  return Array.from({ length: count }, (_, at) => read(list, String(at)))
}

function isList(value: object): boolean {
  try {
    return Array.isArray(value)
  } catch {
    // A proxy that was revoked.
    return false
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function read(value: object, key: string): unknown {
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}
