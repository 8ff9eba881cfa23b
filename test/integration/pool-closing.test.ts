// P28: closing, at every awkward moment. What only a process of its own can show (that it ends by itself, and nothing
// is left in it) is in process-ends.test.ts.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, PoolClosedError } from '@moorings/core'
import { createClient, createPool } from '@moorings/postgres'
import { until } from '../support/until.js'
import { type Orm, orms } from './orms.js'
import { errorOf, gate, outcome, useScene, within } from './scene.js'

const scene = useScene()
const closeTimeoutMs = 1_000
const small = { pool: { min: 0, max: 2, overflow: 0, closeTimeoutMs } }

async function nothingLeft(): Promise<void> {
  await until(() => scene.proxy.open === 0, { what: 'every socket to be closed' })
}

describe.each(orms)('$name', (orm: Orm) => {
  it('P28: close during connect, the server accepting and never answering', async () => {
    const db = scene.open(orm, small)
    scene.proxy.refuse('silent')
    const waiter = errorOf(db.query('select 1'))
    await until(() => scene.proxy.accepted > 0, { what: 'the connect' })
    await within(closeTimeoutMs + 2_000, db.pool.close())
    expect(await waiter).toBeInstanceOf(PoolClosedError)
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 0, connecting: 0, waiting: 0 })
  })

  it('P28: close with statements out lets them finish, and refuses the waiting ones', async () => {
    const db = scene.open(orm, small)
    const running = [1, 2].map((n) => db.query(`select ${n} as n, pg_sleep(0.3)::text`))
    await until(() => db.pool.stats().leased === 2, { what: 'both to run' })
    const waiting = errorOf(db.query('select 3'))
    await until(() => db.pool.stats().waiting === 1, { what: 'the third to wait' })
    await within(closeTimeoutMs + 2_000, db.pool.close())
    expect(await waiting).toBeInstanceOf(PoolClosedError)
    expect((await Promise.all(running)).flat()).toMatchObject([{ n: 1 }, { n: 2 }])
    await nothingLeft()
  })

  it('P28: close with a lease that does not come back destroys it at closeTimeoutMs', async () => {
    const db = scene.open(orm, small)
    const late = errorOf(db.query('select pg_sleep(5)'))
    await until(() => db.pool.stats().leased === 1, { what: 'it to run' })
    const startedAt = performance.now()
    await within(closeTimeoutMs + 2_000, db.pool.close())
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(closeTimeoutMs - 1)
    expect(await late).toBeInstanceOf(ConnectionLostError)
    await nothingLeft()
  })

  it('P28: close twice, and once more afterwards', async () => {
    const db = scene.open(orm, small)
    await db.query('select 1')
    await Promise.all([db.close(), db.close(), db.pool.close()])
    await db.close()
    expect(db.pool.closed).toBe(true)
    await errorOf(db.query('select 1'))
    expect(await errorOf(db.pool.acquire())).toBeInstanceOf(PoolClosedError)
    await nothingLeft()
  })

  it('P28: close before the first use opens nothing and closes the pool', async () => {
    const db = scene.open(orm, small)
    await db.close()
    await errorOf(db.query('select 1'))
    expect(await errorOf(db.pool.acquire())).toBeInstanceOf(PoolClosedError)
    expect(scene.proxy.accepted).toBe(0)
  })

  it('P28: close from inside a transaction body: its lease is out, so the body cannot go on', async () => {
    const db = scene.open(orm, small)
    const seen = await within(
      closeTimeoutMs + 3_000,
      outcome(
        db.transaction(async (tx) => {
          await tx.insert('unfinished')
          await db.pool.close()
          await tx.insert('after close')
        }),
      ),
    )
    expect(seen).toMatchObject({ error: { name: 'ConnectionLostError' } })
    await nothingLeft()
    expect(await scene.marks()).toEqual([])
  })

  it('P28: close not awaited inside a transaction body lets the transaction commit', async () => {
    const db = scene.open(orm, small)
    let closed: Promise<void> | undefined
    await db.transaction(async (tx) => {
      await tx.insert('before')
      closed = db.pool.close()
      await tx.insert('while closing')
    })
    await within(closeTimeoutMs + 2_000, closed ?? Promise.reject(new Error('close() was not called')))
    expect(await scene.marks()).toEqual(['before', 'while closing'])
    await nothingLeft()
  })

  it('P28: from the call of close() on nobody is served', async () => {
    const db = scene.open(orm, small)
    // Two connections: one for the transaction, one that lies idle when close() is called.
    await Promise.all([db.query('select pg_sleep(0.05)'), db.query('select pg_sleep(0.05)')])
    const held = gate()
    const began = gate()
    const holder = db.transaction(async (tx) => {
      // BEGIN travels with it: without one there would be nothing to commit.
      await tx.query('select 1')
      began.open()
      await held.opened
    })
    await began.opened
    const sent = scene.proxy.statements.length
    const closed = db.pool.close()
    const refused = await Promise.all([
      outcome(db.pool.acquire().then((lease) => lease.release())),
      outcome(db.query('select 2')),
    ])
    held.open()
    await holder
    await within(closeTimeoutMs + 2_000, closed)
    for (const seen of refused) expect(seen).toMatchObject({ error: { name: 'PoolClosedError' } })
    expect(scene.proxy.statements.slice(sent)).toEqual(['commit'])
    await nothingLeft()
  })
})

it('P28: a listener whose network is gone neither keeps the pool open nor doubles the time to close', async () => {
  const pool = scene.closing(createPool(scene.url, { resilience: { pool: { ...small.pool, closeTimeoutMs: 2_000 } } }))
  const sql = createClient(pool)
  await sql`select 1`
  await sql.listen('a', () => {})
  scene.proxy.swallow()
  const startedAt = performance.now()
  const closed = sql.end()
  await until(() => pool.closed, { what: 'the pool to be closing', timeoutMs: 1_000 })
  await within(10_000, closed)
  expect(performance.now() - startedAt).toBeLessThan(3_500)
})

it('P28: end({ timeout }) is the limit of the listener too', async () => {
  const pool = scene.closing(createPool(scene.url, { resilience: { pool: { ...small.pool, closeTimeoutMs: 20_000 } } }))
  const sql = createClient(pool)
  await sql`select 1`
  await sql.listen('a', () => {})
  scene.proxy.swallow()
  await within(4_000, sql.end({ timeout: 1 }))
})
