// F2: nobody who is at work is given up: however long a statement takes, waits, or is read and written slowly, its server is
// asked about it time and again, and it lives on. That time has passed is told by how often was asked about another one.

import { pipeline } from 'node:stream/promises'
import { beforeEach, describe, expect, it } from '@jest/globals'
import type { PoolEvents } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { type Client, createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql as kyselySql } from 'kysely'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { type Db, type Orm, orms, padded, type Schema } from './orms.js'
import { errorOf, gate, useScene, within } from './scene.js'

const scene = useScene()
const resilience = {
  pool: { min: 0, max: 3, overflow: 0, validationTimeoutMs: 2_000, closeTimeoutMs: 500 },
  statement: { livenessAfterMs: 100 },
}
const patience = 20_000

/** So many questions later, whatever comes of them. */
async function asked(pool: PostgresPool, times = 5): Promise<void> {
  const { asks } = pool.stats().liveness
  const enough = () => pool.stats().liveness.asks >= asks + times
  await until(enough, { what: `${times} questions`, timeoutMs: patience })
}

async function atWork(event: string): Promise<number> {
  let pid: unknown
  const found = async () => {
    pid = (await scene.backends()).find(({ wait_event }) => wait_event === event)?.pid
    return pid !== undefined
  }
  await until(found, { what: `a backend in ${event}` })
  return Number(pid)
}

const none = { lost: 0, liveness: { lost: 0 } }

describe.each(orms)('$name', (orm: Orm) => {
  let db: Db
  beforeEach(() => {
    db = scene.open(orm, resilience)
  })

  it('F2: a statement that takes long is asked about, and lives on', async () => {
    const report = db.query('select 1 as n from pg_sleep(60)')
    const ended = errorOf(report)
    const pid = await atWork('PgSleep')
    await asked(db.pool)
    await scene.admin.query('select pg_cancel_backend($1)', [pid])
    expect(await within(patience, ended)).toMatchObject({ code: '57014' })
    expect(db.pool.stats()).toMatchObject({ created: 1, ...none })
  })

  it('F2: a wait for a lock lives on', async () => {
    const held = gate()
    const holder = db.transaction(async (tx) => {
      await tx.query('lock table marks')
      await held.opened
    })
    await atWork('ClientRead')
    const waiting = db.transaction((tx) => tx.insert('had its turn'))
    await atWork('relation')
    await asked(db.pool)
    held.open()
    await within(patience, Promise.all([holder, waiting]))
    expect(await scene.marks()).toEqual(['had its turn'])
    expect(db.pool.stats()).toMatchObject({ ...none })
  })

  it('F2: a statement on a slow wire lives on, while it is sent and while its answer comes', async () => {
    await db.query('select 1')
    scene.proxy.throttle(40_000)
    const long = padded('select 1 as n', 120_000)
    expect(await within(patience, db.query(long))).toEqual([{ n: 1 }])
    expect(db.pool.stats().liveness.asks).toBeGreaterThan(2)
    const [row] = await within(patience, db.query(`select repeat('x', 120000) as x`))
    expect(row?.x).toHaveLength(120_000)
    expect(db.pool.stats().liveness.asks).toBeGreaterThan(5)
    expect(db.pool.stats()).toMatchObject({ created: 1, ...none })
  })
})

describe('on one pool', () => {
  let pool: PostgresPool
  let sql: Client
  let questions: readonly PoolEvents['moorings:liveness:asked'][]
  /** A statement that takes long, on another connection. */
  let other: Promise<unknown>
  beforeEach(async () => {
    pool = scene.closing(createPool(scene.url, { resilience }))
    sql = drizzle({ client: pool }).$client
    questions = eventsOf(scene, pool, 'moorings:liveness:asked')
    other = errorOf(sql`select pg_sleep(60)`.execute())
    await atWork('PgSleep')
  })

  async function expectAlive(): Promise<void> {
    expect(pool.stats()).toMatchObject(none)
    // What waits for us is nobody's question.
    expect(new Set(questions.map(({ connections }) => connections))).toEqual(new Set([1]))
    await sql`select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`
    expect(await within(patience, other)).toMatchObject({ code: '57014' })
  }

  it('F2: a cursor whose reader is slow lives on', async () => {
    let rows = 0
    for await (const chunk of sql`select n from generate_series(1, 30) n`.cursor(10)) {
      await asked(pool)
      rows += chunk.length
    }
    expect(rows).toBe(30)
    await expectAlive()
  })

  it('F2: a stream of Kysely’s whose reader is slow lives on', async () => {
    const kysely = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
    let rows = 0
    const query = kyselySql<{ n: number }>`select n from generate_series(1, 3) n`.compile(kysely)
    for await (const { rows: chunk } of kysely.getExecutor().stream(query, 1)) {
      await asked(pool)
      rows += chunk.length
    }
    expect(rows).toBe(3)
    await expectAlive()
  })

  it('F2: a COPY TO STDOUT that nobody reads for a while lives on, blocked on its wire', async () => {
    const stream = await sql`copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout`.readable()
    stream.once('readable', () => {})
    await atWork('ClientWrite')
    await asked(pool)
    let bytes = 0
    for await (const chunk of stream) bytes += chunk.length
    expect(bytes).toBe(20_000 * 1_001)
    await expectAlive()
  })

  // The last one fills the wire, and no more: the server is done with it long before it is read.
  it.each([0, 3, 300])('F2: a COPY TO STDOUT of %d rows that nobody reads for a while lives on', async (count) => {
    const rows = `select repeat('x', 1000) from generate_series(1, ${count})`
    const stream = await sql.unsafe(`copy (${rows}) to stdout`).readable()
    // One that is not read does not flow.
    stream.once('readable', () => {})
    const done = async () =>
      (await scene.backends()).some(({ state, query }) => state === 'idle' && /^copy/.test(query))
    await until(done, { what: 'the server to be done with it' })
    await asked(pool)
    let read = ''
    for await (const chunk of stream) read += chunk
    expect(read.split('\n')).toHaveLength(count + 1)
    await expectAlive()
  })

  it('F2: a COPY FROM STDIN whose writer is slow lives on', async () => {
    async function* slowly() {
      for (const mark of ['a', 'b']) {
        await asked(pool)
        yield `${mark}\n`
      }
      await asked(pool)
    }
    await pipeline(slowly, await sql`copy marks from stdin`.writable())
    expect(await sql`select count(*)::int as n from marks`).toEqual([{ n: 2 }])
    await expectAlive()
  })

  it('F2: a transaction that does nothing for a while, a session that listens: nobody waits there, and nobody asks', async () => {
    const heard = gate()
    await sql.listen('news', () => heard.open())
    await sql.begin(async (tx) => {
      await tx`select 1`
      await asked(pool)
      await tx`select 2`
    })
    await sql.notify('news', 'x')
    await within(patience, heard.opened)
    await expectAlive()
  })
})
