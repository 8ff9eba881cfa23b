import { describe, expect, it } from '@jest/globals'
import { resolveResilience } from '../options.js'
import { problemsOfRefusal } from '../testing/problems-with.js'
import { resolveTransactionOptions } from './transaction-options.js'

const { transaction: defaults } = resolveResilience({})
const resolve = (given?: unknown) => resolveTransactionOptions(given, defaults)
const problemsWith = (given: unknown) => problemsOfRefusal(() => resolve(given))
const milliseconds = (least: number) => `an integer >= ${least} and <= 2147483647 (milliseconds)`

describe('resolveTransactionOptions', () => {
  it('gives the same frozen object to all who ask for nothing', () => {
    const plain = resolve()
    expect(plain).toEqual({
      settings: {},
      retry: defaults.retry,
      exactlyOnce: true,
      timeoutMs: 0,
      signal: undefined,
      propagation: 'nested',
      durable: false,
      acquireTimeoutMs: undefined,
    })
    expect(resolve({})).toBe(plain)
    expect(resolve(undefined)).toBe(plain)
    expect(resolve({ timeoutMs: undefined, retry: undefined, signal: undefined })).toEqual(plain)
    for (const part of [plain, plain.settings, plain.retry]) expect(Object.isFrozen(part)).toBe(true)
  })

  it('begins with what the pool was told', () => {
    const { transaction: own } = resolveResilience({
      transaction: { retry: { maxRetries: 1, jitter: 'none' }, exactlyOnce: false, timeoutMs: 7 },
    })
    for (const given of [undefined, {}, { durable: undefined }]) {
      expect(resolveTransactionOptions(given, own)).toMatchObject({
        retry: { maxRetries: 1, maxConflictRetries: 20, jitter: 'none' },
        exactlyOnce: false,
        timeoutMs: 7,
      })
    }
    expect(resolveTransactionOptions({ exactlyOnce: true, timeoutMs: 0, retry: { maxRetries: 2 } }, own)).toMatchObject(
      {
        retry: { maxRetries: 2, maxConflictRetries: 20, jitter: 'none' },
        exactlyOnce: true,
        timeoutMs: 0,
      },
    )
    expect(resolve()).not.toBe(resolveTransactionOptions({}, own))
  })

  it('lets a single transaction be retried where the pool retries none, and the other way round', () => {
    const { transaction: never } = resolveResilience({ transaction: { retry: false } })
    expect(resolveTransactionOptions({}, never).retry).toBe(false)
    expect(resolveTransactionOptions({ durable: true }, never).retry).toBe(false)
    expect(resolveTransactionOptions({ retry: {} }, never).retry).toEqual(defaults.retry)
    expect(resolveTransactionOptions({ retry: { factor: 3 } }, never).retry).toMatchObject({ factor: 3, maxRetries: 5 })
    expect(resolve({ retry: false }).retry).toBe(false)
  })

  it('sets apart what goes with BEGIN', () => {
    const settings = {
      isolationLevel: 'repeatable read',
      accessMode: 'read only',
      deferrable: true,
      statementTimeoutMs: 1,
      lockTimeoutMs: 0,
      idleTimeoutMs: 2_147_483_647,
      role: 'clerk "the 2nd"',
      settings: { 'app.tenant': 7, work_mem: '64MB', enable_seqscan: false, _a$1: '', 'app.note': 'é\n' },
    }
    const resolved = resolve({ ...settings, timeoutMs: 5 })
    expect(resolved.settings).toEqual(settings)
    expect(resolved.timeoutMs).toBe(5)
    for (const part of [resolved, resolved.settings, resolved.settings.settings])
      expect(Object.isFrozen(part)).toBe(true)
  })

  it('does not follow the objects it was given, nor freezes them', () => {
    const given = { settings: { 'app.tenant': 7 }, retry: { maxRetries: 1 } }
    const resolved = resolve(given)
    given.settings['app.tenant'] = 8
    given.retry.maxRetries = 9
    expect(resolved).toMatchObject({ settings: { settings: { 'app.tenant': 7 } }, retry: { maxRetries: 1 } })
  })

  it('hands on the very signal and onRetry it was given', () => {
    const { signal } = new AbortController()
    const onRetry = () => {}
    const resolved = resolve({ signal, retry: { onRetry } })
    expect(resolved.signal).toBe(signal)
    expect(resolved.retry).toMatchObject({ onRetry })
    const { transaction: own } = resolveResilience({ transaction: { retry: { onRetry } } })
    expect(resolveTransactionOptions({ retry: { maxRetries: 1 } }, own).retry).toMatchObject({ maxRetries: 1, onRetry })
  })

  it.each([['required'], ['requiresNew'], ['nested'], ['supports'], ['mandatory'], ['never'], ['notSupported']])(
    'takes the propagation %s',
    (propagation) => {
      expect(resolve({ propagation }).propagation).toBe(propagation)
    },
  )

  it('tells all problems at once', () => {
    const problems = problemsWith({
      isolationLevel: 'serialisable',
      accessMode: 'readonly',
      deferrable: 1,
      statementTimeoutMs: '5s',
      lockTimeoutMs: 1.5,
      idleTimeoutMs: -1,
      role: '',
      settings: { 'app.tenant': null },
      retry: { maxRetry: 3, factor: 0.5, initialDelayMs: 6_000, onRetry: 'log' },
      exactlyOnce: 'yes',
      timeout: 5,
      signal: new AbortController(),
      propagation: 'requires_new',
      durable: 1,
      acquireTimeoutMs: 0,
    })
    expect(Object.fromEntries(problems.map(({ path, given, allowed }) => [path, [given, allowed]]))).toEqual({
      'options.isolationLevel': [
        '"serialisable"',
        "'read uncommitted', 'read committed', 'repeatable read' or 'serializable'",
      ],
      'options.accessMode': ['"readonly"', "'read only' or 'read write'"],
      'options.deferrable': ['1', 'true or false'],
      'options.statementTimeoutMs': ['"5s"', milliseconds(0)],
      'options.lockTimeoutMs': ['1.5', milliseconds(0)],
      'options.idleTimeoutMs': ['-1', milliseconds(0)],
      'options.role': ['""', 'the name of a role'],
      'options.settings["app.tenant"]': ['null', 'a string without a zero byte, a finite number, or a boolean'],
      'options.retry.maxRetry': ['a number', expect.stringContaining('nothing by this name')],
      'options.retry.factor': ['0.5', 'a number >= 1'],
      'options.retry.initialDelayMs': ['6000', 'an integer >= 0 and <= maxDelayMs (5000) (milliseconds)'],
      'options.retry.onRetry': ['"log"', 'a function'],
      'options.exactlyOnce': ['"yes"', 'true or false'],
      'options.timeout': ['a number', 'nothing by this name; did you mean timeoutMs?'],
      'options.signal': ['an object', 'an AbortSignal'],
      'options.propagation': [
        '"requires_new"',
        "'required', 'requiresNew', 'nested', 'supports', 'mandatory', 'never' or 'notSupported'",
      ],
      'options.durable': ['1', 'true or false'],
      'options.acquireTimeoutMs': ['0', milliseconds(1)],
    })
    expect(problems).toHaveLength(18)
  })

  it('names the path it was told', () => {
    const problems = problemsOfRefusal(() => resolveTransactionOptions({ durable: 1 }, defaults, 'config'))
    expect(problems.map(({ path }) => path)).toEqual(['config.durable'])
  })

  it.each([[5], [null], ['serializable'], [[]], [() => {}], [true]])('refuses %p in place of options', (given) => {
    expect(problemsWith(given)).toEqual([{ path: 'options', given: expect.any(String), allowed: 'an object' }])
  })

  it.each([
    ['app tenant'],
    ["a'; drop table users; --"],
    ['1st'],
    ['app.1st'],
    ['app..tenant'],
    ['.tenant'],
    ['app.'],
    ['größe'],
    ['a\n'],
    [''],
  ])('refuses a setting named %j', (name) => {
    const problems = problemsWith({ settings: { ok: 1, [name]: 1 } })
    expect(problems.map(({ allowed }) => allowed)).toEqual([
      'only names of letters, digits, _ and $, joined by dots, as "app.tenant"',
    ])
  })

  it.each([[Number.NaN], [Number.POSITIVE_INFINITY], ['a\0b'], [7n], [{}], [[]], [undefined], [null]])(
    'refuses %p as the value of a setting',
    (value) => {
      const problems = problemsWith({ settings: { 'app.tenant': value } })
      expect(problems).toEqual([
        {
          path: 'options.settings["app.tenant"]',
          given: expect.any(String),
          allowed: 'a string without a zero byte, a finite number, or a boolean',
        },
      ])
    },
  )

  it('refuses settings that are no object of settings', () => {
    for (const settings of [5, null, [], 'app.tenant = 7', new Map([['app.tenant', 7]])]) {
      const [problem] = problemsWith({ settings })
      expect(problem).toMatchObject({
        path: 'options.settings',
        allowed: expect.stringContaining('an object of settings'),
      })
    }
  })

  it.each([[''], ['a\0b'], [5], [null], [['clerk']]])('refuses %j as a role', (role) => {
    expect(problemsWith({ role }).map(({ path }) => path)).toEqual(['options.role'])
  })

  it('does not show the value of a setting whose name tells that it is secret', () => {
    const problems = problemsWith({ settings: { 'app.jwt_token': ['eyJhbGciOi'], 'app.password': null } })
    expect(JSON.stringify(problems)).not.toContain('eyJ')
    expect(problems.map(({ given }) => given)).toEqual(['(hidden)', 'null'])
  })
})
