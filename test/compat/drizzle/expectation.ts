// What ours has to be, given what stock is and where the two are meant to differ.

import { type Difference, differences } from './differences.js'
import type { Plain } from './normalise.js'

/** Throws where stock is not what a difference says. */
export function expectedOfOurs(operation: string, stock: Plain): Plain {
  return differences.filter((difference) => difference.operation === operation).reduce(apply, stock)
}

function apply(expected: Plain, { at, stock, ours, reason }: Difference): Plain {
  if (isAlike(stock, ours)) throw new Error(`a difference that is none: ${reason}`)
  return replace(expected, at, (found) => {
    if (isAlike(found, stock)) return ours
    throw new Error(`at ${at.join('.')} stock should be ${JSON.stringify(stock)}, but is ${JSON.stringify(found)}`)
  })
}

function replace(value: Plain, [key, ...rest]: Difference['at'], replacement: (found: Plain) => Plain): Plain {
  if (key === undefined) return replacement(value)
  if (typeof value !== 'object' || value === null || !(key in value)) {
    throw new Error(`there is no ${key} in ${JSON.stringify(value)}`)
  }
  if (Array.isArray(value)) return value.map((item, index) => (index === key ? replace(item, rest, replacement) : item))
  return { ...value, [key]: replace(value[key] ?? null, rest, replacement) }
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
