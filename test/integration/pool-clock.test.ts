// P22: a clock that leaps, and a process that stands still: nothing is lost that the server did not end.

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { AcquireTimeoutError, StatementTimeoutError } from '@moorings/core'
import { until } from '../support/until.js'
import { runChild } from './children/run.js'
import { eventsOf } from './events.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { backendOf, type Orm, orms } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const day = 86_400_000
const patience = 10_000

/** The wall clock alone is ours to set; everything that waits goes on as ever. */
beforeEach(() => {
  jest.useFakeTimers({
    doNotFake: [
      'hrtime',
      'nextTick',
      'performance',
      'queueMicrotask',
      'setImmediate',
      'clearImmediate',
      'setInterval',
      'clearInterval',
      'setTimeout',
      'clearTimeout',
    ],
  })
})
afterEach(() => {
  jest.useRealTimers()
})

function leap(ms: number): void {
  jest.setSystemTime(Date.now() + ms)
}

const leaps = [
  ['forward', day],
  ['backward', -day],
] as const

describe.each(orms)('$name', (orm: Orm) => {
  it.each(leaps)('P22: a day %s during waits: nobody is told too early or too late', async (_, ms) => {
    const db = scene.open(orm, {
      pool: { min: 0, max: 1, overflow: 0, acquireTimeoutMs: 500 },
      statement: { timeoutMs: 1_500 },
    })
    const held = await hold(db)
    const startedAt = performance.now()
    const late = errorOf(db.query('select 1'))
    const abort = new AbortController()
    const served = db.pool.acquire({ timeoutMs: 30_000, signal: abort.signal })
    leap(ms)
    expect(await within(patience, late)).toBeInstanceOf(AcquireTimeoutError)
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(499)
    expect(db.pool.stats()).toMatchObject({ waiting: 1, leased: 1, timeouts: 1 })
    await held.giveBack()
    const lease = await within(patience, served)
    lease.release()

    const slow = db.query('select pg_sleep(0.4)')
    leap(ms)
    expect(await outcome(slow)).toHaveProperty('value')
    const tooSlow = errorOf(db.query('select pg_sleep(60)'))
    leap(-ms)
    expect(await within(patience, tooSlow)).toBeInstanceOf(StatementTimeoutError)
  })

  it.each(leaps)('P22: a day %s while connections rest, live and are lent: none is closed or asked', async (_, ms) => {
    const db = scene.open(orm, {
      pool: {
        ...{ min: 1, max: 3, overflow: 0 },
        ...{ maxLifetimeMs: 3_600_000, idleTimeoutMs: 600_000, validateAfterIdleMs: 60_000 },
        // The upkeep looks every 100 ms.
        ...{ keepaliveMs: 120_000, leakAfterMs: 300_000, scaling: { everyMs: 100 } },
      },
      health: { everyMs: 0 },
    })
    const checked = eventsOf(scene, db.pool, 'moorings:connection:checked')
    const closed = eventsOf(scene, db.pool, 'moorings:connection:closed')
    await giveBackAll(await holdSeveral(db, 3))
    const before = (await scene.backends()).map(({ pid }) => pid)
    const held = await hold(db)
    const since = performance.now()
    for (let i = 1; i <= 3; i++) {
      leap(ms)
      await until(() => performance.now() - since > i * 150, { what: 'the upkeep to look' })
    }
    await held.giveBack()
    expect(before).toContain(await backendOf(db))
    expect(await db.transaction(backendOf)).toBe(held.pid)
    expect((await scene.backends()).map(({ pid }) => pid)).toEqual(before)
    expect({ checked, closed }).toEqual({ checked: [], closed: [] })
    const { leaks, wait, use, connections } = db.pool.stats()
    expect(leaks.found).toBe(0)
    for (const age of [wait.max, use.max, ...connections.flatMap(({ ageMs, forMs }) => [ageMs, forMs])]) {
      expect(age).toBeGreaterThanOrEqual(0)
      expect(age).toBeLessThan(60_000)
    }
  })

  it.each(leaps)('P22: a day %s while the pool does its upkeep: it is done all the same', async (_, ms) => {
    const db = scene.open(orm, {
      pool: {
        ...{ min: 1, max: 3, overflow: 0 },
        ...{ maxLifetimeMs: 500, lifetimeJitter: 0, idleTimeoutMs: 200, leakAfterMs: 300 },
      },
    })
    const leaks = eventsOf(scene, db.pool, 'moorings:leak:found')
    await giveBackAll(await holdSeveral(db, 3))
    leap(ms)
    await until(() => db.pool.stats().closedBy.idle === 2, { what: 'idle ones to go' })
    leap(ms)
    await until(() => db.pool.stats().closedBy.lifetime === 1, { what: 'the old one to go' })
    const held = await hold(db)
    leap(ms)
    await until(() => leaks.length === 1, { what: 'the leak to be told' })
    expect(leaks[0]?.heldMs).toBeLessThan(60_000)
    await held.giveBack()
  })
})

describe('a process that is stopped and goes on', () => {
  it.each([
    ['idle connections', {}],
    ['a statement whose answer came meanwhile', { value: [{ n: 1 }] }],
    ['a waiter whose turn came meanwhile', { value: [{ n: 2 }] }],
  ])('P22: for longer than every limit: %s', async (program, seen) => {
    jest.useRealTimers()
    const ended = await runChild(scene, 'stopped', program)
    expect(ended).toMatchObject({ output: '', code: 0, report: { left: [], errors: [] } })
    const notes = ended.report?.notes
    // One for each ORM.
    for (const each of ['drizzle', 'kysely']) {
      expect(notes?.[each]).toMatchObject({ ...seen, lost: 0, created: 2, sameBackends: true, timeouts: 0 })
    }
  })

  it('P22: what the server ended meanwhile is replaced, and nobody hears of it', async () => {
    jest.useRealTimers()
    const ended = await runChild(scene, 'stopped', 'backends killed meanwhile')
    expect(ended).toMatchObject({ output: '', code: 0, report: { left: [], errors: [] } })
    for (const each of ['drizzle', 'kysely']) {
      expect(ended.report?.notes[each]).toMatchObject({ value: [{ n: 3 }], sameBackends: false, timeouts: 0 })
    }
  })
})
