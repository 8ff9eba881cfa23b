// What the server says of a violation beside naming the constraint: which side of a foreign key was at fault, and what
// its DETAIL tells. That is written for people, in their language, and holds the row's values: it is the last to be asked,
// and believed only where its form leaves no doubt.

import type { ViolationDetail } from '@moorings/core'
import { quotes, textOf } from './error-text.js'

type Direction = 'missing-parent' | 'still-referenced'

/**
 * Without a look at the language: the message quotes the table that was changed and the constraint, and where that table
 * is not the constraint's own, that one as well. It does so too where both are one table.
 */
export function directionOf(error: unknown): Direction | undefined {
  // ON DELETE RESTRICT, since PostgreSQL 18.
  if (textOf(error, 'code') === '23001') return 'still-referenced'
  // What a trigger raises may say anything.
  if (!/^RI_/i.test(textOf(error, 'routine') ?? '')) return undefined
  const [message, constraint, table] = ['message', 'constraint_name', 'table_name'].map((key) => textOf(error, key))
  if (message === undefined || constraint === undefined || table === undefined) return undefined
  const left = without(message, constraint)
  if (left === undefined) return undefined
  const rest = without(left, table) ?? left
  return quotes.test(rest) ? 'still-referenced' : 'missing-parent'
}

/** The message without that name in quotes, once; undefined if it is not in there. */
function without(message: string, name: string): string | undefined {
  for (let at = message.indexOf(name); at >= 0; at = message.indexOf(name, at + 1)) {
    const before = message.slice(0, at).trimEnd()
    const after = message.slice(at + name.length).trimStart()
    if (quotes.test(before.slice(-1)) && quotes.test(after.slice(0, 1))) return before.slice(0, -1) + after.slice(1)
  }
  return undefined
}

/** The server's own routines that report a violated key, and what they say behind it. */
const keyed: ReadonlyMap<string, RegExp> = new Map([
  ['_bt_check_unique', / already exists\.$/],
  ['ri_ReportViolation', / is (?:not present in|(?:still )?referenced from) table ".*"\.$/s],
  ['check_exclusion_or_unique_constraint', / conflicts with existing key \(.*\)\.$/s],
])

const childsKey = / is not present in table "/

/**
 * Column names, where the key is made of nothing else, and its values, where they can be told apart: the server separates
 * them by `, `, which any of them may hold itself.
 */
export function detailOf(error: unknown): ViolationDetail | undefined {
  const tail = keyed.get(textOf(error, 'routine') ?? '')
  const detail = textOf(error, 'detail')
  if (tail === undefined || detail === undefined) return undefined
  const said = /^Key \(([a-z_][a-z0-9_]*(?:, [a-z_][a-z0-9_]*)*)\)=\(/.exec(detail)
  const [all, list] = said ?? []
  if (all === undefined || list === undefined || !tail.test(detail)) return undefined
  const names = list.split(', ')
  const ofParent = textOf(error, 'routine') === 'ri_ReportViolation' && !childsKey.test(detail)
  return { columns: ofParent ? undefined : names, values: valuesIn(detail, all.length, names) }
}

function valuesIn(detail: string, start: number, names: readonly string[]): Record<string, string> | undefined {
  // Of an exclusion the other row's key follows, of all others a text without any parenthesis.
  const other = `) conflicts with existing key (${names.join(', ')})=(`
  const conflict = detail.indexOf(other, start)
  if (conflict >= 0 && detail.indexOf(other, conflict + 1) >= 0) return undefined
  const end = conflict >= 0 ? conflict : endOfKey(detail)
  const text = detail.slice(start, end)
  const values = names.length === 1 ? [text] : text.split(', ')
  if (values.length !== names.length) return undefined
  // Not by assignment: a column may be called __proto__.
  return Object.fromEntries(names.map((name, at) => [name, values[at] ?? '']))
}

/** Where the parenthesis before the server's own last words stands. */
function endOfKey(detail: string): number {
  const words = [
    ') already exists.',
    ') is not present in table "',
    ') is still referenced from table "',
    ') is referenced from table "',
  ]
  return Math.max(...words.map((one) => detail.lastIndexOf(one)))
}
