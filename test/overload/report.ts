// What came of it, as a person reads it, and as docs/overload.md has it.

import type { Figures } from './load.js'
import { type Subject, toldOf } from './subject.js'

export interface Score {
  readonly subject: Subject
  /** By the factor of the load; undefined where it went wrong. */
  readonly figures: ReadonlyMap<number, Figures | undefined>
}

export function table(scores: readonly Score[], factors: readonly number[]): string {
  const perFactor = factors.flatMap((factor) => [`${factor}x: useful`, 'of those, p50', 'normal after'])
  const lines = [
    ['', 'knows the deadline by', 'capacity', ...perFactor],
    ...scores.map(({ subject, figures }) => [
      subject.name,
      toldOf(subject),
      `${[...figures.values()].find((found) => found !== undefined)?.capacity.toFixed(0) ?? '?'}/s`,
      ...factors.flatMap((factor) => cells(figures.get(factor))),
    ]),
  ]
  const rows = lines.map((cells) => `| ${cells.join(' | ')} |`)
  const rule = `|${lines[0]?.map(() => '---|').join('')}`
  return [rows[0], rule, ...rows.slice(1)].join('\n')
}

function cells(figures: Figures | undefined): string[] {
  if (figures === undefined) return ['failed', '', '']
  const { capacity, useful, usefulMs, normalAfterMs } = figures
  return [
    (useful / capacity).toFixed(2),
    Number.isNaN(usefulMs) ? '–' : `${usefulMs.toFixed(0)} ms`,
    normalAfterMs === undefined ? 'not seen' : `${(normalAfterMs / 1_000).toFixed(2)} s`,
  ]
}

/** What became of the calls. */
export function outcomes({ outcomes }: Figures): string {
  return Object.entries(outcomes)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${count} × ${name}`)
    .join(', ')
}
