// P21: connections that are held for too long, in each of the ways an application can hold one: told once, with the place
// of the taking, once more when they come back, and taken back where that is wanted.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { sql as drizzleSql } from 'drizzle-orm'
import { Kysely, sql as kyselySql } from 'kysely'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { backendOf, type Orm, orms, type ResilienceOptions, type Schema } from './orms.js'
import { errorOf, gate, outcome, useScene, within } from './scene.js'

const scene = useScene()
const patience = 5_000
const leakAfterMs = 150
const one = { min: 0, max: 1, overflow: 0, leakAfterMs }

function open(pool: ResilienceOptions['pool']): PostgresPool {
  return scene.closing(createPool(scene.url, { resilience: { pool: { ...one, ...pool } } }))
}

/** Runs a statement on what is held. */
type Use = () => Promise<unknown>

/** Each takes a connection, runs a statement or two on it, and holds it until the body ends. */
const holdings: [string, (pool: PostgresPool, body: (use: Use) => Promise<void>) => Promise<void>][] = [
  [
    'db.$client.reserve() in Drizzle',
    async (pool, body) => {
      const sql = await drizzle({ client: pool }).$client.reserve()
      try {
        await body(async () => sql`select 1`)
      } finally {
        sql.release()
      }
    },
  ],
  [
    'db.transaction() in Drizzle',
    async (pool, body) => {
      await drizzle({ client: pool }).transaction(async (tx) => body(async () => tx.execute(drizzleSql`select 1`)))
    },
  ],
  [
    'db.transaction() in Kysely',
    async (pool, body) => {
      const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
      await db.transaction().execute(async (trx) => body(() => kyselySql`select 1`.execute(trx)))
    },
  ],
  [
    'db.startTransaction() in Kysely',
    async (pool, body) => {
      const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
      const trx = await db.startTransaction().execute()
      await body(() => kyselySql`select 1`.execute(trx)).finally(() => trx.rollback().execute())
    },
  ],
  [
    'db.connection() in Kysely',
    async (pool, body) => {
      const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
      await db.connection().execute(async (connection) => {
        await kyselySql`select 1`.execute(connection)
        // From the second statement on it is not held for one alone.
        await kyselySql`select 2`.execute(connection)
        await body(() => kyselySql`select 3`.execute(connection))
      })
    },
  ],
  [
    'pool.acquire()',
    async (pool, body) => {
      using lease = await pool.acquire()
      await body(async () => lease.connection.execute({ text: 'select 1' }))
    },
  ],
]

describe.each(holdings)('%s', (_, hold) => {
  it('P21: is told once, with the stack of its taking, and once more when it comes back', async () => {
    const pool = open({})
    const found = eventsOf(scene, pool, 'moorings:leak:found')
    const returned = eventsOf(scene, pool, 'moorings:leak:returned')
    await hold(pool, async (use) => {
      await use()
      const heldSince = performance.now()
      await until(() => found.length === 1, { what: 'the leak to be told' })
      expect(pool.stats().leaks).toEqual({ now: 1, found: 1, reclaimed: 0 })
      // Long enough to be told twice more, if it were.
      await until(() => performance.now() - heldSince > 5 * leakAfterMs, { what: 'some time to pass' })
      await use()
      expect(returned).toEqual([])
    })
    await until(() => returned.length === 1, { what: 'the return to be told' })
    expect(found).toHaveLength(1)
    expect(found[0]?.heldMs).toBeGreaterThanOrEqual(leakAfterMs)
    expect(returned[0]?.heldMs).toBeGreaterThan(4 * leakAfterMs)
    for (const { stack, id } of [...found, ...returned]) {
      expect(stack).toMatch(/\/integration\/pool-leaks\.test\.ts:\d+:\d+/)
      expect(id).toBe(found[0]?.id)
    }
    await until(() => pool.stats().idle === 1, { what: 'it to be back' })
    expect(pool.stats()).toMatchObject({ leaks: { now: 0, found: 1, reclaimed: 0 }, closed: 0 })
  })

  it('P21: reclaimed: its backend is gone, its next use is ConnectionLostError, and others get its slot', async () => {
    const pool = open({ reclaimLeaks: true })
    const reclaimed = eventsOf(scene, pool, 'moorings:leak:reclaimed')
    let used: unknown
    const holding = outcome(
      hold(pool, async (use) => {
        await use()
        const [before] = await scene.backends()
        await within(patience, createClient(pool)`select 1`)
        await until(async () => (await scene.backends()).every(({ pid }) => pid !== before?.pid), {
          what: 'its backend to be gone',
        })
        used = await errorOf(use())
      }),
    )
    await within(patience, holding)
    expect(used).toBeInstanceOf(ConnectionLostError)
    expect(String(used)).toMatch(/held for longer than 150 ms/)
    expect(reclaimed).toHaveLength(1)
    expect(reclaimed[0]?.stack).toMatch(/\/integration\/pool-leaks\.test\.ts:\d+:\d+/)
    expect(pool.stats()).toMatchObject({ leased: 0, idle: 1, created: 2 })
    expect(pool.stats().closedBy).toMatchObject({ reclaimed: 1 })
    expect(pool.stats().leaks).toMatchObject({ found: 1, reclaimed: 1 })
    expect(await scene.backends()).toHaveLength(1)
  })

  it('P21: what comes back in time is not told', async () => {
    const pool = open({ leakAfterMs: 10_000 })
    const found = eventsOf(scene, pool, 'moorings:leak:found')
    for (let i = 0; i < 3; i++) await hold(pool, async (use) => void (await use()))
    expect(pool.stats().leaks).toEqual({ now: 0, found: 0, reclaimed: 0 })
    expect(found).toEqual([])
  })
})

describe.each(orms)('$name', (orm: Orm) => {
  it('P21: single statements leave nothing to tell, however many there are', async () => {
    const db = scene.open(orm, { pool: { ...one, max: 3 } })
    const found = eventsOf(scene, db.pool, 'moorings:leak:found')
    const since = performance.now()
    while (performance.now() - since < 5 * leakAfterMs) {
      await Promise.all(Array.from({ length: 9 }, (_, i) => (i % 3 === 0 ? db.insert('mark') : db.query('select 1'))))
    }
    expect(found).toEqual([])
    expect(db.pool.stats()).toMatchObject({ leaks: { now: 0, found: 0, reclaimed: 0 }, leased: 0 })
  })

  it('P21: a single statement that runs for too long has no stack: nobody has noted where it was taken', async () => {
    const db = scene.open(orm, { pool: one })
    await db.query('select 1')
    const found = eventsOf(scene, db.pool, 'moorings:leak:found')
    const returned = eventsOf(scene, db.pool, 'moorings:leak:returned')
    await db.query('select pg_sleep(0.6)')
    expect(found).toMatchObject([{ stack: undefined }])
    expect(returned).toMatchObject([{ id: found[0]?.id, stack: undefined }])
  })

  it('P21: what a reclaimed transaction did is undone', async () => {
    const db = scene.open(orm, { pool: { ...one, reclaimLeaks: true } })
    const reclaimed = eventsOf(scene, db.pool, 'moorings:leak:reclaimed')
    const error = await within(
      patience,
      errorOf(
        db.transaction(async (tx) => {
          await tx.insert('undone')
          await until(() => reclaimed.length === 1, { what: 'it to be taken back' })
          await tx.insert('never')
        }),
      ),
    )
    expect(error).toBeInstanceOf(ConnectionLostError)
    await db.insert('next')
    expect(await scene.marks()).toEqual(['next'])
  })

  it('P21: of several, each is told, and those that are used in turn are not mistaken for one', async () => {
    const db = scene.open(orm, { pool: { ...one, max: 4, reclaimLeaks: true } })
    const reclaimed = eventsOf(scene, db.pool, 'moorings:leak:reclaimed')
    const end = gate()
    const leaking = [1, 2].map(() => outcome(db.transaction(() => end.opened)))
    const seen: number[] = []
    while (reclaimed.length < 2) seen.push(await db.transaction(backendOf))
    end.open()
    for (const seenEnd of await Promise.all(leaking)) expect(seenEnd).toHaveProperty('error')
    expect(new Set(reclaimed.map(({ id }) => id)).size).toBe(2)
    expect(new Set(seen).size).toBeLessThanOrEqual(2)
    expect(db.pool.stats()).toMatchObject({ leaks: { found: 2, reclaimed: 2 }, closedBy: { reclaimed: 2 } })
  })
})
