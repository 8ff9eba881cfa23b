// Results as a person reads them: ratios first, as times are this machine's and today's.

import type { Result, Row, Spread } from './harness.js'

const columns = ['ratio', '', 'ns/op', '', 'B/op', 'kept B/op']

/** The ranges are from the first quartile to the third. */
export function table({ bench, contest, operations, time, rows }: Result): string {
  const lines = [['', ...columns], ...rows.map(cells)]
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  const text = lines.map((line) => line.map((cell, column) => aligned(cell, column, widths[column] ?? 0)).join('  '))
  return [`${bench}: ${contest} (${operations} operations a round, ${time} time)`, ...text].join('\n')
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

function range({ low, high }: Spread, digits: number): string {
  return `${low.toFixed(digits)}–${high.toFixed(digits)}`
}

function aligned(cell: string, column: number, width: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}
