// P23, P25, P27: connections that are not to be used any more, and those that come back with something left on them.

import { describe, expect, it } from '@jest/globals'
import { createClient } from '@moorings/postgres'
import { until } from '../support/until.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { backendOf, type Orm, orms, type Tx, transactional } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { pool: { min: 0, max: 1, overflow: 0 } }
const three = { pool: { min: 0, max: 3, overflow: 0 } }
const patience = 5_000

async function pids(): Promise<number[]> {
  return (await scene.backends()).map(({ pid }) => pid)
}

async function onlyBackends(wanted: readonly number[]): Promise<void> {
  await until(async () => JSON.stringify((await pids()).sort()) === JSON.stringify([...wanted].sort()), {
    what: `the backends ${wanted.join(', ')} and no other`,
  })
}

describe.each(orms)('$name', (orm: Orm) => {
  it('P23: invalidate() closes idle connections at once, and leased ones when they come back', async () => {
    const db = scene.open(orm, three)
    const held = await holdSeveral(db, 3)
    const [a, b, c] = held
    await a?.giveBack()
    await b?.giveBack()
    db.pool.invalidate()
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 1, epoch: 1 })
    await onlyBackends([c?.pid ?? 0])
    const fresh = await hold(db)
    expect(held.map(({ pid }) => pid)).not.toContain(fresh.pid)
    await c?.giveBack()
    await onlyBackends([fresh.pid])
    await fresh.giveBack()
    expect(await backendOf(db)).toBe(fresh.pid)
    expect(db.pool.stats()).toMatchObject({ idle: 1, leased: 0, created: 4, closed: 3, lost: 0 })
  })

  it('P23: what is still connecting is retired when it arrives, and its waiter served by the new epoch', async () => {
    const db = scene.open(orm, single)
    scene.proxy.delay(40)
    const waiting = backendOf(db)
    await until(() => db.pool.stats().connecting === 1 && scene.proxy.accepted === 1, { what: 'the connect' })
    db.pool.invalidate()
    const pid = await within(patience, waiting)
    scene.proxy.delay(0)
    await onlyBackends([pid])
    expect(db.pool.stats()).toMatchObject({ created: 2, closed: 1, lost: 0, idle: 1 })
  })

  it('P23: waiters of a full pool are served by the new epoch once the old one comes back', async () => {
    const db = scene.open(orm, single)
    const held = await hold(db)
    const waiting = [1, 2, 3].map(() => backendOf(db))
    await until(() => db.pool.stats().waiting === 3, { what: 'them to wait' })
    db.pool.invalidate()
    expect(db.pool.stats()).toMatchObject({ leased: 1, waiting: 3 })
    await held.giveBack()
    const served = new Set(await within(patience, Promise.all(waiting)))
    expect(served.size).toBe(1)
    expect(served).not.toContain(held.pid)
  })

  it('P23: invalidate() under load loses nobody', async () => {
    const db = scene.open(orm, three)
    const callers = Array.from({ length: 120 }, async (_, i) => {
      if (i % 30 === 15) db.pool.invalidate()
      if (i % 2 === 0) await db.insert('mark')
      else await db.transaction((tx) => tx.insert('mark'))
      if (i % 30 === 20) db.pool.invalidate()
    })
    await within(30_000, Promise.all(callers))
    expect(await scene.marks()).toHaveLength(120)
    const { idle, leased, connecting, lost } = db.pool.stats()
    expect({ leased, lost }).toEqual({ leased: 0, lost: 0 })
    await until(async () => (await pids()).length === idle + connecting, { what: 'the old ones to be gone' })
  })

  it('P25: a connection given back in an open transaction is rolled back, and goes on', async () => {
    const db = scene.open(orm, single)
    const pid = await backendOf(db)
    // A statement of its own, with nobody to end what it begins: as in postgres.js, Drizzle's caller is told so.
    await outcome(db.query('begin'))
    await db.insert('next')
    expect(await backendOf(db)).toBe(pid)
    await until(async () => (await scene.backends())[0]?.state === 'idle', { what: 'no transaction to be open' })
    expect(await scene.marks()).toEqual(['next'])
    expect(db.pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it('P25: one given back in a failed transaction is closed', async () => {
    const db = scene.open(orm, single)
    const pid = await backendOf(db)
    const lease = await db.pool.acquire()
    await lease.connection.begin()
    const failing = lease.connection.execute({ text: 'release savepoint b' })
    expect(await errorOf(failing)).toMatchObject({ code: '3B001' })
    expect(lease.connection.transactionStatus).toBe('failed')
    lease.release()
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 0, closed: 1 })
    const next = await within(patience, backendOf(db))
    expect(next).not.toBe(pid)
    await onlyBackends([next])
  })
})

describe('$client.reserve()', () => {
  const reserving = () => {
    const [drizzle] = orms
    if (drizzle === undefined) throw new Error('no drizzle')
    const db = scene.open(drizzle, single)
    return { db, client: createClient(db.pool) }
  }

  it('P25: what was released in an open transaction is undone, and the next in line gets the connection', async () => {
    const { db, client } = reserving()
    const reserved = await client.reserve()
    await reserved`begin`
    await reserved`insert into marks values ('undone')`
    const next = backendOf(db)
    await until(() => db.pool.stats().waiting === 1, { what: 'the next to wait' })
    reserved.release()
    const pid = await within(patience, next)
    await db.insert('next')
    expect(await scene.marks()).toEqual(['next'])
    await onlyBackends([pid])
    expect(db.pool.stats()).toMatchObject({ created: 1, idle: 1 })
  })

  it('P25: what was released in a failed transaction is closed, and the next in line gets another', async () => {
    const { db, client } = reserving()
    const reserved = await client.reserve()
    const [row] = await reserved`select pg_backend_pid() as pid`
    await reserved`begin`
    await errorOf(Promise.resolve(reserved`select 1 / 0`))
    const next = backendOf(db)
    await until(() => db.pool.stats().waiting === 1, { what: 'the next to wait' })
    reserved.release()
    expect(await within(patience, next)).not.toBe(row?.pid)
  })

  it('P25: what was released with a statement running is closed, and that statement rejects', async () => {
    const { db, client } = reserving()
    const reserved = await client.reserve()
    const running = errorOf(Promise.resolve(reserved`select pg_sleep(60)`))
    await until(async () => (await scene.backends())[0]?.state === 'active', { what: 'the statement to run' })
    reserved.release()
    expect(await within(patience, running)).toMatchObject({ name: 'ConnectionLostError' })
    expect(await within(patience, db.query('select 1 as n'))).toEqual([{ n: 1 }])
  })

  it('P25: a roll-back that is not answered closes the connection, and the next in line gets another', async () => {
    const { db, client } = reserving()
    const reserved = await client.reserve()
    await reserved`begin`
    await reserved`insert into marks values ('undone')`
    for (const connection of scene.proxy.connections) connection.swallow('both')
    reserved.release()
    expect(await within(15_000, db.query('select 1 as n'))).toEqual([{ n: 1 }])
    expect(db.pool.stats()).toMatchObject({ created: 2, closed: 1, idle: 1 })
  })
})

describe.each(transactional)('$name', (orm: Orm) => {
  it.each([
    ['reset', 'before'],
    ['reset', 'after'],
    ['fin', 'before'],
    ['fin', 'after'],
  ] as const)('P27: a BEGIN lost by a %s (%s the server got it) leaks nothing', async (how, when) => {
    const db = scene.open(orm, three)
    const cut = scene.proxy.cutWhen({
      direction: 'to-server',
      match: (_, { executes }) => executes !== undefined && /^(begin|start transaction)/.test(executes),
      when,
      how,
      times: 10,
    })
    // It travels with the first statement. What was cut off with it may be tried again as a whole.
    const body = (tx: Tx) => tx.insert('done')
    const seen = await Promise.all(Array.from({ length: 10 }, () => outcome(db.transaction(body))))
    expect(cut.fired).toBe(10)
    expect(await scene.marks()).toEqual(seen.filter((one) => 'value' in one).map(() => 'done'))
    expect(db.pool.stats()).toMatchObject({ leased: 0, waiting: 0, lost: 10 })
    const held = await holdSeveral(db, 3)
    expect(db.pool.stats()).toMatchObject({ leased: 3, idle: 0 })
    await onlyBackends(held.map(({ pid }) => pid))
    await giveBackAll(held)
  })

  it('P27: a transaction that gets no connection leaks nothing', async () => {
    const db = scene.open(orm, { pool: { ...single.pool, acquireTimeoutMs: 100 } })
    // A busy machine may take longer to connect.
    await db.pool.start({ timeoutMs: 10_000 })
    const held = await hold(db)
    const failed = await Promise.all(Array.from({ length: 10 }, () => errorOf(db.transaction(async () => {}))))
    for (const error of failed) expect(error).toMatchObject({ name: 'AcquireTimeoutError' })
    await held.giveBack()
    expect(db.pool.stats()).toMatchObject({ leased: 0, waiting: 0, idle: 1 })
    await db.transaction((tx) => tx.insert('next'))
    expect(await scene.marks()).toEqual(['next'])
  })
})
