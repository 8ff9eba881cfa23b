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
  choice: choice().optional(),
  passwords: choice().optional(),
})

/** What an option that can be switched off looks like; its object has a choice in it again. */
function choice() {
  const again = z.union([z.literal(false), strictOptions({ depth: z.int({ error: 'an integer' }) })], { error: 'no' })
  const object = strictOptions({ size: z.int({ error: 'an integer' }).optional(), again: again.optional() })
  return z.union([z.literal(false), object], { error: 'false, or { size }' })
}

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

  it('says of a choice with an object in it what is wrong inside the object, if there is one', () => {
    expect(problemsOf({ choice: false })).toEqual([])
    for (const value of [true, null, [], 'on']) {
      const given = describeGiven(value)
      expect(problemsOf({ choice: value })).toEqual([{ path: 'options.choice', given, allowed: 'false, or { size }' }])
    }
    expect(problemsOf({ choice: { size: 'big', sice: 1 } })).toEqual([
      { path: 'options.choice.size', given: '"big"', allowed: 'an integer' },
      { path: 'options.choice.sice', given: 'a number', allowed: 'nothing by this name; did you mean size?' },
    ])
    expect(problemsOf({ choice: { sice: 1 } })).toEqual([
      { path: 'options.choice.sice', given: 'a number', allowed: 'nothing by this name; did you mean size?' },
    ])
  })

  it('goes on to a choice inside a choice', () => {
    expect(problemsOf({ choice: { size: 1, again: { depth: 'deep', dept: 1 } } })).toEqual([
      { path: 'options.choice.again.depth', given: '"deep"', allowed: 'an integer' },
      { path: 'options.choice.again.dept', given: 'a number', allowed: 'nothing by this name; did you mean depth?' },
    ])
  })

  it('hides what is inside a choice under a secret name as well', () => {
    expect(problemsOf({ passwords: { size: 'hunter2' } })).toEqual([
      { path: 'options.passwords.size', given: '(hidden)', allowed: 'an integer' },
    ])
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
