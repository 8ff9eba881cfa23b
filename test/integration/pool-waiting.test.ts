// P4 to P7: waiting for a connection, and ceasing to wait.

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { AcquireAbortedError, AcquireTimeoutError, ConnectError, QueueFullError } from '@moorings/core'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { Kysely } from 'kysely'
import { until } from '../support/until.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { backendOf, type Db, type Orm, orms, type Schema } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { pool: { min: 0, max: 1, overflow: 0 } }
const two = { pool: { min: 0, max: 2, overflow: 0 } }

async function waitingToBe(db: Db, count: number): Promise<void> {
  await until(() => db.pool.stats().waiting === count, { what: `${count} to wait` })
}

describe.each(orms)('$name', (orm: Orm) => {
  it.each([50, 300])('P4: an acquire timeout of %i ms is never early, and tells the counts', async (limitMs) => {
    const db = scene.open(orm, { pool: { ...two.pool, min: 2, acquireTimeoutMs: limitMs } })
    // Connecting may take longer.
    await db.pool.start({ timeoutMs: 20_000 })
    const held = await holdSeveral(db, 2)
    const startedAt = performance.now()
    const late = await Promise.all([errorOf(db.query('select 1')), errorOf(db.insert('late'))])
    // Timers count whole milliseconds.
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(limitMs - 1)
    for (const error of late) {
      expect(error).toBeInstanceOf(AcquireTimeoutError)
      expect(error).toMatchObject({ waitedMs: limitMs, pool: { leased: 2, idle: 0, connecting: 0, max: 2 } })
    }
    expect(db.pool.stats()).toMatchObject({ waiting: 0 })
    await giveBackAll(held)
    expect(await scene.marks()).toEqual([])
  })

  it('P4: the error of a timeout has the last failure to connect as its cause', async () => {
    const db = scene.open(orm, { pool: { ...single.pool, acquireTimeoutMs: 300 } })
    scene.proxy.refuse()
    const error = await errorOf(db.query('select 1'))
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ cause: { name: 'ConnectError', code: 'ECONNREFUSED' } })
    expect((error as AcquireTimeoutError).cause).toBeInstanceOf(ConnectError)
  })

  it.each(['silent', 'reset', 'fin', 'closed'] as const)(
    'P5: what is given back goes to the next waiter at once, although a connect is under way (%s)',
    async (how) => {
      const db = scene.open(orm, two)
      const held = await hold(db)
      scene.proxy.refuse(how)
      const waiting = backendOf(db)
      await until(() => how === 'closed' || scene.proxy.accepted > 1, { what: 'a connect' })
      await waitingToBe(db, 1)
      await held.giveBack()
      // Far below connectTimeoutMs, after which the slot of the hanging one would be free.
      expect(await within(5_000, waiting)).toBe(held.pid)
    },
  )

  it('P6: a waiter that is aborted leaves the queue, and the others keep their turns', async () => {
    const db = scene.open(orm, single)
    const held = await hold(db)
    const first = db.query('select 1 as turn')
    await waitingToBe(db, 1)
    const abort = new AbortController()
    const aborted = errorOf(db.pool.acquire({ signal: abort.signal }))
    await waitingToBe(db, 2)
    const last = db.query('select 3 as turn')
    await waitingToBe(db, 3)
    const reason = new Error('changed my mind')
    abort.abort(reason)
    expect(await aborted).toBeInstanceOf(AcquireAbortedError)
    expect(await aborted).toMatchObject({ cause: reason })
    expect(db.pool.stats()).toMatchObject({ waiting: 2, leased: 1 })
    await held.giveBack()
    expect((await Promise.all([first, last])).flat()).toEqual([{ turn: 1 }, { turn: 3 }])
    expect(db.pool.stats()).toMatchObject({ waiting: 0, leased: 0, idle: 1 })
  })

  it.each(['abort, release', 'release, abort'])('P6: a release racing the abort is not lost (%s)', async (order) => {
    const db = scene.open(orm, single)
    for (let round = 0; round < 20; round++) {
      const lease = await db.pool.acquire()
      const abort = new AbortController()
      const waiter = outcome(db.pool.acquire({ signal: abort.signal }))
      if (order === 'release, abort') lease.release()
      abort.abort()
      if (order === 'abort, release') lease.release()
      const seen = await waiter
      if ('value' in seen) seen.value.release()
      else expect(seen.error).toBeInstanceOf(AcquireAbortedError)
      expect(db.pool.stats()).toMatchObject({ idle: 1, leased: 0, waiting: 0 })
    }
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
    expect(db.pool.stats()).toMatchObject({ created: 1 })
  })

  it('P6: an abort while connecting still lands the connection in the pool', async () => {
    const db = scene.open(orm, single)
    scene.proxy.delay(100)
    const abort = new AbortController()
    const waiter = errorOf(db.pool.acquire({ signal: abort.signal }))
    await until(() => scene.proxy.accepted === 1, { what: 'the connect' })
    abort.abort()
    expect(await waiter).toBeInstanceOf(AcquireAbortedError)
    await until(() => db.pool.stats().idle === 1, { what: 'the connection to arrive' })
    await backendOf(db)
    expect(db.pool.stats()).toMatchObject({ created: 1, idle: 1 })
    expect(scene.proxy.accepted).toBe(1)
  })

  it('P6: a signal that was aborted before takes no place in the queue', async () => {
    const db = scene.open(orm, single)
    expect(await errorOf(db.pool.acquire({ signal: AbortSignal.abort() }))).toBeInstanceOf(AcquireAbortedError)
    expect(scene.proxy.accepted).toBe(0)
  })

  it('P7: one more waiter than maxWaiters gets QueueFullError at once, and the others are served', async () => {
    const db = scene.open(orm, { pool: { ...single.pool, maxWaiters: 3 } })
    const held = await hold(db)
    const waiting = [1, 2, 3].map((n) => db.query(`select ${n} as n`))
    await waitingToBe(db, 3)
    const tooMany = await Promise.all([
      within(2_000, errorOf(db.query('select 4'))),
      within(2_000, errorOf(db.transaction((tx) => tx.insert('refused')))),
    ])
    for (const error of tooMany) {
      expect(error).toBeInstanceOf(QueueFullError)
      expect(error).toMatchObject({ pool: { waiting: 3, leased: 1 } })
    }
    await held.giveBack()
    expect((await Promise.all(waiting)).flat()).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(await scene.marks()).toEqual([])
  })

  it('P7: maxWaiters counts those for whom nothing is free: callers with an idle connection each are all served', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 6, overflow: 0, maxWaiters: 3 } })
    for (let i = 0; i < 6; i++) await giveBackAll(await holdSeveral(db, i + 1))
    expect(db.pool.stats()).toMatchObject({ idle: 6 })
    // Rested, so that each is looked at before it is lent.
    await pause(30)
    const seen = await Promise.all(Array.from({ length: 6 }, () => outcome(db.query('select 1 as n'))))
    expect(seen).toEqual(Array.from({ length: 6 }, () => ({ value: [{ n: 1 }] })))
  })

  it('P7: the same for callers with a connect each, in a pool that is not full yet', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 6, overflow: 0, maxWaiters: 3 } })
    const seen = await Promise.all(Array.from({ length: 6 }, () => outcome(db.query('select 1 as n'))))
    expect(seen).toEqual(Array.from({ length: 6 }, () => ({ value: [{ n: 1 }] })))
  })

  it('P7: maxWaiters 0 refuses only when every connection is taken', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 1, overflow: 0, maxWaiters: 0 } })
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
  })
})

describe('kysely, with a signal', () => {
  it('P6: a query whose signal fires while it waits leaves the queue', async () => {
    const [, kysely] = orms
    if (kysely === undefined) throw new Error('no kysely')
    const db = scene.open(kysely, single)
    const native = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: db.pool }) })
    const held = await hold(db)
    const abort = new AbortController()
    const waiting = errorOf(native.insertInto('marks').values({ mark: 'aborted' }).execute({ signal: abort.signal }))
    await waitingToBe(db, 1)
    abort.abort()
    await within(2_000, waiting)
    await waitingToBe(db, 0)
    await held.giveBack()
    expect(await scene.marks()).toEqual([])
    await until(() => db.pool.stats().idle === 1, { what: 'the connection to be back' })
  })
})
