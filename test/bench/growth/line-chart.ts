// Figures as lines over steps that grow by factors: the scale below is logarithmic, the one at the side if asked for.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { below, colourOf, colours, type Head, picture, round, rule, stepFor, text } from '../svg.js'
import type { Grid } from './grid.js'

const size = { width: 640, plot: 260 }
const margin = { left: 56, right: 24, bottom: 44 }

/** Of those whose colour is another one's, too. */
const dashed = ' stroke-dasharray="6 3"'

/** Where a value is, and the values at which there is a line. */
interface Scale {
  at(value: number): number
  readonly marks: readonly number[]
}

/** Into files such as `growth-callers.svg`. */
export async function writeLineCharts(folder: string, grids: readonly Grid[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const grid of grids) {
    if (grid.drawn !== undefined) await writeFile(join(folder, `${grid.name}.svg`), lineChart(grid))
  }
}

export function lineChart({ title, unit, along, steps, lines, drawn }: Grid): string {
  const head: Head = { title, subtitle: unit, subjects: lines.map(({ name }) => name) }
  const top = below(head)
  const bottom = top + size.plot
  const values = lines.flatMap(({ values }) => values.filter((value) => value > 0))
  const side = drawn === 'log' ? powersOfTen(values, bottom) : fromZero(values, bottom)
  const [low, high] = [Math.min(...steps), Math.max(...steps)].map(Math.log10)
  const width = size.width - margin.left - margin.right
  const x = (step: number) =>
    round(margin.left + (width * (Math.log10(step) - (low ?? 0))) / ((high ?? 0) - (low ?? 0)))
  return picture(head, { width: size.width, height: bottom + margin.bottom }, margin.left, [
    ...side.marks.flatMap((mark) => [
      rule('grid', margin.left, side.at(mark), size.width - margin.right),
      text(margin.left - 6, side.at(mark) + 4, short(mark), 'class="faint" text-anchor="end"'),
    ]),
    ...steps.map((step) => text(x(step), bottom + 18, short(step), 'text-anchor="middle"')),
    text(margin.left + width / 2, bottom + 36, along, 'class="faint" text-anchor="middle"'),
    ...lines.map(({ values }, place) => {
      const points = steps.flatMap((step, at) => {
        const value = values[at] ?? Number.NaN
        return Number.isNaN(value) ? [] : [`${x(step)},${side.at(value)}`]
      })
      return `<polyline points="${points.join(' ')}" fill="none" stroke="${colourOf(place)}" stroke-width="2"${place < colours ? '' : dashed}/>`
    }),
  ])
}

function fromZero(values: readonly number[], bottom: number): Scale {
  const highest = Math.max(...values)
  const step = stepFor(highest)
  const count = Math.ceil(highest / step)
  return {
    at: (value) => round(bottom - (size.plot * value) / (step * count)),
    marks: Array.from({ length: count + 1 }, (_, n) => n * step),
  }
}

function powersOfTen(values: readonly number[], bottom: number): Scale {
  const lowest = Math.floor(Math.log10(Math.min(...values)))
  const count = Math.max(1, Math.ceil(Math.log10(Math.max(...values))) - lowest)
  return {
    at: (value) => round(bottom - (size.plot * (Math.log10(value) - lowest)) / count),
    marks: Array.from({ length: count + 1 }, (_, n) => 10 ** (lowest + n)),
  }
}

/** 1k, 1M: without a rounding that shows. */
function short(value: number): string {
  if (value >= 1e6) return `${round(value / 1e6)}M`
  return value >= 1e3 ? `${round(value / 1e3)}k` : String(Number(value.toPrecision(3)))
}
