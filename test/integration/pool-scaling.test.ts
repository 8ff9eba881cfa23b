// P20: how many connections are kept warm follows the load, within min and max. On a real server, looked at from both sides.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { useScene, within } from './scene.js'

const scene = useScene()
const everyMs = 120
const scaling = { everyMs }
const bounded = { min: 2, max: 8, overflow: 2, scaling, idleTimeoutMs: 150 }

async function backendsToBe(count: number): Promise<void> {
  await until(async () => (await scene.backends()).length === count, { what: `${count} backends` })
}

async function backendsAtMost(count: number): Promise<void> {
  await until(async () => (await scene.backends()).length <= count, { what: `${count} backends at most` })
}

/** Callers as many as given, each at it without a pause until told to stop. */
function load(db: Db, callers: number): { readonly served: number; stop(): Promise<void> } {
  let going = true
  let served = 0
  const all = Array.from({ length: callers }, async (_, i) => {
    while (going) {
      if (i % 2 === 0) await db.query('select pg_sleep(0.03)')
      else await db.transaction((tx) => tx.query('select pg_sleep(0.03)'))
      served++
    }
  })
  return {
    get served() {
      return served
    },
    async stop() {
      going = false
      await Promise.all(all)
    },
  }
}

describe.each(orms)('$name', (orm: Orm) => {
  const open = (pool: ResilienceOptions['pool']): Db => scene.open(orm, { pool })

  it('P20: under load it grows step by step up to max, without load it shrinks to min, and so do the backends', async () => {
    const db = open(bounded)
    const scaled = eventsOf(scene, db.pool, 'moorings:pool:scaled')
    await db.pool.start()
    expect(db.pool.stats().warm).toBe(2)
    const working = load(db, 8)
    await until(() => db.pool.stats().warm === 8, { what: 'it to grow to max', timeoutMs: 20_000 })
    expect((await scene.backends()).length).toBeGreaterThanOrEqual(8)
    await working.stop()
    await until(() => db.pool.stats().warm === 2, { what: 'it to shrink to min', timeoutMs: 20_000 })
    await backendsToBe(2)
    expect(db.pool.stats()).toMatchObject({ idle: 2, lost: 0, timeouts: 0 })

    let warm = 2
    for (const { from, to, utilisation } of scaled) {
      expect(from).toBe(warm)
      if (to > from) expect(utilisation).toBeGreaterThan(0.8)
      else expect(utilisation).toBeLessThan(0.5)
      // A fifth, at least one, and not beyond the bounds.
      const step = Math.max(1, Math.round(from * 0.2))
      expect(to).toBe(to > from ? Math.min(8, from + step) : Math.max(2, from - step))
      warm = to
    }
    expect(warm).toBe(2)
    expect(scaled.filter(({ to, from }) => to > from).length).toBeGreaterThanOrEqual(5)
  })

  it('P20: what it keeps warm is there before anybody needs it', async () => {
    const db = open({ ...bounded, idleTimeoutMs: 0 })
    const held = await holdSeveral(db, 2)
    // 2 of 2 in use is too tight, 2 of 3 is not.
    await until(() => db.pool.stats().idle === 1, { what: 'one more than is lent' })
    expect(db.pool.stats()).toMatchObject({ warm: 3, leased: 2, waiting: 0 })
    await backendsToBe(3)
    held.push(await hold(db))
    await until(() => db.pool.stats().warm === 4 && db.pool.stats().idle === 1, { what: 'one more again' })
    await backendsToBe(4)
    await giveBackAll(held)
  })

  it('P20: between the two thresholds it stays as it is', async () => {
    const db = open(bounded)
    const held = await holdSeveral(db, 2)
    await until(() => db.pool.stats().warm === 3, { what: 'it to grow' })
    const scaled = eventsOf(scene, db.pool, 'moorings:pool:scaled')
    await pause(6 * everyMs)
    expect(scaled).toEqual([])
    expect(db.pool.stats()).toMatchObject({ warm: 3, leased: 2 })
    await giveBackAll(held)
  })

  it('P20: at most one step in each period', async () => {
    // For other reasons the upkeep looks more often.
    const db = open({ ...bounded, max: 20, keepaliveMs: 20 })
    const at: number[] = []
    const note = () => at.push(performance.now())
    subscribe('moorings:pool:scaled', note)
    const working = load(db, 12)
    try {
      await until(() => at.length >= 4, { what: 'it to grow' })
      await working.stop()
    } finally {
      unsubscribe('moorings:pool:scaled', note)
    }
    at.reduce((before, now) => {
      expect(now - before).toBeGreaterThanOrEqual(everyMs - 1)
      return now
    })
  })

  it('P20: scaling: false keeps to min, however hard the work', async () => {
    const db = open({ ...bounded, scaling: false, idleTimeoutMs: 60 })
    const working = load(db, 8)
    await until(() => working.served >= 60, { what: 'work to be done', timeoutMs: 20_000 })
    expect(db.pool.stats().warm).toBe(2)
    await working.stop()
    await backendsToBe(2)
  })

  it('P20: never above max nor below min while the load comes and goes, and nobody goes without', async () => {
    const db = open({ ...bounded, max: 5, overflow: 1, idleTimeoutMs: 60 })
    const seen: number[] = []
    let most = 0
    for (let wave = 0; wave < 3; wave++) {
      const working = load(db, 10)
      const enough = working.served + 80
      while (working.served < enough) {
        seen.push(db.pool.stats().warm)
        most = Math.max(most, (await scene.backends()).length)
      }
      await working.stop()
      await within(10_000, backendsAtMost(5))
    }
    expect(Math.max(...seen)).toBeLessThanOrEqual(5)
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(2)
    expect(most).toBeLessThanOrEqual(6)
    expect(db.pool.stats()).toMatchObject({ timeouts: 0, refused: 0, failed: 0, lost: 0 })
  })

  it('P20: resize() moves the bounds of what is warm at once', async () => {
    const db = open({ ...bounded, scaling: { everyMs: 60_000 } })
    await db.pool.start()
    db.pool.resize({ min: 6 })
    expect(db.pool.stats().warm).toBe(6)
    await backendsToBe(6)
    db.pool.resize({ min: 1, max: 3 })
    expect(db.pool.stats().warm).toBe(3)
    await backendsToBe(3)
  })
})
