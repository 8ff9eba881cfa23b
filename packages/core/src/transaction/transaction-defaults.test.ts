import { describe, expect, it } from '@jest/globals'
import { resolveResilience } from '../options.js'
import { problemsWith } from '../testing/problems-with.js'

const resolve = (transaction: unknown) => resolveResilience({ transaction }).transaction
const milliseconds = (least: number) => `an integer >= ${least} and <= 2147483647 (milliseconds)`

describe('resilience.transaction', () => {
  it('is frozen, also the retries in it, and does not follow the object it came from', () => {
    const input = { retry: { maxRetries: 1 }, timeoutMs: 5 }
    const resolved = resolve(input)
    input.retry.maxRetries = 2
    input.timeoutMs = 6
    expect(resolved).toMatchObject({ retry: { maxRetries: 1, maxConflictRetries: 20 }, timeoutMs: 5 })
    for (const part of [resolved, resolved.retry]) expect(Object.isFrozen(part)).toBe(true)
    expect(Object.isFrozen(input.retry)).toBe(false)
  })

  it('may have no retries at all', () => {
    expect(resolve({ retry: false })).toMatchObject({ retry: false, exactlyOnce: true })
    expect(resolve({ retry: { maxRetries: 0, maxConflictRetries: 0 } }).retry).toMatchObject({ maxRetries: 0 })
  })

  it.each([[true], [null], [5], ['full'], [[]]])('refuses %p in place of retries', (retry) => {
    expect(problemsWith({ transaction: { retry } })).toEqual([
      {
        path: 'resilience.transaction.retry',
        given: expect.any(String),
        allowed: 'false, or { maxRetries, maxConflictRetries, … }',
      },
    ])
  })

  it('tells all problems at once', () => {
    const problems = problemsWith({
      transaction: {
        retry: { maxRetries: -1, maxConflictRetries: 1.5, jitter: 'some', retryLockTimeout: true, maxElapsedMs: '1m' },
        exactlyOnce: 1,
        rootUse: 'forbid',
        timeout: 5,
      },
    })
    expect(Object.fromEntries(problems.map(({ path, allowed }) => [path, allowed]))).toEqual({
      'resilience.transaction.retry.maxRetries': 'an integer >= 0',
      'resilience.transaction.retry.maxConflictRetries': 'an integer >= 0',
      'resilience.transaction.retry.jitter': "'full', 'equal', 'decorrelated' or 'none'",
      'resilience.transaction.retry.retryLockTimeout': 'nothing by this name; did you mean retryLockTimeouts?',
      'resilience.transaction.retry.maxElapsedMs': milliseconds(0),
      'resilience.transaction.exactlyOnce': 'true or false',
      'resilience.transaction.rootUse': "'warn', 'join', 'error' or 'allow'",
      'resilience.transaction.timeout': 'nothing by this name; did you mean timeoutMs?',
    })
  })

  it.each([
    ['timeoutMs', 0],
    ['settleTimeoutMs', 0],
    ['outcomeTimeoutMs', 1],
    ['rollbackTimeoutMs', 1],
  ])('takes %s from %d to what a timer can do', (name, least) => {
    for (const value of [least, 2_147_483_647]) expect(resolve({ [name]: value })).toMatchObject({ [name]: value })
    for (const value of [least - 1, least + 0.5, 2_147_483_648, null]) {
      expect(problemsWith({ transaction: { [name]: value } })).toEqual([
        { path: `resilience.transaction.${name}`, given: expect.any(String), allowed: milliseconds(least) },
      ])
    }
  })

  it.each([
    ['initialDelayMs', 0, 5_000],
    ['maxDelayMs', 0, 2_147_483_647],
    ['maxElapsedMs', 0, 2_147_483_647],
    ['factor', 1, 1e9],
  ])('takes retry.%s from %d to %d', (name, least, most) => {
    for (const value of [least, most])
      expect(resolve({ retry: { [name]: value } }).retry).toMatchObject({ [name]: value })
    for (const value of [least - 1, Number.POSITIVE_INFINITY, Number.NaN, '1']) {
      const problems = problemsWith({ transaction: { retry: { [name]: value } } })
      expect(problems.map(({ path }) => path)).toEqual([`resilience.transaction.retry.${name}`])
    }
  })

  it('lets the first pause follow a longest one below its default, but not one that was written', () => {
    expect(resolve({ retry: { maxDelayMs: 20 } }).retry).toMatchObject({ initialDelayMs: 20, maxDelayMs: 20 })
    expect(problemsWith({ transaction: { retry: { initialDelayMs: 21, maxDelayMs: 20, factor: 0 } } })).toEqual([
      { path: 'resilience.transaction.retry.factor', given: '0', allowed: 'a number >= 1' },
      {
        path: 'resilience.transaction.retry.initialDelayMs',
        given: '21',
        allowed: 'an integer >= 0 and <= maxDelayMs (20) (milliseconds)',
      },
    ])
  })
})
