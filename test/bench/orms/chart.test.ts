import { expect, it } from '@jest/globals'
import { type Chart, svg } from './chart.js'

const chart: Chart = {
  title: 'drizzle: point select',
  subtitle: 'a ratio to <the first>',
  subjects: ['a', 'b & c'],
  groups: [
    { label: '1 × loopback', bars: [one(1), { median: 1.755, low: 1.7, high: 2.1 }] },
    { label: '10 × loopback', bars: [one(1), undefined] },
  ],
}

function one(median: number) {
  return { median, low: median, high: median }
}

it('draws a bar for each figure there is, as high as its ratio, with a name for each colour and group', () => {
  const drawn = svg(chart)
  const bars = [...drawn.matchAll(/<rect [^>]*width="20" height="([\d.]+)"/g)].map(([, height]) => Number(height))
  expect(bars).toHaveLength(3)
  const [first = 0, second = 0, third] = bars
  expect(second / first).toBeCloseTo(1.755, 2)
  expect(third).toBe(first)
  for (const label of [
    'drizzle: point select',
    'a ratio to &lt;the first&gt;',
    '>a<',
    '>b &amp; c<',
    '10 × loopback',
  ]) {
    expect(drawn).toContain(label)
  }
})

it('draws the same for the same results, small, and with nothing from elsewhere', () => {
  const drawn = svg(chart)
  expect(svg(chart)).toBe(drawn)
  expect(drawn.length).toBeLessThan(6_000)
  expect(drawn.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<script|<image|@import|url\(/)
  expect(drawn).toContain('prefers-color-scheme: dark')
})

it('finds lines at round numbers for ratios of any size', () => {
  const linesFor = (median: number) =>
    [...svg({ ...chart, groups: [{ label: '', bars: [one(median)] }] }).matchAll(/text-anchor="end">([\d.]+)</g)].map(
      ([, ratio]) => Number(ratio),
    )
  expect(linesFor(0.4)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1, 1.2])
  expect(linesFor(1.8)).toEqual([0, 0.5, 1, 1.5, 2])
  expect(linesFor(6.3)).toEqual([0, 2, 4, 6, 8])
})
