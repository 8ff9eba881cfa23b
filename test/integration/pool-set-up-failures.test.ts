// P13: a newborn connection whose set-up fails, by `onConnect` or the `afterConnect` hook: it is destroyed, its slot is
// free, the caller is told, and all is well once the set-up works.

import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, ConnectError, type HookContext } from '@moorings/core'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const patience = 5_000
const three = { min: 0, max: 3, overflow: 0, acquireTimeoutMs: 2_000 }

async function noBackend(): Promise<void> {
  await until(async () => (await scene.backends()).length === 0, { what: 'no backend to be left' })
}

async function allThreeServe(db: Db): Promise<void> {
  const held = await within(patience, holdSeveral(db, 3))
  expect(db.pool.stats()).toMatchObject({ leased: 3, connecting: 0, waiting: 0 })
  await giveBackAll(held)
  await until(() => db.pool.stats().idle === 3, { what: 'all to be back' })
}

/** Fails in its way until told to work. */
interface Faulty {
  works: boolean
  readonly called: number
  readonly hook: (context: HookContext) => Promise<void>
}

function faulty(fail: (context: HookContext) => Promise<unknown>): Faulty {
  let called = 0
  const it: Faulty = {
    works: false,
    get called() {
      return called
    },
    async hook(context) {
      called++
      if (!it.works) await fail(context)
    },
  }
  return it
}

const failures: [string, (context: HookContext) => Promise<unknown>, RegExp][] = [
  ['rejects', () => Promise.reject(new Error('not today')), /not today/],
  ['fails on the server', ({ connection }) => connection.execute({ text: 'select 1 / 0' }), /division by zero/],
  ['hangs', () => new Promise(() => {}), /afterConnect .*took longer than 150 ms/],
  ['waits for the server too long', ({ connection }) => connection.execute({ text: 'select pg_sleep(2)' }), /150 ms/],
  ['leaves a transaction open', async ({ connection }) => connection.begin(), /left a transaction open/],
]

describe.each(orms)('$name', (orm: Orm) => {
  it.each(failures)('P13: afterConnect that %s', async (_, fail, told) => {
    const setUp = faulty(fail)
    const hooks = { afterConnect: setUp.hook, timeoutMs: 150 }
    const db = scene.open(orm, { pool: { ...three, acquireTimeoutMs: 700 }, hooks })
    const opened = eventsOf(scene, db.pool, 'moorings:connection:opened')
    const errors = await within(patience, Promise.all([errorOf(db.query('select 1')), errorOf(db.insert('lost'))]))
    for (const error of errors) {
      const refused = error instanceof AcquireTimeoutError ? error.cause : error
      expect(refused).toBeInstanceOf(ConnectError)
      expect(String(refused)).toMatch(told)
    }
    await until(() => db.pool.stats().connecting === 0, { what: 'the last attempt to end' })
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 0, waiting: 0, created: 0 })
    expect(opened).toEqual([])
    await noBackend()
    setUp.works = true
    await allThreeServe(db)
    expect(await scene.marks()).toEqual([])
  })

  it.each([
    ['is wrong SQL', 'selekt 1', { code: '42601', retry: 'never' }],
    ['is refused', 'set search_path = public; select * from no_such_table', { code: '42P01', retry: 'never' }],
  ])('P13: onConnect that %s: a ConnectError at once, with the server’s code, and no backend', async (_, sql, seen) => {
    const db = scene.open(orm, { pool: { ...three, min: 2, onConnect: sql, acquireTimeoutMs: 60_000 } })
    const error = await within(patience, errorOf(db.query('select 1')))
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject(seen)
    expect(String(error)).toMatch(/onConnect failed/)
    await until(() => db.pool.stats().connecting === 0, { what: 'the connect for min to fail as well' })
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 0, waiting: 0, created: 0 })
    await noBackend()
  })

  it('P13: onConnect that takes too long is given up', async () => {
    const db = scene.open(orm, {
      pool: { ...three, onConnect: 'select pg_sleep(2)', acquireTimeoutMs: 500 },
      hooks: { timeoutMs: 150 },
    })
    const error = await within(patience, errorOf(db.query('select 1')))
    expect(error).toMatchObject({ name: 'AcquireTimeoutError', cause: { name: 'ConnectError' } })
    expect(String(error)).toMatch(/onConnect .*150 ms/)
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 0, created: 0 })
    await noBackend()
  })

  it('P13: a set-up that works again on the server serves those who wait', async () => {
    await scene.admin.query('create table settled (id int)')
    const db = scene.open(orm, { pool: { ...three, onConnect: 'select * from settled' } })
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
    const held = await hold(db)
    await scene.admin.query('drop table settled')
    const failed = eventsOf(scene, db.pool, 'moorings:connect:failed')
    const waiting = hold(db)
    await until(() => failed.length > 0, { what: 'a set-up to fail' })
    await scene.admin.query('create table settled (id int)')
    const fresh = await within(patience, waiting)
    expect(fresh.pid).not.toBe(held.pid)
    await giveBackAll([held, fresh])
    await until(async () => (await scene.backends()).length === 2, { what: 'no more than the two to be left' })
    await scene.admin.query('drop table settled')
  })

  it('P13: the deadline of the connect covers the set-up: a wire that dies in it frees the slot', async () => {
    const setUp = faulty(async ({ connection }) => {
      scene.proxy.swallow()
      await connection.execute({ text: 'select 1' })
    })
    const resilience: ResilienceOptions = {
      pool: { ...three, connectTimeoutMs: 300, acquireTimeoutMs: 250 },
      hooks: { afterConnect: setUp.hook, timeoutMs: 60_000 },
    }
    const db = scene.open(orm, resilience)
    await within(patience, errorOf(db.query('select 1')))
    await until(() => db.pool.stats().connecting === 0, { what: 'the attempt to be given up' })
    expect(setUp.called).toBe(1)
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 0, created: 0, connectFailures: 1 })
    await scene.proxy.restore()
    setUp.works = true
    const held = await within(patience, hold(db))
    await held.giveBack()
  })

  it('P13: close() while a set-up hangs is bounded, and leaves no backend', async () => {
    const setUp = faulty(() => new Promise(() => {}))
    const resilience: ResilienceOptions = {
      pool: { ...three, min: 2, closeTimeoutMs: 300 },
      hooks: { afterConnect: setUp.hook, timeoutMs: 60_000 },
    }
    const db = scene.open(orm, resilience)
    const waiting = errorOf(db.query('select 1'))
    await until(() => setUp.called === 2, { what: 'both set-ups to hang' })
    await within(patience, db.close())
    expect(await waiting).toMatchObject({ name: 'PoolClosedError' })
    await until(() => scene.proxy.open === 0, { what: 'every socket to be closed' })
    await noBackend()
  })
})
