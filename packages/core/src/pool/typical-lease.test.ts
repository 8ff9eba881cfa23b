// How long a lease takes of late.

import { expect, it } from '@jest/globals'
import { seeded } from '../testing/seeded.js'
import { TypicalLease } from './typical-lease.js'

function after(...durations: number[]): number {
  const typical = new TypicalLease()
  for (const ms of durations) typical.note(ms)
  return typical.ms
}

const many = (ms: number, count = 200) => Array.from({ length: count }, () => ms)

it.each([1, 20, 1_000])('leases of %d ms make it that long, within a step', (ms) => {
  expect(after(...many(ms))).toBeGreaterThanOrEqual(ms / 1.11)
  expect(after(...many(ms))).toBeLessThanOrEqual(ms)
})

it('a lease of an hour counts as one, and no more', () => {
  expect(after(...many(20), 3_600_000)).toBeLessThan(30)
})

it('it follows leases that become shorter, and longer', () => {
  expect(after(...many(20), ...many(2))).toBeLessThanOrEqual(2)
  expect(after(...many(2), ...many(20))).toBeGreaterThan(18)
})

it('about a quarter of all leases are longer', () => {
  const random = seeded(1)
  const durations = Array.from({ length: 20_000 }, () => 10 + 90 * random())
  const typical = new TypicalLease()
  const longer = durations.filter((ms) => {
    const above = ms > typical.ms
    typical.note(ms)
    return above
  })
  expect(longer.length / durations.length).toBeGreaterThan(0.15)
  expect(longer.length / durations.length).toBeLessThan(0.35)
})

it('what takes no time leaves it above nothing', () => {
  expect(after(...many(0))).toBeGreaterThan(0)
})
