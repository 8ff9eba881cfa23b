import { describe, expect, it } from '@jest/globals'
import { type Backoff, backoffDelay, connectBackoff, exponentialDelay } from './backoff.js'
import { seeded } from './testing/seeded.js'

const almostOne = 1 - Number.EPSILON

describe('backoffDelay', () => {
  it('doubles from the first delay up to the longest', () => {
    const longest = [1, 2, 3, 4, 5, 6, 7].map((failures) => backoffDelay(connectBackoff, failures, () => almostOne))
    const rounded = longest.map((delay) => Math.round(delay))
    expect(rounded).toEqual([25, 50, 100, 200, 400, 500, 500])
  })

  it('keeps at least half, and is never above the longest, for whatever random number', () => {
    const random = seeded(5)
    for (let turn = 0; turn < 2_000; turn++) {
      const backoff: Backoff = {
        initialDelayMs: 1 + random() * 1_000,
        maxDelayMs: 1_000 + random() * 60_000,
        factor: 1 + random() * 4,
      }
      const failures = 1 + Math.floor(random() * 60)
      const whole = Math.min(backoff.maxDelayMs, backoff.initialDelayMs * backoff.factor ** (failures - 1))
      for (const drawn of [0, random(), almostOne]) {
        const delay = backoffDelay(backoff, failures, () => drawn)
        expect(delay).toBeGreaterThanOrEqual(whole / 2)
        expect(delay).toBeLessThanOrEqual(whole)
      }
    }
  })

  it('stays at the longest after any number of failures', () => {
    for (const failures of [100, 10_000, Number.MAX_SAFE_INTEGER]) {
      expect(backoffDelay(connectBackoff, failures, () => 0)).toBe(250)
    }
  })

  it('spreads those that failed together', () => {
    const random = seeded(9)
    const delays = Array.from({ length: 100 }, () => backoffDelay(connectBackoff, 6, random))
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(200)
  })

  it('draws its randomness by itself when none is given', () => {
    for (let turn = 0; turn < 100; turn++) {
      const delay = backoffDelay(connectBackoff, 1)
      expect(delay).toBeGreaterThanOrEqual(12.5)
      expect(delay).toBeLessThanOrEqual(25)
    }
  })
})

describe('exponentialDelay', () => {
  it('stays nothing when it begins with nothing, after any number of failures', () => {
    for (const failures of [1, 2, 10_000]) {
      expect(exponentialDelay({ initialDelayMs: 0, maxDelayMs: 500, factor: 2 }, failures)).toBe(0)
    }
  })
})
