// P23: retiring some connections and not others: one by its id, those of an endpoint, all; politely or at once. Counted on
// the server. Invalidating all under load is in pool-retiring.test.ts.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '@moorings/core'
import { type FaultProxy, startProxy, targetOf } from '../support/proxy.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { giveBackAll, type Held, hold } from './held.js'
import { backendOf, type Db, type Orm, orms } from './orms.js'
import { errorOf, gate, outcome, useScene, within } from './scene.js'

const scene = useScene()
const patience = 5_000

async function pids(): Promise<number[]> {
  return (await scene.backends()).map(({ pid }) => pid).sort()
}

async function onlyBackends(wanted: readonly number[]): Promise<void> {
  const sorted = JSON.stringify([...wanted].sort())
  await until(async () => JSON.stringify(await pids()) === sorted, { what: `the backends ${sorted} and no other` })
}

interface Numbered extends Held {
  readonly id: number
}

/** With the pool's own number for it. */
async function holdNumbered(db: Db): Promise<Numbered> {
  const before = new Set(leasedIds(db))
  const held = await hold(db)
  const id = leasedIds(db).find((one) => !before.has(one))
  if (id === undefined) throw new Error('nothing more is leased')
  return { ...held, id }
}

function leasedIds(db: Db): number[] {
  return db.pool.stats().connections.flatMap(({ id, state }) => (state === 'leased' ? [id] : []))
}

describe.each(orms)('$name', (orm: Orm) => {
  it('P23: invalidate({ id }) closes that one, idle or when it comes back, and no other', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 4, overflow: 0 } })
    const told = eventsOf(scene, db.pool, 'moorings:pool:invalidated')
    const a = await holdNumbered(db)
    const b = await holdNumbered(db)
    const c = await holdNumbered(db)
    await a.giveBack()
    expect(db.pool.invalidate({ id: a.id })).toBe(1)
    await onlyBackends([b.pid, c.pid])
    expect(db.pool.invalidate({ id: b.id })).toBe(1)
    await onlyBackends([b.pid, c.pid])
    await b.giveBack()
    await onlyBackends([c.pid])
    await c.giveBack()
    expect(await backendOf(db)).toBe(c.pid)
    expect(db.pool.invalidate({ id: a.id })).toBe(0)
    expect(told).toMatchObject([
      { how: 'invalidate', connections: 1, id: a.id },
      { how: 'invalidate', connections: 1, id: b.id },
      { how: 'invalidate', connections: 0, id: a.id },
    ])
    expect(db.pool.stats().closedBy).toMatchObject({ epoch: 2 })
  })

  it('P23: evict({ id }) takes that one from its user at once, and no other', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 3, overflow: 0 } })
    const begun = gate()
    const end = gate()
    const doomed = outcome(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        begun.open()
        await end.opened
        await tx.insert('never')
      }),
    )
    await begun.opened
    const [id = 0] = leasedIds(db)
    const other = await hold(db)
    expect(db.pool.evict({ id })).toBe(1)
    await onlyBackends([other.pid])
    end.open()
    const seen = await within(patience, doomed)
    expect(seen).toMatchObject({ error: { name: 'ConnectionLostError' } })
    await other.giveBack()
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, closedBy: { evicted: 1 } })
    expect(await scene.marks()).toEqual([])
  })

  it('P23: evict() ends what runs, on the server as well, and those who wait get new connections', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const running = [1, 2].map(() => errorOf(db.query('select pg_sleep(60)')))
    await until(async () => (await scene.backends()).filter(({ state }) => state === 'active').length === 2, {
      what: 'both to run',
    })
    const before = await pids()
    const waiting = [1, 2, 3].map((n) => db.query(`select ${n} as n`))
    await until(() => db.pool.stats().waiting === 3, { what: 'three to wait' })
    expect(db.pool.evict()).toBe(2)
    for (const error of await within(patience, Promise.all(running))) {
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(String(error)).toMatch(/evicted/)
    }
    expect((await within(patience, Promise.all(waiting))).flat()).toEqual([1, 2, 3].map((n) => ({ n })))
    await until(async () => (await pids()).every((pid) => !before.includes(pid)), {
      what: 'the old backends to be gone',
    })
    expect(db.pool.stats()).toMatchObject({ epoch: 1, leased: 0 })
  })

  it('P23: what is connecting during evict() is retired when it arrives', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 1, overflow: 0 } })
    scene.proxy.delay(40)
    const waiting = backendOf(db)
    await until(() => db.pool.stats().connecting === 1 && scene.proxy.accepted === 1, { what: 'the connect' })
    expect(db.pool.evict()).toBe(0)
    const pid = await within(patience, waiting)
    scene.proxy.delay(0)
    await onlyBackends([pid])
    expect(db.pool.stats()).toMatchObject({ created: 2, closed: 1, lost: 0 })
  })

  describe('of two endpoints', () => {
    let second: FaultProxy
    beforeEach(async () => {
      second = await startProxy({ target: targetOf(scene.directUrl) })
    })
    afterEach(() => second.close())

    const here = (proxy: FaultProxy) => ({ host: proxy.host, port: proxy.port })
    const name = (proxy: FaultProxy) => `${proxy.host}:${proxy.port}`

    /** Two connections to the one and two to the other, all held. */
    async function spread(): Promise<{ db: Db; first: Numbered[]; others: Numbered[] }> {
      const url = new URL(scene.url)
      const both = scene.url.replace(url.host, `${name(scene.proxy)},${name(second)}`)
      const db = scene.open(orm, { pool: { min: 0, max: 6, overflow: 0 } }, both)
      const first = [await holdNumbered(db), await holdNumbered(db)]
      scene.proxy.refuse()
      const others = [await holdNumbered(db), await holdNumbered(db)]
      await scene.proxy.restore()
      expect(db.pool.stats().endpoints).toMatchObject({
        [name(scene.proxy)]: { connections: 2, leased: 2 },
        [name(second)]: { connections: 2, leased: 2 },
      })
      return { db, first, others }
    }

    it('P23: invalidate({ endpoint }) retires those that lead there, and no other', async () => {
      const { db, first, others } = await spread()
      const [a, b] = first
      await a?.giveBack()
      await giveBackAll(others.slice(0, 1))
      expect(db.pool.invalidate({ endpoint: here(scene.proxy) })).toBe(2)
      await onlyBackends([b?.pid ?? 0, ...others.map(({ pid }) => pid)])
      await b?.giveBack()
      await onlyBackends(others.map(({ pid }) => pid))
      expect(others.map(({ pid }) => pid)).toContain(await backendOf(db))
      await giveBackAll(others.slice(1))
      // The endpoint itself is as good as ever: what is made anew may lead there, and stays.
      second.refuse()
      const fresh = [await hold(db), await hold(db), await hold(db)]
      expect(db.pool.stats().endpoints).toMatchObject({ [name(scene.proxy)]: { connections: 1 } })
      await giveBackAll(fresh)
      expect(db.pool.stats()).toMatchObject({ idle: 3, lost: 0, closedBy: { epoch: 2 } })
    })

    it('P23: evict({ endpoint }) takes those that lead there from their users, and no other', async () => {
      const { db, first, others } = await spread()
      const told = eventsOf(scene, db.pool, 'moorings:pool:invalidated')
      expect(db.pool.evict({ endpoint: here(second) })).toBe(2)
      await onlyBackends(first.map(({ pid }) => pid))
      expect(told).toMatchObject([{ how: 'evict', connections: 2, endpoint: name(second) }])
      for (const { giveBack } of others) {
        expect(await within(patience, outcome(giveBack()))).toMatchObject({ error: { name: 'ConnectionLostError' } })
      }
      await giveBackAll(first)
      expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 2, closedBy: { evicted: 2 } })
    })

    it('P23: an endpoint that nothing leads to is no selector for everything', async () => {
      const { db, first, others } = await spread()
      const elsewhere = { host: scene.proxy.host, port: 1 }
      expect([db.pool.invalidate({ endpoint: elsewhere }), db.pool.evict({ endpoint: elsewhere })]).toEqual([0, 0])
      await giveBackAll([...first, ...others])
      expect(db.pool.stats()).toMatchObject({ idle: 4, closed: 0 })
    })
  })
})
