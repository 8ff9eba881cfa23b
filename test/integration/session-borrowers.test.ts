// P26: what one borrower leaves on a session is not seen by the next, through each ORM's own way to a session of several
// statements. How a session is looked through and put back is in session-state.test.ts.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql as kyselySql } from 'kysely'
import { type Orm, orms, type Runner, type Schema } from './orms.js'
import { errorOf, useScene } from './scene.js'

type Query = Runner['query']

/** One connection from the first statement to the last. */
async function session<T>(orm: Orm, pool: PostgresPool, body: (query: Query) => Promise<T>): Promise<T> {
  if (orm.name === 'kysely') {
    const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
    return db.connection().execute((connection) =>
      body(async (text) => {
        const { rows } = await kyselySql.raw<Record<string, unknown>>(text).execute(connection)
        return rows
      }),
    )
  }
  const sql = await drizzle({ client: pool }).$client.reserve()
  try {
    return await body(async (text) => [...(await sql.unsafe(text))])
  } finally {
    sql.release()
  }
}

async function backend(query: Query): Promise<unknown> {
  const [row] = await query('select pg_backend_pid() as pid')
  return row?.pid
}

// A role belongs to the whole server; it goes before the database through which it is dropped.
const role = `borrower_${process.pid}`
afterAll(() => scene.admin.query(`drop role ${role}`))
const scene = useScene()
beforeAll(() => scene.admin.query(`create role ${role}`))

const one = { pool: { min: 0, max: 1, overflow: 0, acquireTimeoutMs: 3_000 } }

/** All that a session shows of itself here. A setting nobody else knows stays behind as an empty one. */
const everything = `select current_setting('search_path') as search_path, current_setting('work_mem') as work_mem,
  nullif(current_setting('app.tenant', true), '') as tenant, current_user::text as role, session_user::text as user,
  (select count(*)::int from pg_listening_channels()) as channels,
  (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
  (select count(*)::int from pg_class where relnamespace = pg_my_temp_schema()) as temporary,
  (select count(*)::int from pg_cursors where is_holdable) as cursors,
  (select count(*)::int from pg_prepared_statements where name = 'mine') as prepared`

/** Statements that a pool would send of itself to clean up. */
const cleaning = /\b(discard|reset|unlisten|close all|rollback)\b|unlock/i

describe.each(orms)('$name', (orm) => {
  it.each([
    ['a search_path', ['set search_path = elsewhere']],
    ['settings', [`set work_mem = '77MB'`, `select set_config('app.tenant', '7', false)`]],
    ['a role', [`set role ${role}`]],
    ['a user', [`set session authorization ${role}`]],
    ['LISTEN', ['listen news']],
    ['advisory locks', ['select pg_advisory_lock(1)', 'select pg_try_advisory_lock_shared(2)']],
    ['temporary tables', ['create temp table scratch (id int)', 'create temp table more as select 1 as id']],
    ['a cursor', ['declare c cursor with hold for select 1']],
    ['a transaction and all of these', ['listen news', `set role ${role}`, 'begin', 'select pg_advisory_lock(1)']],
  ])('P26: %s of one borrower: not seen by the next, who gets the same connection', async (_, texts) => {
    const { pool } = scene.open(orm, one)
    const look = () => session(orm, pool, async (query) => [await query(everything), await backend(query)])
    const before = await look()
    await session(orm, pool, async (query) => {
      for (const text of texts) await query(text)
      expect(await query(everything)).not.toEqual(before[0])
    })
    expect(await look()).toEqual(before)
  })

  it('P26: nor by a borrower who waits already', async () => {
    const { pool, query } = scene.open(orm, one)
    const [before] = await query(everything)
    const [, after] = await Promise.all([
      session(orm, pool, async (own) => {
        await own('select pg_advisory_lock(1)')
        await own('set search_path = elsewhere')
      }),
      query(everything),
    ])
    expect(after).toEqual([before])
  })

  it('P26: what a single statement leaves stays, as with the stock drivers: on a pool of one an application may rely on it', async () => {
    const { query } = scene.open(orm, one)
    await query(`set application_name = 'one'`)
    await query('select pg_advisory_lock(1)')
    const statements = scene.proxy.statements.length
    expect(await query('show application_name')).toEqual([{ application_name: 'one' }])
    expect(
      await query(
        `select count(*)::int as n from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
      ),
    ).toEqual([{ n: 1 }])
    expect(scene.proxy.statements).toHaveLength(statements + 2)
  })

  it('P26: what cannot be undone goes with its connection', async () => {
    const { pool, query } = scene.open(orm, one)
    const before = await query(everything)
    const pid = await session(orm, pool, async (own) => {
      await own('prepare mine as select 1')
      expect(await own(everything)).not.toEqual(before)
      return backend(own)
    })
    expect(await query(everything)).toEqual(before)
    expect(await backend(query)).not.toBe(pid)
  })

  it('P26: and whoever waits for that one gets another', async () => {
    const { pool, query } = scene.open(orm, one)
    const [, rows] = await Promise.all([
      session(orm, pool, (own) => own('prepare mine as select 1')),
      query('select count(*)::int as n from pg_prepared_statements'),
    ])
    expect(rows).toEqual([{ n: 0 }])
  })

  it('P26: plain statements pay nothing for that', async () => {
    const db = scene.open(orm, one)
    await db.query('select 1')
    const sent = scene.proxy.statements.length
    const { roundTrips } = scene.proxy.traffic
    await db.query('select 2')
    await session(orm, db.pool, async (query) => {
      await query('select 3')
      await query(`insert into marks values ('plain')`)
    })
    expect(scene.proxy.statements.slice(sent)).toEqual(['select 2', 'select 3', `insert into marks values ('plain')`])
    expect(scene.proxy.traffic.roundTrips - roundTrips).toBe(3)
    await db.insert('b')
    await db.transaction(async (tx) => {
      await tx.insert('c')
      await tx.query(`set local work_mem = '77MB'`)
      await tx.query(`select set_config('app.tenant', '7', true), pg_advisory_xact_lock(1)`)
    })
    await db.query('create table plain (id int)')
    await db.query('drop table plain')
    expect(scene.proxy.statements.filter((text) => cleaning.test(text))).toEqual([])
    expect(await scene.marks()).toEqual(['b', 'c', 'plain'])
  })

  it('P26: what changed anything pays one statement, however much it was', async () => {
    const { pool, query } = scene.open(orm, one)
    await query('select 1')
    await session(orm, pool, async (own) => {
      for (const text of ['listen news', `set work_mem = '77MB'`, 'create temp table scratch (id int)']) await own(text)
    })
    await query('select 2')
    expect(scene.proxy.statements.filter((text) => cleaning.test(text))).toHaveLength(1)
  })
})

describe.each(orms)('$name on a pool with a set-up', (orm) => {
  const onConnect = `set search_path = app; create temp table mine (id int); set work_mem = '77MB'`
  const open = (options: object = {}) =>
    scene.closing(createPool(scene.url, { resilience: { pool: { ...one.pool, onConnect }, ...options } }))
  const borrow = <T>(pool: PostgresPool, body: (query: Query) => Promise<T>) => session(orm, pool, body)
  const look = (pool: PostgresPool) => borrow(pool, (query) => query(everything))

  it.each([
    ['sets it differently', 'set search_path = elsewhere'],
    ['resets it', 'reset all'],
    ['takes a lock', 'select pg_advisory_lock(1)'],
    ['makes a temporary table of its own', 'create temp table other (id int)'],
  ])('P26: finds it as it should be after a borrower who %s', async (_, text) => {
    const pool = open()
    const pid = await borrow(pool, (query) => backend(query))
    const before = await look(pool)
    expect(before).toMatchObject([{ search_path: 'app', work_mem: '77MB', temporary: 1 }])
    await borrow(pool, async (query) => {
      await query(text)
      // A Kysely connection with one statement cannot be told from that statement alone.
      await query('select 1')
    })
    expect(await look(pool)).toEqual(before)
    expect(await borrow(pool, (query) => backend(query))).toBe(pid)
  })

  it('P26: finds it as it should be after a statement that was given up after it had changed it', async () => {
    const pool = open({ statement: { timeoutMs: 500 } })
    const before = await look(pool)
    const text = 'begin; set search_path = elsewhere; commit; select pg_sleep(60)'
    expect(await errorOf(borrow(pool, (query) => query(text)))).toMatchObject({ name: 'StatementTimeoutError' })
    expect(await look(pool)).toEqual(before)
  })
})
