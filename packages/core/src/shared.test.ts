// What a pool is found again by, what makes another of it, and what is kept of it.

import { inspect } from 'node:util'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { type Shareable, sharedPool } from './shared.js'
import { settled } from './testing/fake-clock.js'

class FakePool implements Shareable {
  closed = false
  readonly #farewell: () => Promise<void>

  constructor(farewell: () => Promise<void> = async () => {}) {
    this.#farewell = farewell
  }

  close(): Promise<void> {
    this.closed = true
    return this.#farewell()
  }
}

const isPool = (value: unknown): value is FakePool => value instanceof FakePool

function share(madeWith: unknown, { name = 'main', system = 'fake', make = () => new FakePool() } = {}): FakePool {
  return sharedPool({ system, name, madeWith, make, isPool })
}

const kept = Symbol.for('moorings.shared.1')

afterEach(async () => {
  Reflect.deleteProperty(globalThis, kept)
  await settled()
})

it('gives the same pool for the same name made with the same', () => {
  const first = share({ url: 'postgres://h/a', resilience: { pool: { max: 3 } } })
  expect(share({ url: 'postgres://h/a', resilience: { pool: { max: 3 } } })).toBe(first)
  expect(share({ resilience: { pool: { max: 3, min: undefined } }, url: 'postgres://h/a' })).toBe(first)
  expect(first.closed).toBe(false)
})

it('keeps pools of other names and other systems apart', () => {
  const pools = [share(1), share(1, { name: 'other' }), share(1, { system: 'other' })]
  expect(new Set(pools).size).toBe(3)
  expect(pools.map(({ closed }) => closed)).toEqual([false, false, false])
})

it('replaces a pool that was made with something else, and closes it behind', () => {
  const first = share('a')
  const second = share('b')
  expect(second).not.toBe(first)
  expect([first.closed, second.closed]).toEqual([true, false])
  expect(share('b')).toBe(second)
})

it('replaces a closed pool', async () => {
  const first = share('a')
  await first.close()
  const second = share('a')
  expect(second.closed).toBe(false)
  expect(share('a')).toBe(second)
})

it('replaces what is no pool of ours', () => {
  const first = share('a')
  const other = sharedPool({
    system: 'fake',
    name: 'main',
    madeWith: 'a',
    make: () => new FakePool(),
    isPool: (value): value is FakePool => value !== first,
  })
  expect(other).not.toBe(first)
  expect(first.closed).toBe(true)
})

it.each([
  ['rejects', () => Promise.reject(new Error('cannot'))],
  [
    'throws',
    () => {
      throw new Error('cannot')
    },
  ],
])('goes on when the close of the old one %s', async (_, farewell: () => Promise<void>) => {
  share('a', { make: () => new FakePool(farewell) })
  const second = share('b')
  await settled()
  expect(share('b')).toBe(second)
})

it('keeps the old one when the new one cannot be made', () => {
  const first = share('a')
  const make = () => {
    throw new Error('wrong options')
  }
  expect(() => share('b', { make })).toThrow('wrong options')
  expect(first.closed).toBe(false)
  expect(share('a')).toBe(first)
})

class Logger {
  lines = 0
}
class OtherLogger extends Logger {}
const secureContext = () => Object.create({ constructor: class SecureContext {} })

describe('what counts as the same', () => {
  it.each<[string, () => unknown]>([
    ['functions with one source', () => ({ password: () => 'a' })],
    ['buffers of equal bytes', () => ({ ca: Buffer.from('certificate') })],
    ['dates, expressions, URLs', () => [new Date(5), /a/g, new URL('postgres://h/a')]],
    ['maps and sets', () => [new Map([['a', { b: 1 }]]), new Set(['a'])]],
    ['what a class made, whatever is in it', () => Object.assign(new Logger(), { lines: Math.random() })],
    ['what a class of an unknown kind made', secureContext],
    ['records without a prototype', () => Object.assign(Object.create(null), { a: 1 })],
    ['symbols and big numbers', () => [Symbol('a'), 10n]],
    [
      'something that holds itself',
      () => {
        const options: Record<string, unknown> = { a: 1 }
        options.self = options
        return options
      },
    ],
  ])('%s', (_, made) => {
    const first = share(made())
    expect(share(made())).toBe(first)
  })

  it.each<[string, unknown, unknown]>([
    ['a value', { max: 3 }, { max: 4 }],
    ['a type', { max: 3 }, { max: '3' }],
    ['a name', { max: 3 }, { min: 3 }],
    ['nothing and null', {}, { max: null }],
    ['an order', ['a', 'b'], ['b', 'a']],
    ['where one value ends', ['ab', 'c'], ['a', 'bc']],
    ['where one value ends, in our own notation', ['astring b', 'c'], ['a', 'bstring c']],
    ['where one list ends', [['a'], 'b'], [['a', 'b']]],
    ['a function’s source', () => 'a', () => 'b'],
    ['bytes', Buffer.from('a'), Buffer.from('b')],
    ['a date', new Date(5), new Date(6)],
    ['an expression', /a/g, /a/i],
    ['a URL', new URL('postgres://h/a'), new URL('postgres://h/b')],
    ['what is deep inside', { a: [{ b: new Map([['c', 1]]) }] }, { a: [{ b: new Map([['c', 2]]) }] }],
    ['a class', new Logger(), new OtherLogger()],
  ])('not: %s', (_, before, after) => {
    const first = share(before)
    expect(share(after)).not.toBe(first)
  })
})

it('keeps no readable trace of what a pool was made with, and is not in sight', () => {
  share({ url: 'postgres://app:hunter2@h/a', password: 'hunter2', pass: () => 'hunter2' })
  expect(inspect(Reflect.get(globalThis, kept), { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain(
    'hunter2',
  )
  expect(Object.getOwnPropertyDescriptor(globalThis, kept)?.enumerable).toBe(false)
})

it('finds what another evaluation of this module has kept', async () => {
  const first = share('a')
  jest.resetModules()
  const { sharedPool: again } = await import('./shared.js')
  expect(again).not.toBe(sharedPool)
  expect(again({ system: 'fake', name: 'main', madeWith: 'a', make: () => new FakePool(), isPool })).toBe(first)
})
