// Outcomes as text, so that two of them can be compared by what an application would see in them: the kind of every
// value, its content, and the order of keys, but not which class made it, nor whether a key that leads to undefined is
// there at all.

import { types } from 'node:util'
import { renderableError } from './errors.js'
import type { Outcome } from './side.js'

export function renderOutcome(outcome: Outcome): string {
  return 'value' in outcome ? `resolves with ${render(outcome.value)}` : `rejects with ${render(outcome.thrown)}`
}

function render(value: unknown, indent = '', outer: readonly unknown[] = []): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (Object.is(value, -0)) return '-0'
  if (typeof value !== 'object' || value === null) return String(value)
  if (outer.includes(value)) return 'itself'
  if (types.isDate(value)) return `Date(${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()})`
  if (Buffer.isBuffer(value)) return `Buffer(${value.toString('hex')})`
  if (ArrayBuffer.isView(value))
    return `bytes(${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')})`
  const renderInner = (inner: unknown) => render(inner, `${indent}  `, [...outer, value])
  const error = renderableError(value)
  if (error) return block('error {', entries(error, renderInner), '}', indent)
  if (Array.isArray(value)) return block('[', items(value, renderInner), ']', indent)
  const opening = Object.getPrototypeOf(value) === null ? 'without prototype {' : '{'
  return block(opening, entries(value, renderInner), '}', indent)
}

type RenderInner = (value: unknown) => string

function items(array: readonly unknown[], renderInner: RenderInner): string[] {
  const extra = Object.entries(array).filter(([key]) => !/^\d+$/.test(key))
  return [...Array.from(array, renderInner), ...extra.map(([key, value]) => `${key}: ${renderInner(value)}`)]
}

function entries(object: object, renderInner: RenderInner): string[] {
  return Object.entries(object)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${renderInner(value)}`)
}

function block(opening: string, lines: readonly string[], closing: string, indent: string): string {
  if (lines.length === 0) return opening + closing
  return `${opening}\n${lines.map((line) => `${indent}  ${line}\n`).join('')}${indent}${closing}`
}
