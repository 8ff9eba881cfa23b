import { describe, expect, it } from '@jest/globals'
import { resolveResilience } from './options.js'
import { problemsWith } from './testing/problems-with.js'

const defaults = {
  pool: {
    min: 2,
    minIdle: 0,
    max: 10,
    overflow: 5,
    acquireTimeoutMs: 30_000,
    maxWaiters: 10_000,
    queue: 'adaptive',
    connectTimeoutMs: 10_000,
    idleTimeoutMs: 600_000,
    maxLifetimeMs: 3_600_000,
    maxUses: 0,
    lifetimeJitter: 0.1,
    keepaliveMs: 120_000,
    validateAfterIdleMs: 1_000,
    validationTimeoutMs: 2_000,
    closeTimeoutMs: 10_000,
    leakAfterMs: 300_000,
    reclaimLeaks: false,
    scaling: { up: 0.8, down: 0.5, step: 0.2, everyMs: 60_000 },
    start: 'lazy',
    onConnect: undefined,
    allowExitOnIdle: false,
  },
  statement: {
    timeoutMs: 0,
    cancelTimeoutMs: 1_000,
    livenessAfterMs: 10_000,
    maxResends: 2,
    idempotentReads: false,
    prepare: 'auto',
    maxPrepared: 256,
  },
  transaction: {
    retry: {
      maxRetries: 5,
      maxConflictRetries: 20,
      initialDelayMs: 100,
      maxDelayMs: 5_000,
      factor: 2,
      jitter: 'full',
      maxElapsedMs: 0,
      retryLockTimeouts: false,
      onRetry: undefined,
    },
    exactlyOnce: true,
    timeoutMs: 0,
    settleTimeoutMs: 10_000,
    outcomeTimeoutMs: 30_000,
    rollbackTimeoutMs: 5_000,
    rootUse: 'warn',
  },
  session: { maxDurationMs: 1_800_000, idleTimeoutMs: 60_000, warnAfterMs: 30_000, behindPooler: 'refuse' },
  errors: {
    constraints: new Map(),
    messages: {},
    columns: new Map(),
    lookupTimeoutMs: 1_000,
    exposeValues: false,
    style: 'direct',
  },
  breaker: {
    volumeThreshold: 5,
    errorThresholdPercentage: 50,
    resetTimeoutMs: 500,
    rollingWindowMs: 10_000,
    probeTimeoutMs: 500,
  },
  health: { everyMs: 30_000, timeoutMs: 5_000 },
  hooks: { timeoutMs: 5_000 },
  logger: undefined,
}

const milliseconds = (least: number) => `an integer >= ${least} and <= 2147483647 (milliseconds)`

describe('resolveResilience', () => {
  it.each([
    [undefined],
    [{}],
    [{ pool: {}, statement: {}, health: {}, hooks: {} }],
    [{ pool: undefined, statement: { timeoutMs: undefined }, health: undefined, hooks: undefined, logger: undefined }],
    [{ pool: { scaling: undefined, onConnect: undefined, start: undefined }, hooks: { beforeConnect: undefined } }],
    [{ pool: { scaling: {} } }],
  ])('fills in every default (%j)', (input) => {
    expect(resolveResilience(input)).toEqual(defaults)
  })

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
    const { pool, statement, health, hooks } = resolved
    for (const part of [resolved, pool, pool.scaling, statement, health, hooks]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
  })

  it('hands on the very hooks and logger it was given, and freezes neither', () => {
    const log = () => {}
    const logger = { debug: log, info: log, warn: log, error: log, level: 'info' }
    const hooks = { afterConnect: async () => {}, beforeAcquire: () => 'use' as const }
    const resolved = resolveResilience({ hooks, logger })
    expect(resolved.logger).toBe(logger)
    expect(resolved.hooks.afterConnect).toBe(hooks.afterConnect)
    expect(resolved.hooks.beforeAcquire).toBe(hooks.beforeAcquire)
    for (const theirs of [hooks, logger, log]) expect(Object.isFrozen(theirs)).toBe(false)
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
      pool: {
        min: 30,
        max: 0,
        overflow: -1,
        lifetimeJitter: 2,
        acquireTimeoutMs: '5s',
        mxWaiters: 3,
        reclaimLeaks: 'no',
        scaling: { up: 7 },
        onConnect: ['set role app'],
      },
      statement: null,
      health: { everyMs: -1 },
      hooks: { afterConnect: 'select 1', afterRelese: () => {} },
      logger: console.log,
      breaker: { errorThresholdPercentage: 100, volumeThreshold: 0, resetTimeout: 5 },
      tracing: {},
    })
    expect(Object.fromEntries(problems.map(({ path, given, allowed }) => [path, [given, allowed]]))).toEqual({
      'resilience.pool.min': ['30', 'an integer >= 0 and <= max (0)'],
      'resilience.pool.max': ['0', 'an integer >= 1'],
      'resilience.pool.overflow': ['-1', 'an integer >= 0'],
      'resilience.pool.lifetimeJitter': ['2', 'a number from 0 to 1'],
      'resilience.pool.acquireTimeoutMs': ['"5s"', milliseconds(1)],
      'resilience.pool.mxWaiters': ['a number', 'nothing by this name; did you mean maxWaiters?'],
      'resilience.pool.reclaimLeaks': ['"no"', 'true or false'],
      'resilience.pool.scaling.up': ['7', 'a number from 0 to 1'],
      'resilience.pool.onConnect': ['an array of 1', 'SQL'],
      'resilience.statement': ['null', 'an object'],
      'resilience.health.everyMs': ['-1', milliseconds(0)],
      'resilience.hooks.afterConnect': ['"select 1"', 'a function'],
      'resilience.hooks.afterRelese': ['a function', 'nothing by this name; did you mean afterRelease?'],
      'resilience.logger': ['a function', expect.stringContaining('debug, info, warn and error')],
      'resilience.breaker.errorThresholdPercentage': [
        '100',
        'an integer >= 0 and <= 99 (per cent): it opens above that',
      ],
      'resilience.breaker.volumeThreshold': ['0', 'an integer >= 1'],
      'resilience.breaker.resetTimeout': ['a number', 'nothing by this name; did you mean resetTimeoutMs?'],
      'resilience.tracing': [
        'an object',
        'nothing by this name; known are pool, statement, transaction, session, errors, breaker, health, hooks, logger',
      ],
    })
    expect(problems).toHaveLength(18)
  })

  it('takes false for no breaker, and nothing else that is no object', () => {
    expect(resolveResilience({ breaker: false }).breaker).toBe(false)
    expect(problemsWith({ breaker: true })).toEqual([
      {
        path: 'resilience.breaker',
        given: 'true',
        allowed:
          'false, or { volumeThreshold, errorThresholdPercentage, resetTimeoutMs, rollingWindowMs, probeTimeoutMs }',
      },
    ])
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
    ['minIdle', -1],
    ['minIdle', 0.5],
    ['maxUses', -1],
    ['maxUses', 1.5],
    ['keepaliveMs', -1],
    ['keepaliveMs', 2_147_483_648],
    ['leakAfterMs', -1],
    ['leakAfterMs', '5m'],
    ['reclaimLeaks', 1],
    ['allowExitOnIdle', 'true'],
    ['start', 'soon'],
    ['start', true],
    ['onConnect', 5],
    ['onConnect', null],
    ['onConnect', ' \n'],
    ['scaling', true],
    ['scaling', null],
    ['scaling', 0.8],
    ['scaling', []],
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
    ['minIdle'],
    ['maxUses'],
    ['keepaliveMs'],
    ['leakAfterMs'],
  ])('takes %s: 0', (name) => {
    expect(resolveResilience({ pool: { [name]: 0 } }).pool).toMatchObject({ [name]: 0 })
  })

  it.each([
    ['start', 'eager'],
    ['onConnect', "set search_path to shop; set application_name to 'shop'"],
    ['allowExitOnIdle', true],
    ['reclaimLeaks', true],
    ['scaling', false],
    ['minIdle', 3],
    ['maxUses', 7_500],
  ])('takes %s: %s', (name, value) => {
    expect(resolveResilience({ pool: { [name]: value } }).pool).toEqual({ ...defaults.pool, [name]: value })
  })

  it.each([
    ['health', 'everyMs', 0],
    ['health', 'timeoutMs', 1],
    ['hooks', 'timeoutMs', 1],
    ['statement', 'cancelTimeoutMs', 1],
    ['statement', 'livenessAfterMs', 0],
  ])('takes %s.%s from %d to what a timer can do', (part, name, least) => {
    for (const value of [least, 2_147_483_647]) {
      expect(resolveResilience({ [part]: { [name]: value } })).toMatchObject({ [part]: { [name]: value } })
    }
    for (const value of [least - 1, least + 0.5, 2_147_483_648, String(least), null]) {
      expect(problemsWith({ [part]: { [name]: value } })).toEqual([
        { path: `resilience.${part}.${name}`, given: expect.any(String), allowed: milliseconds(least) },
      ])
    }
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

describe('logger', () => {
  const log = () => {}
  class Inherited {
    debug() {}
    info() {}
    warn() {}
    error() {}
  }

  it.each([
    ['console', console],
    ['an object with more than is needed', { trace: log, debug: log, info: log, warn: log, error: log, fatal: log }],
    ['one whose methods come from its class', new Inherited()],
  ])('may be %s', (_, logger) => {
    expect(resolveResilience({ logger }).logger).toBe(logger)
  })

  it.each([
    ['without warn', { debug: log, info: log, error: log }],
    ['whose debug is no function', { debug: true, info: log, warn: log, error: log }],
    ['that is true', true],
    ['that is null', null],
    ['that is a bare function', log],
  ])('%s is refused in one sentence', (_, logger) => {
    expect(problemsWith({ logger })).toEqual([
      {
        path: 'resilience.logger',
        given: expect.any(String),
        allowed: 'an object with the methods debug, info, warn and error, each taking (fields, message)',
      },
    ])
  })
})
