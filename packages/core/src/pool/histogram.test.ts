import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { seeded } from '../testing/seeded.js'
import { Histogram } from './histogram.js'

const day = 86_400_000
const microsecond = 0.001

function histogramOf(values: Iterable<number>): Histogram {
  const histogram = new Histogram()
  for (const value of values) histogram.record(value)
  return histogram
}

/** By nearest rank: the smallest value that so many per cent do not exceed. */
function exactly(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? 0
}

function expectNear(found: number, exact: number): void {
  const allowed = Math.max(exact / 32, microsecond / 32) * (1 + 1e-9)
  if (Math.abs(found - exact) > allowed) throw new Error(`${found} is further than ${allowed} away from ${exact}`)
}

describe('percentiles', () => {
  it('are zero before anything was recorded', () => {
    expect(new Histogram().snapshot()).toEqual({ count: 0, sumMs: 0, p50: 0, p95: 0, p99: 0, max: 0 })
  })

  it('lie within a thirty-second of the exact ones, for whatever was recorded', () => {
    const random = seeded(11)
    const shapes: ((scale: number) => number)[] = [
      (scale) => random() * scale,
      (scale) => scale * random() ** 8,
      (scale) => Math.exp(random() * Math.log(scale * 1_000)) / 1_000,
      (scale) => Math.round(random() * scale),
      (scale) => (random() < 0.97 ? random() : scale),
      (scale) => (random() < 0.5 ? 0 : scale),
    ]
    for (let turn = 0; turn < 400; turn++) {
      const shape = shapes[turn % shapes.length] ?? (() => 0)
      const scale = 10 ** (random() * 9 - 1)
      const values = Array.from({ length: 1 + Math.floor(random() ** 3 * 1_500) }, () => shape(scale))
      const found = histogramOf(values).snapshot()
      expectNear(found.p50, exactly(values, 50))
      expectNear(found.p95, exactly(values, 95))
      expectNear(found.p99, exactly(values, 99))
      expect(found.max).toBe(Math.max(...values))
      const ascending = [found.p50, found.p95, found.p99, found.max]
      expect(ascending.toSorted((a, b) => a - b)).toEqual(ascending)
      expect(found.count).toBe(values.length)
      expect(found.sumMs).toBeCloseTo(
        values.reduce((sum, value) => sum + value, 0),
        3,
      )
    }
  })

  it('keep their precision on both sides of every boundary between buckets', () => {
    for (let exponent = 0; exponent <= 39; exponent++) {
      for (const factor of [1, 1 + 1 / 16, 1.5, 2 - 1 / 16]) {
        for (const nudge of [1 - 1e-7, 1, 1 + 1e-7]) {
          const value = microsecond * 2 ** exponent * factor * nudge
          // A longer one beside it, or the limit set by `max` would hide what the bucket says.
          expectNear(histogramOf([value, 12 * day]).snapshot().p50, value)
        }
      }
    }
  })

  it('agree where all took the same time', () => {
    for (const value of [0, 0.25, 3, 1_000]) {
      const { p50, p99, max } = histogramOf([value, value, value]).snapshot()
      expect(max).toBe(value)
      expect(p99).toBeLessThanOrEqual(value)
      expect(p50).toBe(p99)
      expectNear(p50, value)
    }
    expect(histogramOf([0, 0, 5]).snapshot()).toMatchObject({ p50: 0, max: 5 })
  })

  it('count what is below a sixteenth of a microsecond as no time', () => {
    expect(histogramOf([1e-9, 1e-9, 5e-5, 1]).snapshot().p50).toBe(0)
  })

  it('count what cannot be a duration as no time', () => {
    const histogram = histogramOf([-1, Number.NaN, Number.NEGATIVE_INFINITY, -0])
    expect(histogram.snapshot()).toEqual({ count: 4, sumMs: 0, p50: 0, p95: 0, p99: 0, max: 0 })
  })

  it('count what takes longer than twelve days as that', () => {
    const { count, p50, max, sumMs } = histogramOf([Number.POSITIVE_INFINITY, 1e300]).snapshot()
    expect(count).toBe(2)
    expect(max).toBeGreaterThan(12 * day)
    expect(max).toBeLessThan(13 * day)
    expectNear(p50, max)
    expect(sumMs).toBe(2 * max)
  })

  it('take a caller that did not wait as a duration of zero', () => {
    const [counted, recorded] = [new Histogram(), new Histogram()]
    for (let turn = 0; turn < 94; turn++) {
      counted.recordZero()
      recorded.record(0)
    }
    for (let turn = 0; turn < 6; turn++) {
      counted.record(8)
      recorded.record(8)
    }
    expect(counted.snapshot()).toEqual(recorded.snapshot())
    expect(counted.snapshot()).toMatchObject({ count: 100, sumMs: 48, p50: 0, max: 8 })
    expectNear(counted.snapshot().p95, 8)
  })
})

describe('rotation', () => {
  it('forgets what is older than the previous rotation, and keeps the totals', () => {
    const histogram = new Histogram()
    histogram.record(1_000)
    histogram.recordZero()
    histogram.rotate()
    histogram.record(10)
    expect(histogram.snapshot()).toMatchObject({ count: 3, sumMs: 1_010, max: 1_000 })
    histogram.rotate()
    const onlyTen = histogram.snapshot()
    expect(onlyTen).toMatchObject({ count: 3, sumMs: 1_010, max: 10 })
    expectNear(onlyTen.p50, 10)
    expectNear(onlyTen.p99, 10)
    histogram.rotate()
    expect(histogram.snapshot()).toEqual({ count: 3, sumMs: 1_010, p50: 0, p95: 0, p99: 0, max: 0 })
    histogram.record(7)
    expect(histogram.snapshot()).toMatchObject({ count: 4, sumMs: 1_017, max: 7 })
    expectNear(histogram.snapshot().p50, 7)
  })

  it('takes the percentiles over both intervals, over any number of rotations', () => {
    const random = seeded(23)
    const histogram = new Histogram()
    let [previous, current]: [number[], number[]] = [[], []]
    let [count, sum] = [0, 0]
    for (let turn = 0; turn < 60; turn++) {
      const size = Math.floor(random() * 200)
      for (let i = 0; i < size; i++) {
        const value = random() < 0.3 ? 0 : random() * 10 ** (turn % 7)
        if (value === 0 && random() < 0.5) histogram.recordZero()
        else histogram.record(value)
        current.push(value)
        count++
        sum += value
      }
      const found = histogram.snapshot()
      const recent = [...previous, ...current]
      expectNear(found.p50, exactly(recent, 50))
      expectNear(found.p95, exactly(recent, 95))
      expectNear(found.p99, exactly(recent, 99))
      expect(found.max).toBe(Math.max(0, ...recent))
      expect(found.count).toBe(count)
      expect(found.sumMs).toBeCloseTo(sum, 3)
      if (random() < 0.5) continue
      histogram.rotate()
      previous = current
      current = []
    }
  })

  it('leaves a snapshot as it was taken', () => {
    const histogram = histogramOf([5])
    const before = histogram.snapshot()
    const copy = { ...before }
    histogram.record(50)
    histogram.rotate()
    histogram.rotate()
    expect(before).toEqual(copy)
  })
})

describe('memory', () => {
  it('does not grow with what is recorded', () => {
    setFlagsFromString('--expose-gc')
    const collect: unknown = runInNewContext('gc')
    if (typeof collect !== 'function') throw new Error('there is no garbage collector to call')
    const used = () => {
      collect()
      const { heapUsed, arrayBuffers } = process.memoryUsage()
      return heapUsed + arrayBuffers
    }
    const random = seeded(31)
    const histogram = new Histogram()
    const fill = (values: number) => {
      for (let i = 0; i < values; i++) {
        histogram.record(random() * day)
        if (i % 10_000 === 0) histogram.rotate()
      }
    }
    fill(50_000)
    const before = used()
    fill(500_000)
    // Half a million durations kept would be four million bytes.
    expect(used() - before).toBeLessThan(1_000_000)
    expect(histogram.snapshot().count).toBe(550_000)
  })
})
