// Small promises of the client, the listener and the dialect, each of which some change could break unseen.

import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from '@jest/globals'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql as kyselySql } from 'kysely'
import postgres from 'postgres'
import { until } from '../support/until.js'
import { useDatabase } from '../support/use-database.js'

const database = useDatabase()
const opened: PostgresPool[] = []

function open(options: object = {}, limits: object = {}) {
  const pool = createPool({ url: database.url, ...options }, { resilience: { pool: { min: 0, max: 2, ...limits } } })
  opened.push(pool)
  return { pool, sql: createClient(pool) }
}

afterEach(async () => {
  for (const pool of opened.splice(0)) await pool.close({ timeoutMs: 1_000 })
})

async function errorOf(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('It did not fail')
}

describe('target_session_attrs', () => {
  const attempt = async (target: string, readOnly: 'on' | 'off') => {
    const options = { target_session_attrs: target, connection: { default_transaction_read_only: readOnly } }
    const { sql } = open(options, { max: 1, acquireTimeoutMs: 500 })
    return sql`select 1`.then(
      () => 'served',
      (error: unknown) => String(error instanceof Error && error.cause),
    )
  }

  it.each([
    ['prefer-standby', 'off'],
    ['read-write', 'off'],
    ['read-only', 'on'],
  ] as const)('%s is content with a primary whose default_transaction_read_only is %s', async (target, readOnly) => {
    expect(await attempt(target, readOnly)).toBe('served')
  })

  it.each([
    ['read-write', 'on'],
    ['read-only', 'off'],
  ] as const)('%s refuses one whose default_transaction_read_only is %s', async (target, readOnly) => {
    expect(await attempt(target, readOnly)).toContain(`asks for ${target}`)
  })
})

describe('a server that accepts and never answers the greeting', () => {
  it('is left at the deadline, and its socket is closed', async () => {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket.resume())
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const pool = createPool(`postgres://a:b@127.0.0.1:${port}/c`, {
      resilience: { pool: { min: 0, max: 1, connectTimeoutMs: 150, acquireTimeoutMs: 300 } },
    })
    expect(await errorOf(pool.acquire())).toMatchObject({ name: 'AcquireTimeoutError' })
    await pool.close()
    await until(() => sockets.size === 0, { what: 'the sockets to be closed', timeoutMs: 5_000 })
    server.close()
  })
})

describe('a type created later', () => {
  it('and learnt by a newer connection is known to the older ones', async () => {
    const { sql } = open()
    await sql`select ${[1]}::int[]`
    await database.admin.query(`create type mood as enum ('ok', 'sad')`)
    await sql`select '{ok}'::mood[] as moods`
    for (const reserved of await Promise.all([sql.reserve(), sql.reserve()])) {
      const [row] = await reserved`select ${['ok', 'sad']}::mood[] as moods`
      expect(row).toEqual({ moods: ['ok', 'sad'] })
      reserved.release()
    }
  })
})

describe('a transaction', () => {
  it('of its own read-only mode refuses a write without blaming the server', async () => {
    const { sql } = open()
    const error = await errorOf(sql.begin('read only', (tx) => tx`create table nowhere (id int)`))
    expect(error).toMatchObject({ name: 'StatementError', code: '25006' })
  })

  it('fails for a statement that could not be written, though its error was swallowed', async () => {
    const { sql } = open()
    const undefinedValue: { readonly value?: string } = {}
    const failing = sql.begin(async (tx) => {
      await tx.unsafe('select $1::text', [undefinedValue.value as never]).catch(() => {})
    })
    expect(await errorOf(failing)).toMatchObject({ name: 'TransactionAbortedError' })
  })

  it('takes any name for a savepoint', async () => {
    const { sql } = open()
    const label = 'a "b"; c'
    const rows = await sql.begin(async (tx) => {
      await tx.savepoint(label, () => Promise.reject(new Error('inner'))).catch(() => {})
      return tx.savepoint(label, (inner) => inner`select 1 as one`)
    })
    expect([...rows]).toEqual([{ one: 1 }])
  })

  it('of Kysely takes any name for a savepoint, and names the error that was not undone', async () => {
    const { pool } = open()
    const db = new Kysely<Record<string, never>>({ dialect: new ResilientPostgresDialect({ client: pool }) })
    const trx = await db.startTransaction().execute()
    const inside = await trx.savepoint('a "b"').execute()
    await kyselySql`select 1/0`.execute(inside).catch(() => {})
    await inside.rollbackToSavepoint('a "b"').execute()
    await kyselySql`select * from no_such_table`.execute(trx).catch(() => {})
    expect(await errorOf(trx.commit().execute())).toMatchObject({ code: '42P01' })
    await db.destroy()
  })
})

describe('one pool', () => {
  it('serves every Drizzle on a postgres.js client, and is closed with it', async () => {
    const client = postgres(database.url)
    const { pool } = drizzle({ client }).$client
    expect(drizzle(client).$client.pool).toBe(pool)
    const apart = drizzle({ client, resilience: { pool: { max: 1 } } }).$client.pool
    expect(apart).not.toBe(pool)
    await client.end()
    expect([pool.closed, apart.closed]).toEqual([true, true])
  })

  it('serves every Kysely of a dialect until the last is destroyed, and one that comes later gets a new one', async () => {
    const dialect = new ResilientPostgresDialect({ connection: database.url })
    const [one, two, three] = [1, 2, 3].map(() => new Kysely<Record<string, never>>({ dialect }))
    if (!one || !two || !three) throw new Error('three were made')
    await kyselySql`select 1`.execute(one)
    await kyselySql`select 1`.execute(two)
    await one.destroy()
    await kyselySql`select 1`.execute(two)
    await two.destroy()
    expect(dialect.pool.closed).toBe(true)
    await kyselySql`select 1`.execute(three)
    await three.destroy()
    expect(dialect.pool.closed).toBe(true)
  })
})

describe('a reserved connection', () => {
  it('does not begin a transaction on another one', async () => {
    const { sql } = open()
    const reserved = await sql.reserve()
    expect(() => reserved.begin(() => {})).toThrow('send BEGIN and COMMIT yourself')
    await reserved`begin`
    await reserved`rollback`
    reserved.release()
  })
})

describe('unlisten', () => {
  it('tells the server, while another channel is listened to', async () => {
    const { sql } = open()
    const one = await sql.listen('chan_a', () => {})
    const other = await sql.listen('chan_b', () => {})
    await one.unlisten()
    const last = `select query from pg_stat_activity where query like '%chan\\_%' and datname = current_database() and pid <> pg_backend_pid()`
    expect(await database.admin.query(last)).toEqual([{ query: 'unlisten "chan_a"' }])
    await other.unlisten()
  })
})

describe('an array with a hole', () => {
  it('is refused as postgres.js refuses undefined', async () => {
    const { sql } = open()
    const values: object = [1, undefined]
    expect(await errorOf(sql.unsafe('select $1::int[]', [values as never]))).toMatchObject({ code: 'UNDEFINED_VALUE' })
  })
})

describe('a statement that fails', () => {
  it('is not kept by the library for its text', async () => {
    const { sql } = open()
    const query = sql.unsafe('select 1 / 0')
    expect(await errorOf(query)).toMatchObject({ code: '22012' })
    // The library's own would say where it was made.
    expect(Reflect.get(query, 'origin')).toBe('')
  })
})

describe('sql.unsafe() and sql.file()', () => {
  it('take values, options, or both, as with postgres.js', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'moorings-'))
    const one = join(directory, 'one.sql')
    const two = join(directory, 'two.sql')
    await writeFile(one, 'select $1::int + 1 as n')
    await writeFile(two, 'select 1 as a; select 2 as b')
    const stock = postgres(database.url, { max: 1 })
    const { sql } = open()
    try {
      for (const client of [stock, sql]) {
        expect([...(await client.unsafe('select $1::int + 1 as n', [1]))]).toEqual([{ n: 2 }])
        expect([...(await client.unsafe('select $1::int + 1 as n', [1], { prepare: true }))]).toEqual([{ n: 2 }])
        expect([...(await Reflect.apply(client.unsafe, client, ['select 3 as n', { prepare: true }]))]).toEqual([
          { n: 3 },
        ])
        expect([...(await client.file(one, [1]))]).toEqual([{ n: 2 }])
        expect([...(await client.file(one, [1], {}))]).toEqual([{ n: 2 }])
        expect(await Reflect.apply(client.file, client, [two, {}])).toHaveLength(2)
        expect(await client.file(two)).toHaveLength(2)
        expect(await errorOf(client.file(join(directory, 'none.sql')))).toMatchObject({ code: 'ENOENT' })
      }
    } finally {
      await stock.end()
      await rm(directory, { recursive: true })
    }
  })
})
