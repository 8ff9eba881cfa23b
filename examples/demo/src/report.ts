// The table at the end.

import type { PoolStats } from '@moorings/core'
import type { Audit } from './audit.js'
import type { Books } from './books.js'

export interface Result {
  readonly name: string
  readonly books: Books
  readonly audit: Audit
  readonly stats: PoolStats
}

export function report(results: readonly Result[]): string {
  const rows: [label: string, ...cells: string[]][] = []
  const row = (label: string, cell: (result: Result) => string | number) => {
    const cells = results.map(cell).map((value) => (typeof value === 'number' ? value.toLocaleString('en') : value))
    rows.push([label, ...cells])
  }
  row('', ({ name }) => name)
  row('transfers acknowledged', ({ books }) => books.count('acknowledged'))
  row('  their rows found', ({ audit }) => audit.found.acknowledged)
  row('outcome reported as unknown', ({ books }) => books.count('unknown'))
  row('  their rows found', ({ audit }) => audit.found.unknown)
  row('failed', ({ books }) => books.count('failed'))
  row('  their rows found', ({ audit }) => audit.found.failed)
  row('sum of the balances kept', ({ audit }) => (audit.sumKept ? 'yes' : 'NO'))
  row('run again after a deadlock', ({ stats }) => stats.transactions.retries.conflict)
  row('run again after a lost connection', ({ stats }) => stats.transactions.retries.lost)
  row('COMMITs without an answer', ({ stats }) => sum(Object.values(stats.transactions.resolved)))
  row('  found to be committed', ({ stats }) => stats.transactions.resolved.committed)
  row('connections lost and replaced', ({ stats }) => stats.lost)
  row('connections made', ({ stats }) => stats.created)
  row('stood still for the fail-over', ({ books }) => inSeconds(books.pausedMs))
  row('slowest transfer', ({ books }) => `${Math.round(books.slowestMs)} ms`)
  rows.push(['', ...results.map(() => '')])
  row('errors the application saw', ({ books }) => sum(books.errors.values()))
  for (const error of new Set(results.flatMap(({ books }) => [...books.errors.keys()]).sort())) {
    row(`  ${error}`, ({ books }) => books.errors.get(error) ?? 0)
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0))) ?? []
  return rows.map((cells) => layOut(cells, widths)).join('\n')
}

function layOut([label = '', ...cells]: string[], [first = 0, ...widths]: number[]): string {
  const padded = cells.map((cell, column) => cell.padStart((widths[column] ?? 0) + 3))
  return `${label.padEnd(first)}${padded.join('')}`.trimEnd()
}

function inSeconds(ms: number | undefined): string {
  return ms === undefined ? 'there was none' : `${(ms / 1_000).toFixed(2)} s`
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}
