// Ratios as bars: an SVG of its own, small, with no font, script or picture from elsewhere, the same for the same results.
// Written by hand, as all it takes is rectangles and text: a library for charts brings a browser's DOM, or megabytes.

import type { Spread } from '../spread.js'

export interface Chart {
  readonly title: string
  /** What a bar is. */
  readonly subtitle: string
  /** Whose bars they are, in their order in each group. */
  readonly subjects: readonly string[]
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
const legend = { top: 44, line: 18 }
const plot = 200
/** Readable beside each other for all kinds of eyes, on white as on black (Okabe and Ito's). */
const colours = ['#999999', '#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00']

const style = `
    svg { font: 12px system-ui, sans-serif }
    text { fill: #1f2328 }
    .faint { fill: #59636e }
    .grid { stroke: #d1d9e0 }
    .spread, .one { stroke: #1f2328 }
    .one { stroke-dasharray: 4 3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .faint { fill: #9198a1 }
      .grid { stroke: #3d444d }
      .spread, .one { stroke: #f0f6fc }
    }`

export function svg({ title, subtitle, subjects, groups }: Chart): string {
  const group = subjects.length * bar + gap
  const width = Math.max(480, margin.left + groups.length * group + margin.right)
  const top = legend.top + subjects.length * legend.line + 20
  const height = top + plot + margin.bottom
  const highest = Math.max(1, ...groups.flatMap(({ bars }) => bars.map((one) => one?.high ?? 0)))
  const step = stepFor(highest)
  const steps = Math.ceil(highest / step + 0.1)
  const y = (ratio: number) => round(top + plot - (plot * ratio) / (step * steps))
  const lines = [
    text(margin.left, 20, title, 'font-weight="600" font-size="14"'),
    text(margin.left, 36, subtitle, 'class="faint"'),
    ...subjects.flatMap((subject, place) => {
      const line = legend.top + place * legend.line
      return [rect(margin.left, line, 12, 12, place), text(margin.left + 18, line + 10, subject)]
    }),
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
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
  <title>${escaped(title)}</title>
  <style>${style}
  </style>
${lines.map((line) => `  ${line}\n`).join('')}</svg>
`
}

function barOf({ median, low, high }: Spread, x: number, subject: number, y: (ratio: number) => number): string[] {
  const middle = x + (bar - 2) / 2
  return [
    rect(x, y(median), bar - 2, round(y(0) - y(median)), subject),
    `<path class="spread" d="M${middle} ${y(low)}V${y(high)}"/>`,
    text(middle, y(high) - 4, median.toFixed(2), 'font-size="9" text-anchor="middle"'),
  ]
}

function rect(x: number, y: number, width: number, height: number, subject: number): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${colours[subject % colours.length]}"/>`
}

function rule(name: string, from: number, y: number, to: number): string {
  return `<path class="${name}" d="M${from} ${y}H${to}"/>`
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x}" y="${round(y)}"${attributes && ` ${attributes}`}>${escaped(content)}</text>`
}

/** Of some five lines: 1, 2 or 5, times a power of ten. */
function stepFor(highest: number): number {
  const power = 10 ** Math.floor(Math.log10(highest / 5))
  return [1, 2, 5, 10].map((times) => times * power).find((step) => highest / step <= 5) ?? 10 * power
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
