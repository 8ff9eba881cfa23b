import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError, type OptionProblem } from './errors.js'
import { resolveResilience } from './options.js'

function problemsWith(input: unknown, path?: string): readonly OptionProblem[] {
  try {
    resolveResilience(input, path)
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems
    throw error
  }
  throw new Error('these options were accepted')
}

const defaults = {
  pool: {
    min: 2,
    max: 10,
    overflow: 5,
    acquireTimeoutMs: 30_000,
    maxWaiters: 10_000,
    connectTimeoutMs: 10_000,
    idleTimeoutMs: 600_000,
    maxLifetimeMs: 3_600_000,
    lifetimeJitter: 0.1,
    validateAfterIdleMs: 1_000,
    validationTimeoutMs: 2_000,
    closeTimeoutMs: 10_000,
  },
  statement: { timeoutMs: 0, cancelTimeoutMs: 1_000 },
}

describe('resolveResilience', () => {
  it.each([[undefined], [{}], [{ pool: {} }], [{ pool: undefined, statement: { timeoutMs: undefined } }]])(
    'fills in every default (%j)',
    (input) => {
      expect(resolveResilience(input)).toEqual(defaults)
    },
  )

  it('takes what is given and leaves the rest at its default', () => {
    const resolved = resolveResilience({ pool: { max: 20, idleTimeoutMs: 0 }, statement: { timeoutMs: 2_147_483_647 } })
    expect(resolved.pool).toEqual({ ...defaults.pool, max: 20, idleTimeoutMs: 0 })
    expect(resolved.statement.timeoutMs).toBe(2_147_483_647)
  })

  it('gives frozen options that do not follow the object they came from', () => {
    const input = { pool: { max: 7 } }
    const resolved = resolveResilience(input)
    input.pool.max = 8
    expect(resolved.pool.max).toBe(7)
    for (const part of [resolved, resolved.pool, resolved.statement]) expect(Object.isFrozen(part)).toBe(true)
  })

  it('lowers the default of min to max', () => {
    expect(resolveResilience({ pool: { max: 1 } }).pool.min).toBe(1)
    expect(resolveResilience({ pool: { max: 2, min: 0 } }).pool.min).toBe(0)
  })

  it('refuses an explicit min above max, also the default one, and says which it is', () => {
    expect(problemsWith({ pool: { min: 3, max: 2 } })).toEqual([
      { path: 'resilience.pool.min', given: '3', allowed: 'an integer >= 0 and <= max (2)' },
    ])
    expect(problemsWith({ pool: { min: 11 } })[0]?.allowed).toBe('an integer >= 0 and <= max (10)')
  })

  it('tells all problems at once', () => {
    const problems = problemsWith({
      pool: { min: 30, max: 0, overflow: -1, lifetimeJitter: 2, acquireTimeoutMs: '5s', mxWaiters: 3 },
      statement: null,
      breaker: {},
    })
    expect(problems).toEqual(
      expect.arrayContaining([
        { path: 'resilience.pool.min', given: '30', allowed: 'an integer >= 0 and <= max (0)' },
        { path: 'resilience.pool.max', given: '0', allowed: 'an integer >= 1' },
        { path: 'resilience.pool.overflow', given: '-1', allowed: 'an integer >= 0' },
        { path: 'resilience.pool.lifetimeJitter', given: '2', allowed: 'a number from 0 to 1' },
        {
          path: 'resilience.pool.acquireTimeoutMs',
          given: '"5s"',
          allowed: 'an integer >= 1 and <= 2147483647 (milliseconds)',
        },
        {
          path: 'resilience.pool.mxWaiters',
          given: 'a number',
          allowed: 'nothing by this name; did you mean maxWaiters?',
        },
        { path: 'resilience.statement', given: 'null', allowed: 'an object' },
        {
          path: 'resilience.breaker',
          given: 'an object',
          allowed: 'nothing by this name; known are pool, statement',
        },
      ]),
    )
    expect(problems).toHaveLength(8)
  })

  it.each([
    ['acquireTimeoutMs', 0],
    ['connectTimeoutMs', 0],
    ['validationTimeoutMs', 0],
    ['idleTimeoutMs', 2_147_483_648],
    ['maxLifetimeMs', 1.5],
    ['validateAfterIdleMs', -1],
    ['closeTimeoutMs', Number.POSITIVE_INFINITY],
    ['maxWaiters', Number.POSITIVE_INFINITY],
    ['max', Number.NaN],
    ['max', null],
    ['max', 1.5],
    ['min', 30.5],
    ['lifetimeJitter', '0.1'],
  ])('refuses %s: %s, with one problem', (name, value) => {
    const problems = problemsWith({ pool: { [name]: value } })
    expect(problems.map(({ path }) => path)).toEqual([`resilience.pool.${name}`])
  })

  it.each([
    ['maxLifetimeMs'],
    ['idleTimeoutMs'],
    ['validateAfterIdleMs'],
    ['closeTimeoutMs'],
    ['overflow'],
    ['maxWaiters'],
    ['lifetimeJitter'],
    ['min'],
  ])('takes %s: 0', (name) => {
    expect(resolveResilience({ pool: { [name]: 0 } }).pool).toMatchObject({ [name]: 0 })
  })

  it.each([[5], ['postgres://u:secret@h/db'], [[]], [() => {}]])('refuses %p in place of the options', (input) => {
    const [problem] = problemsWith(input)
    expect(problem).toMatchObject({ path: 'resilience', allowed: 'an object' })
    expect(problem?.given).not.toContain('secret')
  })

  it('names the path it was told', () => {
    expect(problemsWith({ pool: { max: 0 } }, 'options.resilience')[0]?.path).toBe('options.resilience.pool.max')
  })
})
