import { expect, it } from '@jest/globals'
import type { Grid } from './grid.js'
import { lineChart } from './line-chart.js'

const grid: Grid = {
  name: 'growth-callers',
  title: 'growth: callers',
  unit: 'us of <an operation>',
  along: 'callers',
  steps: [1, 10, 1_000],
  drawn: 'linear',
  lines: [
    { name: 'a', values: [50, 100, 200] },
    { name: 'b & c', values: [25, Number.NaN, 100] },
  ],
}

/** Each line's points, as they are drawn. */
function pointsOf(drawn: string): number[][][] {
  return [...drawn.matchAll(/<polyline points="([^"]*)"/g)].map(([, points = '']) =>
    points.split(' ').map((point) => point.split(',').map(Number)),
  )
}

function labelsOf(drawn: string, anchor: string): (string | undefined)[] {
  return [...drawn.matchAll(new RegExp(`text-anchor="${anchor}">([^<]+)<`, 'g'))].map(([, label]) => label)
}

it('draws a line for each, by steps that grow by factors, and none through what was not measured', () => {
  const drawn = lineChart(grid)
  const [first = [], second = []] = pointsOf(drawn)
  const [a = 0, b = 0, c = 0] = first.map(([x = 0]) => x)
  expect((c - b) / (b - a)).toBeCloseTo(2, 2)
  expect(second).toHaveLength(2)
  expect(labelsOf(drawn, 'middle')).toEqual(['1', '10', '1k', 'callers'])
  for (const label of ['growth: callers', 'us of &lt;an operation&gt;', '>a<', '>b &amp; c<']) {
    expect(drawn).toContain(label)
  }
})

it('begins at zero at the side', () => {
  const drawn = lineChart(grid)
  const [[, [, hundred = 0] = [], [, twoHundred = 0] = []] = []] = pointsOf(drawn)
  expect(labelsOf(drawn, 'end')).toEqual(['0', '50', '100', '150', '200'])
  const bottom = 2 * hundred - twoHundred
  expect(drawn).toContain(`<path class="grid" d="M56 ${bottom}H616"/>`)
})

it('has powers of ten at the side where figures grow by factors, too', () => {
  const drawn = lineChart({ ...grid, drawn: 'log', lines: [{ name: 'a', values: [0.5, 30, 40_000] }] })
  expect(labelsOf(drawn, 'end')).toEqual(['0.1', '1', '10', '100', '1k', '10k', '100k'])
})

it('tells lines of one colour apart', () => {
  const many = Array.from({ length: 8 }, (_, n) => ({ name: `line ${n}`, values: [1, 2, 3] }))
  const drawn = lineChart({ ...grid, lines: many })
  expect(drawn.match(/<polyline [^>]*stroke-dasharray/g)).toHaveLength(1)
  expect(new Set(drawn.match(/stroke="#.*(?=\/>)/g)).size).toBe(8)
})
