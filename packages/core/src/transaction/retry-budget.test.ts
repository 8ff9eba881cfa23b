import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { RetryBudget } from './retry-budget.js'

const times = (count: number, step: () => unknown): void => {
  for (let turn = 0; turn < count; turn++) step()
}

/** How many retries it pays for, one after the other. */
function spend(budget: RetryBudget): number {
  let paid = 0
  while (paid < 10_000 && budget.take()) paid++
  return paid
}

describe('RetryBudget', () => {
  it('starts full: twenty retries, and not one more', () => {
    const budget = new RetryBudget()
    expect(budget.tokens).toBe(20)
    expect(spend(budget)).toBe(20)
    expect(budget.take()).toBe(false)
    expect(budget.tokens).toBe(0)
  })

  it('pays for one retry in every five transactions once it is empty', () => {
    const budget = new RetryBudget()
    spend(budget)
    times(4, () => budget.begun())
    expect(budget.take()).toBe(false)
    expect(budget.tokens).toBe(0.8)
    budget.begun()
    expect(budget.tokens).toBe(1)
    expect(budget.take()).toBe(true)
    expect(budget.tokens).toBe(0)
  })

  it('holds no more than its limit, however many transactions went well', () => {
    const budget = new RetryBudget()
    times(10_000, () => budget.begun())
    expect(budget.tokens).toBe(20)
    expect(spend(budget)).toBe(20)
  })

  it('does not lose a token to fractions that do not add up', () => {
    const budget = new RetryBudget(0.1, 1_000)
    spend(budget)
    times(10_000, () => budget.begun())
    expect(budget.tokens).toBe(1_000)
  })

  it('keeps retries below a fifth of the load and the burst, while everything fails', () => {
    const budget = new RetryBudget()
    let retries = 0
    times(1_000, () => {
      budget.begun()
      times(5, () => {
        if (budget.take()) retries++
      })
    })
    expect(retries).toBe(20 + 199)
  })

  it('pays for nothing when it may hold nothing', () => {
    const budget = new RetryBudget(0.2, 0)
    times(100, () => budget.begun())
    expect(budget.take()).toBe(false)
  })

  it('never pays out more than was put in, nor refuses what it holds, in any order', () => {
    const steps = fc.array(fc.boolean(), { maxLength: 300 })
    const ratios = fc.integer({ min: 0, max: 20 }).map((tenths) => tenths / 10)
    fc.assert(
      fc.property(steps, ratios, fc.integer({ min: 0, max: 20 }), (order, ratio, burst) => {
        const budget = new RetryBudget(ratio, burst)
        let tenths = burst * 10
        for (const begins of order) {
          if (begins) {
            budget.begun()
            tenths = Math.min(burst * 10, tenths + Math.round(ratio * 10))
          } else {
            expect(budget.take()).toBe(tenths >= 10)
            if (tenths >= 10) tenths -= 10
          }
          expect(budget.tokens).toBeCloseTo(tenths / 10, 10)
        }
      }),
    )
  })
})
