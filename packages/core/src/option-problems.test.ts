import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import {
  checkBy,
  describeGiven,
  nearestName,
  pathTo,
  problemsIn,
  strictOptions,
  unknownOption,
} from './option-problems.js'

const schema = strictOptions({
  host: z.string({ error: 'a string' }).optional(),
  password: z.string({ error: 'a string' }).optional(),
  ports: z.array(z.number().max(9, { error: 'even, <= 9' }).multipleOf(2, { error: 'even, <= 9' })).optional(),
  inner: strictOptions({ deep: z.union([z.literal(1), z.literal(2)], { error: '1 or 2' }) }).optional(),
})

const problemsOf = (input: unknown) => problemsIn(checkBy(schema, input, 'options'))

describe('checkBy', () => {
  it('hands back the value when nothing is wrong', () => {
    expect(checkBy(schema, { host: 'h' }, 'options')).toEqual({ ok: true, value: { host: 'h' } })
    expect(problemsOf({ host: 'h' })).toEqual([])
  })

  it('never shows what stands under a secret name', () => {
    expect(problemsOf({ password: ['hunter2'] })).toEqual([
      { path: 'options.password', given: '(hidden)', allowed: 'a string' },
    ])
    expect(JSON.stringify(problemsOf({ pasword: 'hunter2' }))).not.toContain('hunter2')
  })

  it('says once what is allowed when a value breaks two rules', () => {
    expect(problemsOf({ ports: [11] })).toEqual([{ path: 'options.ports[0]', given: '11', allowed: 'even, <= 9' }])
  })

  it('suggests the nearest name at the depth of the unknown one', () => {
    expect(problemsOf({ inner: { deep: 1, dep: 2 } })).toEqual([
      { path: 'options.inner.dep', given: 'a number', allowed: 'nothing by this name; did you mean deep?' },
    ])
  })

  it('uses the words of the schema for a union too', () => {
    expect(problemsOf({ inner: { deep: 3 } })[0]).toEqual({ path: 'options.inner.deep', given: '3', allowed: '1 or 2' })
  })
})

describe('nearestName', () => {
  const known = ['max', 'maxWaiters', 'idleTimeoutMs', 'acquireTimeoutMs']
  it.each([
    ['mx', 'max'],
    ['max_waiters', 'maxWaiters'],
    ['idleTimeout', 'idleTimeoutMs'],
    ['acquireTimeoutMillis', 'acquireTimeoutMs'],
    ['somethingElse', undefined],
  ])('%s -> %s', (name, expected) => {
    expect(nearestName(name, known)).toBe(expected)
  })
})

describe('unknownOption', () => {
  it('lists what is known when nothing is near', () => {
    expect(unknownOption('a', 'colour', true, ['pool', 'statement'])).toEqual({
      path: 'a.colour',
      given: 'true',
      allowed: 'nothing by this name; known are pool, statement',
    })
  })
})

describe('describeGiven', () => {
  it.each([
    [undefined, 'nothing'],
    [null, 'null'],
    [5, '5'],
    [Number.NaN, 'NaN'],
    [false, 'false'],
    [5n, 'a bigint'],
    ['20', '"20"'],
    ['x'.repeat(100), `"${'x'.repeat(39)}…"`],
    ['postgres://u:p@h', '(hidden)'],
    ['host=h password=p', '(hidden)'],
    [[1, 2], 'an array of 2'],
    [{}, 'an object'],
    [() => {}, 'a function'],
    [Symbol('s'), 'a symbol'],
  ])('%p is said as %s', (value, said) => {
    expect(describeGiven(value)).toBe(said)
  })
})

describe('pathTo', () => {
  it('writes a property as code would', () => {
    expect(pathTo('a', 'b')).toBe('a.b')
    expect(pathTo('a', 0)).toBe('a[0]')
    expect(pathTo('a', 'b c')).toBe('a["b c"]')
    expect(pathTo('a', 'postgres://u:p@h')).toBe('a[(hidden)]')
  })
})
