// An acquire timeout names who has held a connection for longest, and where in the application it was taken.

import { compileFunction } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, SelfDeadlockError, SerializationError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import { ask, type FakeLease, type FakePool, fixture } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'
import { applicationFrame } from './stacks.js'

/** A line of the application, which lies where neither this package nor a library does. */
function application(code: string, line: number): (pool: FakePool) => Promise<FakeLease> {
  return compileFunction(code, ['pool'], {
    filename: '/srv/shop/orders.js',
    lineOffset: line - 1,
  }) as () => Promise<FakeLease>
}

async function holdersAfter(taking: readonly (() => Promise<unknown>)[], setup: ReturnType<typeof fixture>) {
  const { pool, clock } = setup
  for (const take of taking) {
    void take()
    await clock.advance(100)
  }
  const [late] = await ask(pool, 1)
  await clock.advance(500)
  if (!(late?.error instanceof AcquireTimeoutError)) throw new Error(`expected a timeout, got ${late?.error}`)
  return late.error
}

describe('the holders in an acquire timeout', () => {
  const options = { max: 4, overflow: 0, acquireTimeoutMs: 500, leakAfterMs: 60_000 }

  it('are the three that have held longest, the longest first, each with its own line', async () => {
    const setup = fixture(options)
    const lines = [12, 34, 56, 78].map((line) => application('return pool.acquire()', line))
    const { holders, message } = await holdersAfter(
      lines.map((take) => () => take(setup.pool)),
      setup,
    )
    expect(holders).toEqual([
      { id: 1, heldMs: 900, takenAt: '/srv/shop/orders.js:12:13' },
      { id: 2, heldMs: 800, takenAt: '/srv/shop/orders.js:34:13' },
      { id: 3, heldMs: 700, takenAt: '/srv/shop/orders.js:56:13' },
    ])
    expect(message).toContain('; the longest held for 900 ms, taken at /srv/shop/orders.js:12:13')
  })

  it.each([
    ['lease()', 'return pool.lease(() => new Promise(() => {}))'],
    ['transaction()', 'return pool.transaction(() => new Promise(() => {}))'],
    ['acquire() behind an await', 'return (async () => { await null; return pool.acquire() })()'],
  ])('have the line of %s, too', async (_, code) => {
    const setup = fixture({ ...options, max: 1 })
    const take = application(code, 7)
    const { holders } = await holdersAfter([() => take(setup.pool)], setup)
    expect(holders).toEqual([{ id: 1, heldMs: 600, takenAt: expect.stringMatching(/^\/srv\/shop\/orders\.js:7:\d+$/) }])
  })

  it('have the line of transaction() where stacks are as deep as usual and an ORM lies in between, at each attempt', async () => {
    const setup = fixture({ ...options, max: 1 })
    const orm = (code: string, ...names: string[]) =>
      compileFunction(code, names, { filename: '/srv/shop/node_modules/orm/index.js' })
    const begin: unknown = orm(
      'return [1, 2, 3, 4].reduce((inner) => () => inner(), () => pool.transaction(body, { retry: {} }))()',
      'pool',
      'body',
    )
    const take: unknown = compileFunction('return begin(pool, body)', ['begin', 'pool', 'body'], {
      filename: '/srv/shop/orders.js',
      lineOffset: 6,
    })
    if (typeof take !== 'function') throw new Error('expected a function')
    let attempts = 0
    const body = () => {
      if (++attempts === 1) throw new SerializationError('once more')
      return new Promise(() => {})
    }
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 10
    try {
      const { holders } = await holdersAfter([() => take(begin, setup.pool, body)], setup)
      expect(attempts).toBe(2)
      expect(holders).toMatchObject([{ id: 1, takenAt: expect.stringMatching(/^\/srv\/shop\/orders\.js:7:\d+$/) }])
      expect(Error.stackTraceLimit).toBe(10)
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
  })

  it('have no line for what was taken for a single statement', async () => {
    const setup = fixture({ ...options, max: 1 })
    const { holders, message } = await holdersAfter([() => setup.pool.acquire({ brief: true })], setup)
    expect(holders).toEqual([{ id: 1, heldMs: 600, takenAt: undefined }])
    expect(message).toMatch(/; the longest held for 600 ms$/)
  })

  it('have no line when leakAfterMs is 0', async () => {
    const setup = fixture({ ...options, max: 1, leakAfterMs: 0 })
    const take = application('return pool.acquire()', 12)
    const { holders } = await holdersAfter([() => take(setup.pool)], setup)
    expect(holders).toEqual([{ id: 1, heldMs: 600, takenAt: undefined }])
  })

  it('are none when nothing is lent', async () => {
    const { pool, clock, driver } = fixture(options)
    driver.connects = 'deaf'
    const [late] = await ask(pool, 1)
    await clock.advance(500)
    expect(late?.error).toMatchObject({ name: 'AcquireTimeoutError', holders: [] })
    expect(String(late?.error)).not.toContain('held for')
  })

  it('are named by a self-deadlock as well', async () => {
    const { pool, clock } = fixture({ ...options, max: 1, acquireTimeoutMs: 30_000 })
    const take = application('return pool.lease(() => pool.acquire())', 90)
    const waiting = watch(take(pool))
    await clock.advance(2_000)
    await settled()
    expect(waiting.error).toBeInstanceOf(SelfDeadlockError)
    expect(waiting.error).toMatchObject({ holders: [{ id: 1, takenAt: '/srv/shop/orders.js:90:13' }] })
  })
})

describe('the application’s frame of a stack', () => {
  const frames = (...lines: string[]) => `Error\n${lines.map((line) => `    at ${line}`).join('\n')}`

  it.each([
    ['take (/srv/shop/orders.js:3:9)', '/srv/shop/orders.js:3:9'],
    ['/srv/shop/orders.js:3:9', '/srv/shop/orders.js:3:9'],
    ['file:///srv/shop/orders.mjs:3:9', '/srv/shop/orders.mjs:3:9'],
    ['async Promise.all (index 0)', undefined],
    ['async take (file:///srv/shop/orders.mjs:3:9)', '/srv/shop/orders.mjs:3:9'],
    ['new Orders (/srv/shop/orders.js:3:9)', '/srv/shop/orders.js:3:9'],
    ['node:internal/process/task_queues:95:5', undefined],
    ['process.processTicksAndRejections (node:internal/process/task_queues:95:5)', undefined],
    ['Query.run (/srv/shop/node_modules/orm/index.js:1:2)', undefined],
    ['Query.run (C:\\shop\\node_modules\\orm\\index.js:1:2)', undefined],
    ['native', undefined],
  ])('of "%s" is %s', (line, place) => {
    expect(applicationFrame(frames(line))).toBe(place)
  })

  it('is the first that is neither Node’s, nor a library’s, nor this package’s', () => {
    const own = new URL('./lending.ts', import.meta.url)
    const stack = frames(
      `Lending.acquire (${own.pathname}:1:1)`,
      `Pool.acquire (${own.href}:1:1)`,
      'Query.run (/srv/shop/node_modules/orm/index.js:1:2)',
      'node:internal/process/task_queues:95:5',
      'checkout (/srv/shop/checkout.js:8:3)',
      'main (/srv/shop/main.js:2:1)',
    )
    expect(applicationFrame(stack)).toBe('/srv/shop/checkout.js:8:3')
  })

  it('is unknown where there is no stack', () => {
    expect(applicationFrame(undefined)).toBeUndefined()
    expect(applicationFrame('Error: something')).toBeUndefined()
  })
})
