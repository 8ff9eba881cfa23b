// Ratios as bars.

import type { Spread } from '../spread.js'
import { below, type Head, picture, rect, round, rule, stepFor, text } from '../svg.js'

/** Its subtitle says what a bar is, its subjects whose they are, in their order in each group. */
export interface Chart extends Head {
  readonly groups: readonly Group[]
}

export interface Group {
  readonly label: string
  /** One for each subject. */
  readonly bars: readonly (Spread | undefined)[]
}

const bar = 22
const gap = 22
const margin = { left: 40, right: 16, bottom: 30 }
const plot = 200

export function svg(chart: Chart): string {
  const { subjects, groups } = chart
  const group = subjects.length * bar + gap
  const width = Math.max(480, margin.left + groups.length * group + margin.right)
  const top = below(chart)
  const height = top + plot + margin.bottom
  const highest = Math.max(1, ...groups.flatMap(({ bars }) => bars.map((one) => one?.high ?? 0)))
  const step = stepFor(highest)
  const steps = Math.ceil(highest / step + 0.1)
  const y = (ratio: number) => round(top + plot - (plot * ratio) / (step * steps))
  const lines = [
    ...Array.from({ length: steps + 1 }, (_, n) => n * step).flatMap((ratio) => [
      rule('grid', margin.left, y(ratio), width - margin.right),
      text(margin.left - 6, y(ratio) + 4, String(round(ratio)), 'class="faint" text-anchor="end"'),
    ]),
    ...groups.flatMap(({ label, bars }, place) => {
      const left = margin.left + gap / 2 + place * group
      const middle = left + (subjects.length * bar) / 2
      const drawn = bars.flatMap((ratio, subject) => (ratio ? barOf(ratio, left + subject * bar, subject, y) : []))
      return [...drawn, text(middle, top + plot + 18, label, 'text-anchor="middle"')]
    }),
    rule('one', margin.left, y(1), width - margin.right),
  ]
  return picture(chart, { width, height }, margin.left, lines)
}

function barOf({ median, low, high }: Spread, x: number, subject: number, y: (ratio: number) => number): string[] {
  const middle = x + (bar - 2) / 2
  return [
    rect(x, y(median), bar - 2, round(y(0) - y(median)), subject),
    `<path class="spread" d="M${middle} ${y(low)}V${y(high)}"/>`,
    text(middle, y(high) - 4, median.toFixed(2), 'font-size="9" text-anchor="middle"'),
  ]
}
