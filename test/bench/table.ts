// Results as a person reads them: ratios first, as times are this machine's and today's.

import type { Result, Row } from './harness.js'
import type { Spread } from './spread.js'

const columns = ['ratio', '', 'ns/op', '', 'B/op', 'kept B/op']

/** The ranges are from the first quartile to the third. */
export function table({ bench, contest, operations, rows }: Result): string {
  const title = `${bench}: ${contest} (${operations} operations a round, processor time)`
  return `${title}\n${aligned([['', ...columns], ...rows.map(cells)])}`
}

/** The first column to the left, the others to the right. */
export function aligned(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)
  return lines.map((line) => line.map(pad).join('  ')).join('\n')
}

/** From the first quartile to the third. */
export function range({ low, high }: Spread, digits: number): string {
  return `${low.toFixed(digits)}–${high.toFixed(digits)}`
}

function cells({ subject, ratio, nanoseconds, allocated, kept }: Row): string[] {
  return [
    subject,
    ratio.median.toFixed(2),
    range(ratio, 2),
    nanoseconds.median.toFixed(0),
    range(nanoseconds, 0),
    allocated?.toFixed(0) ?? '?',
    // Without the sign of a nothing that came out below it.
    (Math.round(kept * 10) / 10 + 0).toFixed(1),
  ]
}
