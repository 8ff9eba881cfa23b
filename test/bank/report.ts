// What came of it, as a person reads it. Times are this machine's; the ratios are taken within a round.

import { spread } from '../bench/spread.js'
import type { Score } from './compare.js'

/** From so many attempts up to and including so many: with at most 5 retries there are no more than 6. */
const classes = [
  [1, 1],
  [2, 2],
  [3, 3],
  [4, 6],
  [7, 11],
  [12, 16],
  [17, 21],
  [22, Number.POSITIVE_INFINITY],
] as const

const headings = [
  ...['', 'failed', 'attempts'],
  ...classes.map(([from, to]) =>
    from === to ? `${from}` : to === Number.POSITIVE_INFINITY ? `${from}+` : `${from}–${to}`,
  ),
  ...['most', 'p50 ms', 'p99 ms', 'max ms', 's', 'ratio', ''],
]

/**
 * `failed`: errors that reached a caller. `attempts`: of a transfer, on average, and then how many transfers took how
 * many. The ratio is of its time to that of the first subject of the same ORM: the median of the rounds, and their range.
 */
export function table(scores: readonly Score[]): string {
  const lines = [headings, ...scores.map((score) => cells(score, scores.find(({ orm }) => orm === score.orm) ?? score))]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const aligned = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  return lines.map((line) => line.map(aligned).join('  ')).join('\n')
}

function cells({ orm, subject, outcomes, seconds }: Score, measure: Score): string[] {
  const attempts = outcomes.map((outcome) => outcome.attempts)
  const ms = outcomes.map((outcome) => outcome.ms).sort((a, b) => a - b)
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  const at = (part: number) => (ms[Math.ceil(part * ms.length) - 1] ?? Number.NaN).toFixed(0)
  const ratios = seconds.map((time, round) => time / (measure.seconds[round] ?? Number.NaN))
  return [
    `${orm}: ${subject}`,
    `${outcomes.filter(({ error }) => error !== undefined).length}`,
    (sum(attempts) / attempts.length).toFixed(2),
    ...classes.map(([from, to]) => `${attempts.filter((count) => count >= from && count <= to).length}`),
    `${attempts.reduce((most, count) => Math.max(most, count), 0)}`,
    ...[at(0.5), at(0.99), at(1)],
    sum(seconds).toFixed(1),
    spread(ratios).median.toFixed(2),
    `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`,
  ]
}

/** The errors that reached callers, by name and code. */
export function failures({ outcomes }: Score): string {
  const counts = new Map<string, number>()
  for (const { error } of outcomes) {
    if (error === undefined) continue
    const name = nameOf(error)
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts].map(([name, count]) => `${count} × ${name}`).join(', ')
}

export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { name, cause } = error
  if ('code' in error && typeof error.code === 'string') return `${name} ${error.code}`
  return cause instanceof Error ? `${name} (${nameOf(cause)})` : `${name}: ${error.message}`
}
