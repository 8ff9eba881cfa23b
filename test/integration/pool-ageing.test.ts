// P19: connections that have lived, rested or served for long enough, and idle ones that died without a word. None is
// taken from whoever uses it, and nobody hears of any of it.

import { describe, expect, it } from '@jest/globals'
import { killBackends } from '../support/admin.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { backendOf, type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { gate, useScene, within } from './scene.js'

const scene = useScene()
const patience = 5_000

async function pids(): Promise<number[]> {
  return (await scene.backends()).map(({ pid }) => pid).sort()
}

async function backendsToBe(count: number): Promise<number[]> {
  await until(async () => (await pids()).length === count, { what: `${count} backends` })
  return pids()
}

/** Open for so long now, by our clock, at least: from before it was opened. */
async function agedTo(ms: number, since: number): Promise<void> {
  await until(() => performance.now() - since > ms, { what: `${ms} ms to pass` })
}

describe.each(orms)('$name', (orm: Orm) => {
  const open = (pool: ResilienceOptions['pool'], url = scene.url): Db => scene.open(orm, { pool }, url)

  it('P19: a connection past its lifetime is replaced while idle, and again and again, and min stays filled', async () => {
    const db = open({ min: 2, max: 2, overflow: 0, maxLifetimeMs: 300, lifetimeJitter: 0 })
    const closed = eventsOf(scene, db.pool, 'moorings:connection:closed')
    await db.pool.start()
    const first = await pids()
    await until(() => closed.length >= 4, { what: 'two generations to go' })
    for (const { reason, ageMs, error } of closed) {
      expect({ reason, error }).toEqual({ reason: 'lifetime', error: undefined })
      expect(ageMs).toBeGreaterThanOrEqual(300 - 1)
    }
    const now = await backendsToBe(2)
    for (const pid of first) expect(now).not.toContain(pid)
    expect(db.pool.stats()).toMatchObject({ lost: 0, connectFailures: 0 })
  })

  it('P19: one that is used past its lifetime is left to its user, and goes at its return', async () => {
    const startedAt = performance.now()
    const db = open({ min: 0, max: 1, overflow: 0, maxLifetimeMs: 200, lifetimeJitter: 0 })
    const end = gate()
    const seen: number[] = []
    const using = db.transaction(async (tx) => {
      seen.push(await backendOf(tx))
      await end.opened
      seen.push(await backendOf(tx))
      await tx.insert('late')
    })
    await until(() => seen.length === 1, { what: 'the transaction to be under way' })
    await agedTo(700, startedAt)
    const waiting = backendOf(db)
    await until(() => db.pool.stats().waiting === 1, { what: 'somebody to wait for it' })
    expect(db.pool.stats()).toMatchObject({ leased: 1, closed: 0 })
    end.open()
    await using
    expect(new Set(seen).size).toBe(1)
    expect(await within(patience, waiting)).not.toBe(seen[0])
    expect(db.pool.stats().closedBy).toMatchObject({ lifetime: 1, lost: 0, unfit: 0 })
    expect(await scene.marks()).toEqual(['late'])
  })

  it('P19: callers never notice that connections come to their end all the time', async () => {
    const db = open({ min: 1, max: 4, overflow: 2, maxLifetimeMs: 60, lifetimeJitter: 0.5 })
    const work = Array.from({ length: 6 }, async (_, worker) => {
      for (let i = 0; i < 40; i++) {
        if (worker % 2 === 0) await db.insert('mark')
        else await db.transaction((tx) => tx.insert('mark'))
        await db.query('select pg_sleep(0.005)')
      }
    })
    await within(40_000, Promise.all(work))
    expect(db.pool.stats().closedBy.lifetime).toBeGreaterThan(5)
    expect(db.pool.stats()).toMatchObject({ lost: 0, leased: 0 })
    expect(await scene.marks()).toHaveLength(240)
  })

  it('P19: a lifetime of 0 lasts, as does a rest with idleTimeoutMs 0', async () => {
    const db = open({ min: 0, max: 2, overflow: 0, maxLifetimeMs: 0, idleTimeoutMs: 0, keepaliveMs: 50 })
    const checked = eventsOf(scene, db.pool, 'moorings:connection:checked')
    await giveBackAll(await holdSeveral(db, 2))
    const before = await pids()
    // The upkeep is at work meanwhile.
    await until(() => checked.length >= 8, { what: 'several rounds of keepalive' })
    expect(await pids()).toEqual(before)
    expect(db.pool.stats()).toMatchObject({ idle: 2, closed: 0 })
  })

  it('P19: maxUses replaces a connection after so many borrowers, between two of them', async () => {
    const db = open({ min: 0, max: 1, overflow: 0, maxUses: 3 })
    const seen: number[] = []
    for (let i = 0; i < 7; i++) seen.push(i % 2 === 0 ? await backendOf(db) : await db.transaction(backendOf))
    const [a, , , b, , , c] = seen
    expect(seen).toEqual([a, a, a, b, b, b, c])
    expect(new Set(seen).size).toBe(3)
    expect(db.pool.stats().closedBy).toMatchObject({ uses: 2 })
  })

  it('P19: idle ones go after their time, the longest at rest first, and never below min', async () => {
    const db = open({ min: 2, max: 6, overflow: 0, idleTimeoutMs: 250 })
    const closed = eventsOf(scene, db.pool, 'moorings:connection:closed')
    const held = await holdSeveral(db, 6)
    for (const one of held) await one.giveBack()
    // Used last, so the last to have rested for long enough.
    const kept = await backendOf(db)
    expect(await backendsToBe(2)).toContain(kept)
    expect(closed).toHaveLength(4)
    for (const { reason } of closed) expect(reason).toBe('idle')
    const left = await pids()
    const since = performance.now()
    await agedTo(800, since)
    expect(await pids()).toEqual(left)
    expect(db.pool.stats()).toMatchObject({ idle: 2, closed: 4, lost: 0 })
  })

  it.each([
    ['the wire swallows everything', async () => scene.proxy.connections[0]?.swallow('both')],
    ['only answers are swallowed', async () => scene.proxy.connections[0]?.swallow('to-client')],
    [
      'half-open: the server has long forgotten it',
      async (pid: number) => {
        scene.proxy.connections[0]?.swallow('both')
        // Its end of the connection is gone, and nothing of that reaches us.
        await killBackends(scene.admin, 'pid = $1', [pid])
      },
    ],
  ])('P19: keepalive finds a dead idle connection and replaces it before anybody borrows (%s)', async (_, cut) => {
    const db = open({ min: 1, max: 2, overflow: 0, keepaliveMs: 150, validationTimeoutMs: 250 })
    await db.pool.start()
    const [first = 0] = await pids()
    db.pool.resize({ min: 2 })
    await until(() => db.pool.stats().idle === 2, { what: 'another beside it' })
    const checked = eventsOf(scene, db.pool, 'moorings:connection:checked')
    await until(() => checked.length >= 2, { what: 'both to be found alive' })
    await cut(first)
    await until(() => db.pool.stats().closedBy.invalid === 1, { what: 'the dead one to be found' })
    await until(() => db.pool.stats().idle === 2, { what: 'another to take its place' })
    const failed = checked.filter(({ error }) => error !== undefined)
    expect(failed.map(({ why }) => why)).toEqual(['keepalive'])
    expect(db.pool.stats()).toMatchObject({ created: 3, acquired: 0, waiting: 0 })
    const held = await within(patience, holdSeveral(db, 2))
    await giveBackAll(held)
    expect(db.pool.stats()).toMatchObject({ created: 3, lost: 1 })
  })

  it('P19: keepalive finds them all when the whole network is gone, and the pool is whole again when it is back', async () => {
    const db = open({ min: 3, max: 3, overflow: 0, keepaliveMs: 150, validationTimeoutMs: 250, connectTimeoutMs: 300 })
    await db.pool.start()
    scene.proxy.swallow()
    await until(() => db.pool.stats().lost === 3, { what: 'all three to be found dead' })
    await scene.proxy.restore()
    await until(() => db.pool.stats().idle === 3, { what: 'three new ones' })
    expect(await within(patience, db.query('select 1 as n'))).toEqual([{ n: 1 }])
    expect(db.pool.stats()).toMatchObject({ acquired: 1, timeouts: 0 })
  })

  it('P19: a sign of life is asked of those that rest, never of those in use, and is no use by itself', async () => {
    const db = open({ min: 0, max: 2, overflow: 0, keepaliveMs: 60, idleTimeoutMs: 400 })
    const checked = eventsOf(scene, db.pool, 'moorings:connection:checked')
    const [used, rested] = await holdSeveral(db, 2)
    await rested?.giveBack()
    await until(() => checked.length >= 2, { what: 'signs of life' })
    const asked = new Set(checked.map(({ id }) => id))
    expect(asked.size).toBe(1)
    const inUse = db.pool.stats().connections.find(({ state }) => state === 'leased')
    expect(asked).not.toContain(inUse?.id)
    // Kept alive, it has rested all the same.
    await until(() => db.pool.stats().closedBy.idle === 1, { what: 'it to go' })
    await used?.giveBack()
    expect(db.pool.stats()).toMatchObject({ lost: 0, acquired: 2 })
  })
})

it('P19: connections made together do not end together', async () => {
  const [orm] = orms
  if (orm === undefined) throw new Error('no ORM')
  const size = 16
  const pool = { min: size, max: size, overflow: 0, maxLifetimeMs: 2_000, lifetimeJitter: 0.9 }
  const db = scene.open(orm, { pool })
  const closed = eventsOf(scene, db.pool, 'moorings:connection:closed')
  await db.pool.start()
  const together = new Set(db.pool.stats().connections.map(({ id }) => id))
  const ended = () => closed.filter(({ id }) => together.has(id))
  await until(() => ended().length === size, { what: 'all of them to end' })
  const ages = ended().map(({ ageMs }) => ageMs)
  for (const age of ages) expect(age).toBeGreaterThanOrEqual(200 - 1)
  // Drawn between 200 and 2000 ms: sixteen of them within a quarter of that is once in some sixty million. Looked at every
  // 200 ms, those of one lifetime would end in two looks at most.
  expect(Math.max(...ages) - Math.min(...ages)).toBeGreaterThan(450)
  const stillThere = await hold(db)
  await stillThere.giveBack()
  expect(db.pool.stats()).toMatchObject({ lost: 0 })
})
