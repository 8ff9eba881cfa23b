// P26: what a borrower leaves on a session is known without asking, and undone in one round trip; what leaves nothing
// costs nothing. Looked at from the server's side.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { ConnectionLostError, Lease, type SessionState } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { type ConnectionOptions, createPool, type PostgresConnection } from '@moorings/postgres'
import { errorOf, useScene } from './scene.js'

// Roles belong to the whole server; they go before the database through which they are dropped.
const roles = { one: `one_${process.pid}`, other: `other_${process.pid}` }
afterAll(async () => {
  for (const role of Object.values(roles)) await scene.admin.query(`drop role ${role}`)
})
const scene = useScene()
beforeAll(async () => {
  for (const role of Object.values(roles)) await scene.admin.query(`create role ${role}`)
})

const { signal } = new AbortController()

function openPool(options: ConnectionOptions = {}) {
  const limits = { min: 0, max: 1, overflow: 0 }
  return createPool({ url: scene.url, ...options }, { resilience: { pool: limits } })
}

async function lend(options?: ConnectionOptions): Promise<PostgresConnection> {
  const pool = openPool(options)
  const lease = await pool.acquire()
  scene.closing({
    close: () => {
      lease.release()
      return pool.close()
    },
  })
  return lease.connection
}

/** What the session shows of itself, as text. */
async function look(connection: PostgresConnection, what: string): Promise<string | undefined> {
  const { rows } = await connection.execute<{ seen: string }>({ text: `select (${what})::text as seen` })
  return rows[0]?.seen
}

/** What the client has said over the wire so far. */
const said = () => ({ statements: [...scene.proxy.statements], bytes: scene.proxy.traffic.bytes['to-server'] })

const locks = `select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()`
const relations = 'select count(*) from pg_class where relnamespace = pg_my_temp_schema()'
const functions = 'select count(*) from pg_proc where pronamespace = pg_my_temp_schema()'
const channels = 'select count(*) from pg_listening_channels()'
const cursors = 'select count(*) from pg_cursors where is_holdable'
const setting = (name: string) => `current_setting('${name}')`

describe('what was left of a session is undone by reset', () => {
  it.each([
    ['search_path', 'set search_path = elsewhere', setting('search_path')],
    ['a setting', "set statement_timeout = '77s'", setting('statement_timeout')],
    ['a setting, in a transaction', "begin; set statement_timeout = '77s'; commit", setting('statement_timeout')],
    ['a setting, by function', `select set_config('work_mem', '77MB', false)`, setting('work_mem')],
    ['a setting, in a block', `do $$ begin set work_mem = '77MB'; end $$`, setting('work_mem')],
    ['one of several settings', `set local a.b = 1; set work_mem = '77MB'`, setting('work_mem')],
    [
      'the default isolation',
      'set session characteristics as transaction isolation level serializable',
      setting('default_transaction_isolation'),
    ],
    ['the time zone', `set time zone 'Asia/Kathmandu'`, setting('TimeZone')],
    ['the role', `set role ${roles.one}`, 'current_user'],
    ['the user', `set session authorization ${roles.one}`, `session_user || ' as ' || current_user`],
    ['the user and the role', `set session authorization ${roles.one}; set role none`, 'session_user'],
    ['a lock', 'select pg_advisory_lock(1)', locks],
    ['a shared lock of two numbers', 'select pg_advisory_lock_shared(1, 2)', locks],
    ['a lock that was free', 'select pg_try_advisory_lock(3)', locks],
    ['a lock taken several times', 'select pg_advisory_lock(1) from generate_series(1, 3)', locks],
    ['a lock of a transaction that was undone', 'begin; select pg_advisory_lock(4); rollback', locks],
    ['a temporary table', 'create temp table scratch (id serial primary key)', relations],
    ['a temporary table, filled', 'create temporary table scratch as select 1 as id', relations],
    ['a temporary table, selected', 'select 1 as id into temp scratch', relations],
    ['a temporary table, by its schema', 'create table pg_temp.scratch (id int)', relations],
    ['a temporary view', 'create or replace temp view scratch as select 1 as id', relations],
    ['a temporary sequence', 'create temp sequence scratch', relations],
    ['a temporary function', 'create function pg_temp.f() returns int language sql return 1', functions],
    ['LISTEN', 'listen news; listen "Other news"', channels],
    ['a cursor', 'declare c cursor with hold for select generate_series(1, 9)', cursors],
    ['a cursor of a transaction', 'begin; declare c scroll cursor with hold for select 1; commit', cursors],
  ])('%s', async (_, text, what) => {
    const connection = await lend()
    const before = await look(connection, what)
    expect(connection.sessionState).toBe('clean')
    await connection.execute({ text })
    expect(connection.sessionState).toBe('dirty')
    expect(await look(connection, what)).not.toEqual(before)
    const { length } = said().statements

    await connection.reset(signal)
    expect(said().statements).toHaveLength(length + 1)
    expect(connection.sessionState).toBe('clean')
    expect(await look(connection, what)).toEqual(before)
    expect(connection.sessionState).toBe('clean')
  })

  it('everything at once, in one round trip, also from under another role that may only read', async () => {
    const connection = await lend()
    const me = await look(connection, 'current_user')
    for (const text of [
      'create temp table scratch (id int)',
      'declare c cursor with hold for select * from scratch',
      'listen news',
      'select pg_advisory_lock(1)',
      `set search_path = pg_temp, elsewhere`,
      `set session authorization ${roles.one}`,
      'set default_transaction_isolation = serializable',
      'set default_transaction_deferrable = on',
      'set default_transaction_read_only = on',
    ]) {
      await connection.execute({ text })
    }
    const everything = `array[(${locks}), (${relations}), (${channels}), (${cursors})]::text || current_user`
    expect(await look(connection, everything)).toBe(`{1,1,1,1}${roles.one}`)
    const { roundTrips } = scene.proxy.traffic
    await connection.reset(signal)
    expect(scene.proxy.traffic.roundTrips).toBe(roundTrips + 1)
    expect(await look(connection, everything)).toBe(`{0,0,0,0}${me}`)
    expect(await look(connection, setting('default_transaction_read_only'))).toBe('off')
  })

  it('together with the transaction that was left open', async () => {
    const connection = await lend()
    await connection.begin()
    await connection.execute({ text: `insert into marks values ('lost')` })
    await connection.execute({ text: 'select pg_advisory_lock(1)' })
    await connection.reset(signal)
    expect(connection.transactionStatus).toBe('idle')
    expect(await look(connection, locks)).toBe('0')
    expect(await scene.marks()).toEqual([])
  })

  it('a lock that outlived the statement that failed', async () => {
    const connection = await lend()
    await errorOf(connection.execute({ text: `do $$ begin perform pg_advisory_lock(1); raise 'too late'; end $$` }))
    expect(connection.sessionState).toBe('dirty')
    expect(await look(connection, locks)).toBe('1')
    await connection.reset(signal)
    expect(await look(connection, locks)).toBe('0')
  })

  it('a lock of a statement that was given up, once the server is done with it', async () => {
    const connection = await lend()
    const text = 'select pg_advisory_lock(1), pg_sleep(60)'
    const error = await errorOf(connection.execute({ text }, { timeoutMs: 300 }))
    expect(error).toMatchObject({ name: 'StatementTimeoutError' })
    expect(connection.sessionState).toBe('dirty')
    await connection.reset(signal)
    expect(await look(connection, locks)).toBe('0')
  })

  it('what a statement that was given up turns out to have done', async () => {
    const connection = await lend()
    const before = await look(connection, setting('work_mem'))
    const text = `begin; set work_mem = '77MB'; commit; begin; select pg_sleep(60)`
    const error = await errorOf(connection.execute({ text }, { timeoutMs: 300 }))
    expect(error).toMatchObject({ name: 'StatementTimeoutError' })
    await connection.reset(signal)
    expect(connection.transactionStatus).toBe('idle')
    expect(await look(connection, setting('work_mem'))).toBe(before)
  })

  it('what only the borrower knows of, as it was declared', async () => {
    const connection = await lend()
    await scene.admin.query(`create or replace function busy() returns void language plpgsql as $$ begin
      perform pg_advisory_lock(1); create temp table scratch (id int); perform set_config('work_mem', '77MB', false);
    end $$`)
    await connection.execute({ text: 'select busy()' })
    expect(connection.sessionState).toBe('clean')
    for (const left of ['locks', 'temporary-tables', 'settings'] as const) connection.declare(left)
    await connection.reset(signal)
    expect(await look(connection, `array[(${locks}), (${relations})]`)).toBe('{0,0}')
    expect(await look(connection, setting('work_mem'))).not.toBe('77MB')
  })
})

describe('what a session began with survives a reset', () => {
  const dirtied = async (connection: PostgresConnection, ...texts: string[]) => {
    const before = await look(connection, 'current_user')
    for (const text of texts) await connection.execute({ text })
    expect(await look(connection, 'current_user')).not.toBe(before)
    await connection.reset(signal)
    return look(connection, 'current_user')
  }

  it('settings of its startup', async () => {
    const connection = await lend({ connection: { search_path: 'there', application_name: 'scene' } })
    await connection.execute({ text: "set search_path = elsewhere; set application_name = 'somebody'" })
    await connection.reset(signal)
    expect(await look(connection, setting('search_path'))).toBe('there')
    expect(await look(connection, setting('application_name'))).toBe('scene')
  })

  it('a role of its startup', async () => {
    const connection = await lend({ connection: { role: roles.one, application_name: 'scene' } })
    expect(await dirtied(connection, 'reset role', `set role ${roles.other}`)).toBe(roles.one)
    expect(await dirtied(connection, 'reset role', `set session authorization ${roles.other}`)).toBe(roles.one)
    expect(await dirtied(connection, 'set role none')).toBe(roles.one)
  })

  it('a role by ALTER ROLE', async () => {
    const user = decodeURIComponent(new URL(scene.directUrl).username)
    const name = await scene.admin.query<{ name: string }>('select current_database() as name')
    // For this database alone: other tests go on as they are.
    const where = `alter role "${user}" in database "${name[0]?.name}"`
    await scene.admin.query(`${where} set role = ${roles.one}`)
    try {
      const connection = await lend()
      expect(await look(connection, 'current_user')).toBe(roles.one)
      expect(await dirtied(connection, `set role ${roles.other}`)).toBe(roles.one)
      expect(await dirtied(connection, `set session authorization ${roles.other}`)).toBe(roles.one)
    } finally {
      await scene.admin.query(`${where} reset role`)
    }
  })

  it('what its set-up did is no mark; with a mark it is undone as well, for the set-up to run again', async () => {
    const connection = await lend()
    const setUp = async () => {
      await connection.execute({ text: "create temp table mine (id int); set work_mem = '77MB'" })
      connection.keepState('set-up')
    }
    await setUp()
    expect(connection.sessionState).toBe('clean')
    await connection.reset(signal)
    expect(await look(connection, setting('work_mem'))).toBe('77MB')
    for (const text of ['listen news', 'reset work_mem']) {
      await connection.execute({ text })
      expect(connection.sessionState).toBe('dirty')
      await connection.reset(signal)
      await setUp()
      expect(connection.sessionState).toBe('clean')
    }
  })
})

it('a set-up that was undone for what nobody could know of before spoils the session', async () => {
  const connection = await lend()
  await connection.execute({ text: "set work_mem = '77MB'" })
  connection.keepState('set-up')
  const text = 'begin; set search_path = elsewhere; commit; select pg_sleep(60)'
  await errorOf(connection.execute({ text }, { timeoutMs: 300 }))
  expect(connection.sessionState).toBe('clean')
  await connection.reset(signal)
  expect(connection.sessionState).toBe('spoilt')
})

describe('nothing is sent for a session', () => {
  it.each<[string, readonly string[]]>([
    ['never used', []],
    ['that read and wrote', ['select 1', `insert into marks values ('a')`, `update marks set mark = 'b'`]],
    ['with a table made', ['create table made (id int)', 'drop table made']],
    ['with transactions', ['begin', 'savepoint s', 'release s', 'commit', 'begin', 'select 1', 'rollback']],
    ['with SET LOCAL', ['begin', `set local work_mem = '77MB'`, `set local role ${roles.one}`, 'commit']],
    ['with SET TRANSACTION', ['begin', 'set transaction isolation level serializable', 'commit']],
    ['with SET CONSTRAINTS', ['begin', 'set constraints all deferred', 'commit']],
    ['with a setting of a transaction', ['begin', `select set_config('work_mem', '77MB', true)`, 'commit']],
    ['with locks of a transaction', ['begin', 'select pg_advisory_xact_lock(1)', 'commit']],
    ['with a cursor of a transaction', ['begin', 'declare c cursor for select 1', 'fetch c', 'commit']],
    ['with UNLISTEN and RESET', ['unlisten *', 'reset all', 'reset role']],
    ['with a column named temp', ['select temp from (select 1 as temp) as readings']],
    ['told who asks', [`select set_config('a.b', '{}', true); set local role ${roles.one}; select 1; reset role`]],
  ])('%s', async (_, texts) => {
    const connection = await lend()
    const left = `array[(${locks}), (${relations}), (${cursors})]::text || current_user`
    const before = await look(connection, left)
    for (const text of texts) await connection.execute({ text })
    expect(connection.sessionState).toBe('clean')
    const spoken = said()
    await connection.reset(signal)
    expect(said()).toEqual(spoken)
    expect(await look(connection, left)).toBe(before)
  })

  it('whose statement failed', async () => {
    const connection = await lend()
    await errorOf(connection.execute({ text: 'set work_mem = nonsense' }))
    await errorOf(connection.execute({ text: 'select 1/0' }))
    expect(connection.sessionState).toBe('clean')
  })
})

describe('a session is spoilt', () => {
  it.each([
    'prepare mine as select 1',
    'prepare mine as select 1; deallocate mine',
    'deallocate all',
    'discard all',
    `load 'plpgsql'`,
  ])('by %s, and no reset changes that', async (text) => {
    const connection = await lend()
    await connection.execute({ text })
    expect(connection.sessionState).toBe('spoilt')
    const before = said()
    await connection.reset(signal)
    expect(said()).toEqual(before)
    expect(connection.sessionState).toBe('spoilt')
  })

  it('by what a borrower declares so', async () => {
    const connection = await lend()
    const left: SessionState = 'other'
    connection.declare(left)
    expect(connection.sessionState).toBe('spoilt')
  })
})

describe('a reserved connection', () => {
  async function reserved() {
    const pool = openPool()
    const acquire = jest.spyOn(pool, 'acquire')
    const db = drizzle({ client: pool })
    const sql = await db.$client.reserve()
    const lease = await acquire.mock.results[0]?.value
    if (!(lease instanceof Lease)) throw new Error('it came from somewhere else')
    scene.closing({
      close: () => {
        sql.release()
        return pool.close()
      },
    })
    return { sql, connection: lease.connection }
  }

  it('is known by its whole text, fragments included', async () => {
    const { sql, connection } = await reserved()
    await sql`select ${sql`pg_advisory_xact_lock(${1})`}`
    expect(connection.sessionState).toBe('clean')
    await sql`select ${sql`pg_advisory_lock(${1})`}`
    expect(connection.sessionState).toBe('dirty')
    await connection.reset(signal)
    await sql`set ${sql`local`} work_mem = '77MB'`
    expect(connection.sessionState).toBe('clean')
    await sql`set ${sql('work_mem')} = '77MB'`
    expect(connection.sessionState).toBe('dirty')
    await connection.reset(signal)
    await sql`select set_config(${'work_mem'}, ${'77MB'}, ${false})`
    expect(connection.sessionState).toBe('dirty')
    await connection.reset(signal)
    await sql`create ${sql`temp`} table ${sql('scratch')} (id int)`
    expect(connection.sessionState).toBe('dirty')
    await connection.reset(signal)
    await sql.unsafe('listen news')
    expect(connection.sessionState).toBe('dirty')
    await connection.reset(signal)
    expect(await look(connection, `array[(${locks}), (${relations}), (${channels})]`)).toBe('{0,0,0}')
  })

  it('keeps the statements that are prepared on it', async () => {
    const { sql, connection } = await reserved()
    const ask = (n: number) => sql`select ${n}::int as n, ${n}::text as t`
    await ask(1)
    await sql`set search_path = elsewhere`
    await sql`select pg_advisory_lock(1)`
    await sql`create temp table scratch (id int)`
    await connection.reset(signal)
    const { Parse } = scene.proxy.traffic.messages['to-server']
    expect([...(await ask(2))]).toEqual([{ n: 2, t: '2' }])
    expect(scene.proxy.traffic.messages['to-server'].Parse).toBe(Parse)
    expect(await look(connection, 'select count(*) > 0 from pg_prepared_statements')).toBe('true')
  })

  it('shows it the moment the statement has come back, for a waiting one as for a streaming one', async () => {
    const { sql, connection } = await reserved()
    await Promise.all([sql`select 1`, sql`listen news`, sql`select 2`])
    expect(connection.sessionState).toBe('dirty')
    await connection.reset(signal)
    for await (const _ of sql`select pg_advisory_lock(n) from generate_series(1, 3) as n`.cursor(1)) break
    expect(connection.sessionState).toBe('dirty')
    await connection.reset(signal)
    expect(await look(connection, locks)).toBe('0')
  })
})

it('a reset that fails leaves the marks where they are', async () => {
  const connection = await lend()
  await connection.execute({ text: 'listen news' })
  const reset = errorOf(connection.reset(signal))
  connection.destroy(new ConnectionLostError('for the test'))
  expect(await reset).toMatchObject({ name: 'ConnectionLostError' })
  expect(connection.sessionState).toBe('dirty')
})
