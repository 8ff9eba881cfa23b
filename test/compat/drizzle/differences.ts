// Where ours is meant to differ from stock. Each is asserted: it must differ at that place, in exactly that way, and be
// the same everywhere else.

import type { Plain } from './normalise.js'

export interface Difference {
  /** Name of the operation. */
  readonly operation: string
  readonly reason: string
  /** Where in the outcome, `[]` for all of it. */
  readonly at: readonly (string | number)[]
  readonly stock: Plain
  readonly ours: Plain
}

export const differences: readonly Difference[] = []

/** What ours has to be, given what stock is. Throws where stock is not what the difference says. */
export function expectedOfOurs(operation: string, stock: Plain): Plain {
  return differences
    .filter((difference) => difference.operation === operation)
    .reduce((expected, { at, stock: from, ours: to }) => replaceAt(expected, at, from, to), stock)
}

function replaceAt(value: Plain, [key, ...rest]: readonly (string | number)[], from: Plain, to: Plain): Plain {
  if (key === undefined) {
    if (isAlike(from, to)) throw new Error(`this difference is none: ${JSON.stringify(from)}`)
    if (isAlike(value, from)) return to
    throw new Error(`stock is no longer ${JSON.stringify(from)} there, but ${JSON.stringify(value)}`)
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => (index === key ? replaceAt(item, rest, from, to) : item))
  }
  if (typeof value === 'object' && value !== null && key in value) {
    return { ...value, [key]: replaceAt(value[key] ?? null, rest, from, to) }
  }
  throw new Error(`there is no ${key} in ${JSON.stringify(value)}`)
}

function isAlike(one: Plain, other: Plain): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))
}

function sorted(value: Plain): Plain {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, item]): [string, Plain] => [key, sorted(item)])
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}
