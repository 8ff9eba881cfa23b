// P1 to P3: borrowing and giving back. What the pool counts is held against what the server sees.

import { describe, expect, it } from '@jest/globals'
import { LeaseReleasedError } from '@moorings/core'
import { createClient } from '@moorings/postgres'
import { until } from '../support/until.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { backendOf, type Db, type Orm, orms } from './orms.js'
import { errorOf, outcome, useScene } from './scene.js'

const scene = useScene()
const single = { pool: { min: 0, max: 1, overflow: 0 } }
const bursting = { pool: { min: 0, max: 2, overflow: 1 } }

async function pids(): Promise<number[]> {
  return (await scene.backends()).map(({ pid }) => pid)
}

async function backendsToBe(count: number): Promise<void> {
  await until(async () => (await pids()).length === count, { what: `${count} backends` })
}

async function waitingToBe(db: Db, count: number): Promise<void> {
  await until(() => db.pool.stats().waiting === count, { what: `${count} to wait` })
}

const witness = `select count(*)::int as n from pg_stat_activity
                  where datname = current_database() and application_name = 'scene'`

describe.each(orms)('$name', (orm: Orm) => {
  it('P1: nothing is opened before the first use', async () => {
    const db = scene.open(orm, { pool: { min: 2, max: 2 } })
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 0, connecting: 0, created: 0 })
    // Long enough for a connect that somebody began to arrive.
    await scene.admin.query('select pg_sleep(0.2)')
    expect(scene.proxy.accepted).toBe(0)
    await db.query('select 1')
    await backendsToBe(2)
  })

  it('P1: borrowing and giving back move the counts exactly, and overflow connections close on return', async () => {
    const db = scene.open(orm, bursting)
    for (let leased = 1; leased <= 3; leased++) {
      const held = await holdSeveral(db, leased)
      expect(db.pool.stats()).toMatchObject({ leased, connecting: 0, waiting: 0 })
      await giveBackAll(held)
      const rest = Math.min(leased, 2)
      expect(db.pool.stats()).toMatchObject({ leased: 0, idle: rest })
      await backendsToBe(rest)
    }
    expect(db.pool.stats()).toMatchObject({ created: 3, closed: 1, lost: 0 })
  })

  it('P1: a full pool lets the next wait, and opens nothing for it', async () => {
    const db = scene.open(orm, bursting)
    const held = await holdSeveral(db, 3)
    const waiting = backendOf(db)
    await waitingToBe(db, 1)
    expect(db.pool.stats()).toMatchObject({ leased: 3, idle: 0, connecting: 0, waiting: 1 })
    expect((await pids()).sort()).toEqual(held.map(({ pid }) => pid).sort())
    await giveBackAll(held)
    expect(held.map(({ pid }) => pid)).toContain(await waiting)
    await backendsToBe(2)
  })

  it('P1: never more than max and overflow under concurrency, by the server’s own count', async () => {
    const db = scene.open(orm, bursting)
    let most = 0
    const callers = Array.from({ length: 150 }, async (_, i) => {
      const count = async (runner: Pick<Db, 'query'>) => Number((await runner.query(witness))[0]?.n)
      const seen = i % 3 === 0 ? await db.transaction(count) : await count(db)
      const { idle, leased, connecting } = db.pool.stats()
      most = Math.max(most, seen, idle + leased + connecting)
    })
    await Promise.all(callers)
    expect(most).toBe(3)
    expect(db.pool.stats()).toMatchObject({ leased: 0, waiting: 0, connecting: 0, idle: 2 })
    await backendsToBe(2)
  })

  it('P1: statements and transactions that fail give their connection back too', async () => {
    const db = scene.open(orm, bursting)
    await Promise.all([
      ...Array.from({ length: 20 }, () => outcome(db.query('select 1 / 0'))),
      ...Array.from({ length: 20 }, () => outcome(db.transaction((tx) => tx.query('select nothing')))),
      ...Array.from({ length: 20 }, () => outcome(db.transaction(() => Promise.reject(new Error('the body’s own'))))),
    ])
    expect(db.pool.stats()).toMatchObject({ leased: 0, waiting: 0, lost: 0, idle: 2 })
  })

  it('P2: a lease released twice is in the pool once', async () => {
    const db = scene.open(orm, bursting)
    const lease = await db.pool.acquire()
    lease.release()
    lease.release()
    expect(db.pool.stats()).toMatchObject({ idle: 1, leased: 0 })
    const [a, b] = await holdSeveral(db, 2)
    lease.release()
    expect(a?.pid).not.toBe(b?.pid)
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 2 })
    await giveBackAll([a, b].filter((held) => held !== undefined))
    expect(db.pool.stats()).toMatchObject({ idle: 2, leased: 0 })
  })

  it('P2: a lease released again while somebody else has its connection takes nothing from them', async () => {
    const db = scene.open(orm, single)
    const lease = await db.pool.acquire()
    lease.release()
    const held = await hold(db)
    lease.release()
    const other = backendOf(db)
    await waitingToBe(db, 1)
    expect(db.pool.stats()).toMatchObject({ leased: 1, idle: 0 })
    await held.giveBack()
    expect(await other).toBe(held.pid)
  })

  it('P2: use after release rejects, also while somebody else has the connection', async () => {
    const db = scene.open(orm, single)
    const lease = await db.pool.acquire()
    lease.release()
    expect(() => lease.connection).toThrow(LeaseReleasedError)
    const held = await hold(db)
    expect(() => lease.connection).toThrow(LeaseReleasedError)
    await held.giveBack()
    expect(() => lease.connection).toThrow(LeaseReleasedError)
  })

  it('P3: waiters are served first come, first served', async () => {
    const db = scene.open(orm, single)
    const held = await hold(db)
    const sent = scene.proxy.statements.length
    const wanted = Array.from({ length: 20 }, (_, i) => `select ${i} as turn`)
    const served: unknown[] = []
    const callers: Promise<void>[] = []
    for (const [i, sql] of wanted.entries()) {
      callers.push(db.query(sql).then((rows) => void served.push(rows[0]?.turn)))
      await waitingToBe(db, i + 1)
    }
    await held.giveBack()
    await Promise.all(callers)
    expect(scene.proxy.statements.slice(sent)).toEqual(['commit', ...wanted])
    expect(served).toEqual(wanted.map((_, i) => i))
  })

  it('P3: idle connections are reused last in, first out', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 4, overflow: 0 } })
    const held = await holdSeveral(db, 4)
    for (const one of held) await one.giveBack()
    const last = held.at(-1)?.pid
    for (let i = 0; i < 20; i++) expect(await backendOf(db)).toBe(last)
    const again = [await hold(db), await hold(db)]
    expect(again.map(({ pid }) => pid)).toEqual([held[3]?.pid, held[2]?.pid])
    await giveBackAll(again)
  })
})

describe('$client.reserve()', () => {
  const [drizzle] = orms
  const reserving = () => {
    if (drizzle === undefined) throw new Error('no drizzle')
    const db = scene.open(drizzle, single)
    return { db, client: createClient(db.pool) }
  }

  it('P1: a reserved connection is leased until it is released, and is one session', async () => {
    const { db, client } = reserving()
    const reserved = await client.reserve()
    expect(db.pool.stats()).toMatchObject({ leased: 1, idle: 0 })
    await reserved`create temp table mine (n int)`
    await reserved`insert into mine values (7)`
    expect([...(await reserved`select n from mine`)]).toEqual([{ n: 7 }])
    const other = db.query('select 1 as n')
    await waitingToBe(db, 1)
    reserved.release()
    expect(await other).toEqual([{ n: 1 }])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1 })
  })

  it('P2: a reserved connection released twice is in the pool once, and rejects from then on', async () => {
    const { db, client } = reserving()
    const reserved = await client.reserve()
    reserved.release()
    reserved.release()
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1 })
    const held = await hold(db)
    const error = await errorOf(Promise.resolve(reserved`insert into marks values ('stray')`))
    expect(error).toBeInstanceOf(LeaseReleasedError)
    reserved.release()
    expect(db.pool.stats()).toMatchObject({ leased: 1, idle: 0 })
    await held.giveBack()
    expect(await scene.marks()).toEqual([])
  })
})
