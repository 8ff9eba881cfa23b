// P4, P7: what a caller is told that got no connection. The waiting itself is in pool-waiting.test.ts.

import { inspect } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, ConnectError, QueueFullError } from '@moorings/core'
import { createPool } from '@moorings/postgres'
import { until } from '../support/until.js'
import { giveBackAll, hold } from './held.js'
import { type Db, type Orm, orms } from './orms.js'
import { errorOf, gate, outcome, useScene, within } from './scene.js'

const scene = useScene()
const three = { min: 0, max: 3, overflow: 0 }
/** Calls go through orms.ts, which with this file is all that a pool here sees of an application. */
const inTheApplication = /\/integration\/(orms|pool-timeout-report\.test)\.ts:\d+:\d+$/

/** As `hold`, by somebody who awaits the transaction, as applications do: without that Node keeps no track of the caller. */
async function holdAwaited(db: Db, taken: () => void, end: Promise<void>): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query('select 1')
    taken()
    await end
  })
}

async function timeoutOf(promise: Promise<unknown>): Promise<AcquireTimeoutError> {
  const error = await errorOf(promise)
  if (error instanceof AcquireTimeoutError) return error
  throw error
}

describe.each(orms)('$name', (orm: Orm) => {
  it('P4: the error of a timeout names the counts, who holds connections since when and where, and why none was made', async () => {
    const db = scene.open(orm, { pool: { ...three, acquireTimeoutMs: 1_500 } })
    const end = gate()
    const held: Promise<void>[] = []
    for (let i = 0; i < 2; i++) {
      const taken = gate()
      held.push(holdAwaited(db, taken.open, end.opened))
      await taken.opened
    }
    scene.proxy.refuse()
    const [error, other] = await Promise.all([timeoutOf(db.query('select 1')), timeoutOf(db.insert('late'))])
    expect(error.pool).toMatchObject({ idle: 0, leased: 2, max: 3, overflow: 0 })
    // Both waited to the end of the same time; the first of them to be told still saw both.
    expect([error.pool.waiting, other.pool.waiting].sort()).toEqual([1, 2])
    expect(error.pool.connecting).toBeLessThanOrEqual(1)

    expect(error.holders).toHaveLength(2)
    const [longest, shorter] = error.holders
    expect(longest?.heldMs).toBeGreaterThan(shorter?.heldMs ?? Number.POSITIVE_INFINITY)
    expect(shorter?.heldMs).toBeGreaterThanOrEqual(1_500 - 1)
    for (const { takenAt } of error.holders) expect(takenAt).toMatch(inTheApplication)

    expect(error.cause).toBeInstanceOf(ConnectError)
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' })
    for (const told of [
      /2 leased, 0 idle, [01] connecting, [12] waiting/,
      /max 3, overflow 0/,
      /taken at .*\.ts:\d+/,
    ]) {
      expect(error.message).toMatch(told)
    }
    expect(error.message).toMatch(/the last connect failed: .*ECONNREFUSED/)
    end.open()
    await Promise.all(held)
    expect(await scene.marks()).toEqual([])
  })

  it('P4: of many holders it names the three that have held for longest', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 5, overflow: 0, acquireTimeoutMs: 1_500 } })
    const held = [await hold(db)]
    for (let i = 1; i < 5; i++) held.push(await hold(db))
    const oldestFirst = [...db.pool.stats().connections].sort((a, b) => b.forMs - a.forMs).map(({ id }) => id)
    const { holders } = await timeoutOf(db.query('select 1'))
    expect(holders.map(({ id }) => id)).toEqual(oldestFirst.slice(0, 3))
    await giveBackAll(held)
  })

  it('P4: a connect that hangs is told as one under way', async () => {
    const db = scene.open(orm, { pool: { ...three, acquireTimeoutMs: 200 } })
    scene.proxy.refuse('silent')
    const error = await timeoutOf(db.query('select 1'))
    expect(error).toMatchObject({ pool: { idle: 0, leased: 0, connecting: 1 }, holders: [] })
    expect(error.cause).toBeUndefined()
  })

  it('P4: a failure to connect is told no more once a connect has succeeded', async () => {
    const db = scene.open(orm, { pool: { ...three, max: 1, acquireTimeoutMs: 1_500 } })
    scene.proxy.refuse()
    expect(await timeoutOf(db.query('select 1'))).toHaveProperty('cause')
    await scene.proxy.restore()
    const held = await within(5_000, hold(db))
    const error = await timeoutOf(db.query('select 1'))
    expect(error.cause).toBeUndefined()
    expect(error.message).not.toMatch(/connect failed/)
    await held.giveBack()
  })

  it('P4: neither the error nor its cause shows the password', async () => {
    const url = new URL(scene.url)
    const secret = 'pa$$ w:rd%/?#@'
    url.password = encodeURIComponent(secret)
    scene.proxy.refuse('reset')
    const db = scene.open(orm, { pool: { ...three, acquireTimeoutMs: 200 } }, url.href)
    const error = await timeoutOf(db.query('select 1'))
    const told = `${inspect(error, { depth: 9, showHidden: true })}${JSON.stringify(error)}${inspect(error.cause)}`
    expect(told).toContain('ConnectError')
    expect(told).not.toContain(secret)
    expect(told).not.toContain(encodeURIComponent(secret))
  })

  it('P7: while nothing can be connected, those beyond maxWaiters and the connects of the pool are refused at once', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0, maxWaiters: 3 } })
    scene.proxy.refuse()
    const waiting = Array.from({ length: 5 }, (_, i) => db.query(`select ${i} as n`))
    await until(() => db.pool.stats().waiting === 5, { what: 'five to wait' })
    const [refused, alsoRefused] = await Promise.all([
      within(2_000, errorOf(db.query('select 5'))),
      within(2_000, errorOf(db.transaction((tx) => tx.insert('refused')))),
    ])
    expect(refused).toBeInstanceOf(QueueFullError)
    expect(alsoRefused).toBeInstanceOf(QueueFullError)
    expect(refused).toMatchObject({ pool: { idle: 0, leased: 0, waiting: 5 } })
    expect(db.pool.stats()).toMatchObject({ refused: 2, timeouts: 0 })
    await scene.proxy.restore()
    expect((await within(10_000, Promise.all(waiting))).flat()).toEqual([0, 1, 2, 3, 4].map((n) => ({ n })))
    expect(await scene.marks()).toEqual([])
  })
})

it('P4: no timeout of many with different limits comes early, or before a shorter one', async () => {
  const pool = scene.closing(createPool(scene.url, { resilience: { pool: { min: 0, max: 1, overflow: 0 } } }))
  const lease = await pool.acquire()
  const limits = Array.from({ length: 40 }, (_, i) => 20 + ((i * 17) % 40) * 12)
  const order: number[] = []
  const ends = limits.map(async (timeoutMs) => {
    const startedAt = performance.now()
    const error = await timeoutOf(pool.acquire({ timeoutMs }))
    order.push(timeoutMs)
    return { timeoutMs, error, tookMs: performance.now() - startedAt }
  })
  for (const { timeoutMs, error, tookMs } of await Promise.all(ends)) {
    expect(error.waitedMs).toBe(timeoutMs)
    // Timers count whole milliseconds.
    expect(tookMs).toBeGreaterThanOrEqual(timeoutMs - 1)
  }
  expect(order).toEqual([...limits].sort((a, b) => a - b))
  lease.release()
  expect(await outcome(pool.acquire().then((next) => next.release()))).toEqual({ value: undefined })
})

describe.each(orms)('$name, with stacks as deep as usual', (orm: Orm) => {
  it.each<[string, (db: Db) => (body: () => Promise<void>) => Promise<void>]>([
    ['its own transaction()', (db) => db.transaction],
    ['withTransaction()', (db) => db.withTransaction],
  ])('P4: %s is named as well', async (_, way) => {
    const db = scene.open(orm, { pool: { ...three, max: 1, acquireTimeoutMs: 500 } })
    const [taken, end] = [gate(), gate()]
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 10
    try {
      // As an application waits for it: where nobody does, Kysely, which begins it some turns later, has nobody to name.
      const held = (async () => {
        await way(db)(async () => {
          taken.open()
          await end.opened
        })
      })()
      await taken.opened
      const { holders } = await timeoutOf(db.query('select 1'))
      expect(holders).toMatchObject([{ takenAt: expect.stringMatching(inTheApplication) }])
      end.open()
      await held
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
  })
})
