// P24: a pool that is suspended, drained and resized while callers are at work. None of them hears of it.

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, ConnectionLostError, PoolSuspendedError } from '@moorings/core'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { backendOf, type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const patience = 5_000

interface Load {
  readonly served: number
  /** Stops, and tells what any caller failed with. */
  end(): Promise<unknown[]>
}

/** Callers that go on until told to stop, or until they fail, in the three shapes a statement may have. */
function load(db: Db, callers: number): Load {
  let going = true
  let served = 0
  const failures: unknown[] = []
  const calls = [
    () => db.query('select pg_sleep(0.004)'),
    () => db.insert('mark'),
    () => db.transaction((tx) => tx.query('select pg_sleep(0.004)')),
  ]
  const all = Array.from({ length: callers }, async (_, i) => {
    const call = calls[i % calls.length]
    while (going && call !== undefined) {
      const seen = await outcome<unknown>(call())
      if ('value' in seen) served++
      else {
        failures.push(seen.error)
        return
      }
    }
  })
  return {
    get served() {
      return served
    },
    async end() {
      going = false
      await within(20_000, Promise.all(all))
      return failures
    },
  }
}

async function moreServed(working: Load, count = 50): Promise<void> {
  const enough = working.served + count
  await until(() => working.served >= enough, { what: `${count} more to be served` })
}

async function backendCount(): Promise<number> {
  return (await scene.backends()).length
}

/** What the pool says it has is what the server has, once nobody is at work. */
async function countsAgree(db: Db): Promise<void> {
  await until(
    async () => {
      const { idle, leased, connecting } = db.pool.stats()
      return leased + connecting === 0 && (await backendCount()) === idle
    },
    { what: 'pool and server to agree' },
  )
}

describe.each(orms)('$name', (orm: Orm) => {
  const open = (pool: ResilienceOptions['pool']): Db => scene.open(orm, { pool })
  const five = { min: 1, max: 4, overflow: 1 }

  it('P24: suspend() lets what is lent finish and holds everybody else back; resume() serves them', async () => {
    const db = open({ ...five, acquireTimeoutMs: 2_000 })
    const working = load(db, 12)
    await moreServed(working)
    for (let round = 0; round < 2; round++) {
      db.pool.suspend()
      await until(() => db.pool.stats().waiting === 12, { what: 'everybody to wait' })
      const { served } = working
      expect(db.pool.stats()).toMatchObject({ state: 'suspended', leased: 0 })
      for (const { state } of await scene.backends()) expect(state).toBe('idle')
      // Longer than they would wait for a connection.
      await pause(2_200)
      expect(db.pool.stats()).toMatchObject({ waiting: 12, timeouts: 0 })
      expect(working.served).toBe(served)
      db.pool.resume()
      await moreServed(working)
    }
    expect(await working.end()).toEqual([])
    expect(db.pool.stats()).toMatchObject({ state: 'running', timeouts: 0, lost: 0 })
    await countsAgree(db)
  })

  it('P24: time spent suspended does not count against a waiter, time before and after does', async () => {
    const db = open({ min: 0, max: 1, overflow: 0, acquireTimeoutMs: 600 })
    const held = await hold(db)
    const startedAt = performance.now()
    const late = errorOf(db.query('select 1'))
    await pause(200)
    db.pool.suspend()
    const suspendedAt = performance.now()
    await pause(800)
    expect(db.pool.stats()).toMatchObject({ waiting: 1 })
    db.pool.resume()
    const suspendedMs = performance.now() - suspendedAt
    expect(await within(patience, late)).toBeInstanceOf(AcquireTimeoutError)
    expect(performance.now() - startedAt - suspendedMs).toBeGreaterThanOrEqual(600 - 2)
    await held.giveBack()
  })

  it('P24: a suspension that goes on for too long refuses those who wait and those who come', async () => {
    const db = open(five)
    await db.query('select 1')
    db.pool.suspend({ refuseAfterMs: 200 })
    const waiting = errorOf(db.insert('refused'))
    await until(() => db.pool.stats().waiting === 1, { what: 'it to wait' })
    expect(await within(patience, waiting)).toBeInstanceOf(PoolSuspendedError)
    const refused = errorOf(db.transaction((tx) => tx.insert('refused')))
    expect(await within(patience, refused)).toBeInstanceOf(PoolSuspendedError)
    db.pool.resume()
    await db.insert('served')
    expect(await scene.marks()).toEqual(['served'])
    expect(db.pool.stats()).toMatchObject({ refused: 2 })
  })

  it('P24: drain(), replace every connection, resume(): under load, without one error', async () => {
    const db = open(five)
    const working = load(db, 12)
    await moreServed(working)
    const resumed = eventsOf(scene, db.pool, 'moorings:pool:resumed')
    for (let round = 1; round <= 3; round++) {
      expect(await within(patience, db.pool.drain())).toBe(true)
      expect(db.pool.stats().leased).toBe(0)
      await until(() => db.pool.stats().waiting === 12, { what: 'whoever was served last to come again' })
      const before = (await scene.backends()).map(({ pid }) => pid)
      db.pool.evict()
      await until(async () => (await backendCount()) === 0, { what: 'no backend to be left' })
      db.pool.resume()
      await moreServed(working)
      for (const { pid } of await scene.backends()) expect(before).not.toContain(pid)
    }
    expect(await working.end()).toEqual([])
    expect(resumed.map(({ waiting }) => waiting)).toEqual([12, 12, 12])
    expect(db.pool.stats().closedBy).toMatchObject({ lost: 0, unfit: 0 })
    await countsAgree(db)
  })

  it('P24: drain() is false when a lease does not come back in time, and the pool stays suspended', async () => {
    const db = open(five)
    const held = await hold(db)
    const startedAt = performance.now()
    expect(await within(patience, db.pool.drain({ timeoutMs: 300 }))).toBe(false)
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(299)
    expect(db.pool.stats()).toMatchObject({ state: 'suspended', leased: 1 })
    await held.giveBack()
    expect(await within(patience, db.pool.drain())).toBe(true)
    db.pool.resume()
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
  })

  it('P24: drain() is over when the last lease was evicted', async () => {
    const db = open(five)
    const held = await hold(db)
    const draining = db.pool.drain({ timeoutMs: 60_000 })
    db.pool.evict()
    const seen = await within(patience, outcome(held.giveBack()))
    expect('error' in seen && seen.error).toBeInstanceOf(ConnectionLostError)
    expect(await within(patience, draining)).toBe(true)
    db.pool.resume()
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
  })

  it('P24: resize() up under load opens more, down closes them as they come back, and nobody hears of it', async () => {
    const db = open({ min: 1, max: 2, overflow: 0 })
    const working = load(db, 16)
    await moreServed(working)
    expect(await backendCount()).toBe(2)
    for (const [max, overflow] of [
      [6, 0],
      [3, 2],
      [1, 0],
      [8, 1],
      [2, 1],
    ] as const) {
      db.pool.resize({ max, overflow })
      const most = max + overflow
      await until(async () => (await backendCount()) === most, { what: `${most} backends` })
      await moreServed(working)
      // From here on it is the limit.
      for (let i = 0; i < 10; i++) expect(await backendCount()).toBeLessThanOrEqual(most)
    }
    expect(await working.end()).toEqual([])
    await countsAgree(db)
    expect(db.pool.stats()).toMatchObject({ idle: 2, max: 2, overflow: 1, lost: 0, timeouts: 0 })
  })

  it('P24: resize() of a resting pool: idle ones go and come at once', async () => {
    const db = open({ min: 0, max: 6, overflow: 0 })
    await giveBackAll(await holdSeveral(db, 6))
    db.pool.resize({ max: 2 })
    await until(async () => (await backendCount()) === 2, { what: 'four of them to go' })
    db.pool.resize({ min: 5, max: 8 })
    await until(async () => (await backendCount()) === 5, { what: 'three more' })
    await until(() => db.pool.stats().idle === 5, { what: 'them to be idle' })
    expect(db.pool.stats()).toMatchObject({ min: 5, max: 8, closedBy: { overflow: 4 } })
  })

  it('P24: resize() down leaves what is lent to its users, and closes it at its return', async () => {
    const db = open({ min: 0, max: 4, overflow: 0 })
    const held = await holdSeveral(db, 4)
    db.pool.resize({ max: 1 })
    expect(await backendCount()).toBe(4)
    for (const [i, one] of held.entries()) {
      await one.giveBack()
      const left = Math.max(1, 3 - i)
      await until(async () => (await backendCount()) === left, { what: `${left} to be left` })
    }
    expect(held.map(({ pid }) => pid)).toContain(await backendOf(db))
    expect(db.pool.stats()).toMatchObject({ idle: 1, created: 4, closedBy: { overflow: 3 } })
  })
})
