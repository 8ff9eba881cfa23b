// What came of one figure: a line for each of those that were measured, with a value for each step.

import { aligned } from '../table.js'

export interface Grid {
  /** As its chart is called. */
  readonly name: string
  readonly title: string
  readonly unit: string
  /** What there is more and more of. */
  readonly along: string
  readonly steps: readonly number[]
  /** On which scale, if at all. */
  readonly drawn: 'linear' | 'log' | undefined
  readonly lines: readonly Line[]
}

export interface Line {
  readonly name: string
  /** One for each step; not a number where there is none. */
  readonly values: readonly number[]
}

export function gridTable({ title, unit, along, steps, lines }: Grid): string {
  const heading = [along, ...steps.map((step) => step.toLocaleString('en'))]
  return `${title}: ${unit}\n${aligned([heading, ...lines.map(({ name, values }) => [name, ...values.map(told)])])}`
}

/** By three digits that count. */
function told(value: number): string {
  if (Number.isNaN(value)) return '–'
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
