// What one borrower's misfortune must not do to the next one, or to the process: found by reading the library beneath.

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { until } from '../support/until.js'
import { useDatabase } from '../support/use-database.js'

const database = useDatabase()
const one = { resilience: { pool: { min: 0, max: 1, overflow: 0 } } }
const opened: PostgresPool[] = []

function open(options: object = {}) {
  const pool = createPool({ url: database.url, ...options }, one)
  opened.push(pool)
  return { pool, sql: createClient(pool) }
}

afterEach(async () => {
  for (const pool of opened.splice(0)) await pool.close({ timeoutMs: 1_000 })
})

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still pending after ${ms} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

beforeAll(async () => {
  await database.admin.query(`
    create table deferred (id int unique deferrable initially deferred);
    insert into deferred values (1);
    create table plan (id integer, flag boolean, doc jsonb, bytes bytea);
    create table copied (id int primary key);
    insert into copied values (1);
    create table locked (id int);
    insert into locked values (1)`)
})

describe('the next borrower', () => {
  it('gets its own rows after a cursor whose implicit commit failed', async () => {
    const { sql } = open()
    const reading = (async () => {
      for await (const _ of sql`insert into deferred values (1) returning id`.cursor(10)) void _
    })().catch((error: unknown) => error)
    const others = await Promise.all([1, 2, 3, 4].map((n) => sql`select ${n}::int as n`))
    expect(await reading).toMatchObject({ code: '23505' })
    expect(others.map((rows) => rows[0]?.n)).toEqual([1, 2, 3, 4])
  })

  it('gets its own rows after a statement that failed in the middle of its own', async () => {
    const { sql } = open()
    await expect(sql`select 1 / (10 - n) from generate_series(1, 20) n`).rejects.toMatchObject({ code: '22012' })
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }])
  })

  it('does not complete the COPY of the one before, which failed', async () => {
    const { sql } = open()
    const writable = await sql`copy copied from stdin`.writable()
    const copying = pipeline(Readable.from(['1\n']), writable)
    await expect(within(5_000, copying)).rejects.toMatchObject({ code: '23505' })
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }])
  })

  it('is served after a COPY that was left in the middle', async () => {
    const { sql, pool } = open()
    const stream = await sql`copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout`.readable()
    for await (const _ of stream) break
    await until(() => pool.stats().leased === 0, { what: 'the lease to come back' })
    expect([...(await within(5_000, sql`select 1 as one`))]).toEqual([{ one: 1 }])
  })
})

describe('a prepared statement whose plan went stale', () => {
  it('is tried again with the values it was given', async () => {
    const { sql } = open()
    const insert = (id: number) =>
      sql`insert into plan values (${id}, ${true}, ${sql.json({ a: 1 })}, ${Buffer.from('hi')}) returning *`
    const [before] = await insert(1)
    await database.admin.query('alter table plan alter column id type bigint')
    const [after] = await insert(2)
    expect(after).toEqual({ ...before, id: '2' })
  })
})

describe('a transaction that is rolled back', () => {
  it('stops what its body has left running, and gives its locks back at once', async () => {
    const { sql, pool } = open()
    const failed = sql.begin(async (tx) => {
      await tx`update locked set id = 2`
      const slow = tx`select pg_sleep(30)`
      await Promise.all([
        slow,
        until(
          () =>
            database.admin
              .query(
                `select 1 from pg_stat_activity where query like '%pg_sleep(30)%' and state = 'active' and datname = current_database() and pid <> pg_backend_pid()`,
              )
              .then((rows) => rows.length > 0),
          { what: 'the sleep' },
        ).then(() => {
          throw new Error('payment refused')
        }),
      ])
    })
    await expect(within(4_000, failed)).rejects.toThrow('payment refused')
    await database.admin.query(`set lock_timeout = '2s'`)
    await database.admin.query('update locked set id = 3')
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })
})

describe('a callback of the application', () => {
  it('that throws on a notice takes nothing with it', async () => {
    const { sql } = open({
      onnotice: () => {
        throw new Error('in the callback')
      },
    })
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {})
    await sql`do $$ begin raise notice 'hello'; end $$`.simple()
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }])
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('in the callback'), { code: 'MOORINGS_CALLBACK' })
    warn.mockRestore()
  })

  it('that throws on the last chunk of a cursor fails the query', async () => {
    const { sql } = open()
    const thrown = Object.freeze(new Error('the last'))
    const reading = sql`select generate_series(1, 5)`.cursor(10, async () => {
      throw thrown
    })
    await expect(reading).rejects.toBe(thrown)
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }])
  })

  it('that throws a frozen error in forEach fails the query with it', async () => {
    const { sql } = open()
    const thrown = Object.freeze(new Error('frozen'))
    const reading = sql`select generate_series(1, 5)`.forEach(() => {
      throw thrown
    })
    await expect(reading).rejects.toBe(thrown)
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }])
  })

  it('that gives no password is told at once', async () => {
    const password: object = { password: async () => undefined }
    const { sql } = open({ ...password })
    await expect(within(5_000, sql`select 1`)).rejects.toMatchObject({ name: 'AuthenticationError' })
  })
})

describe('a statement in a transaction', () => {
  it('that was cancelled before it was awaited is not sent', async () => {
    const { sql } = open()
    await sql
      .begin(async (tx) => {
        const query = tx`insert into locked values (99)`
        query.cancel()
        await query.catch(() => {})
      })
      .catch(() => {})
    expect(await database.admin.query('select 1 from locked where id = 99')).toEqual([])
  })

  it('inside the loop of its own cursor is refused rather than left hanging', async () => {
    const { sql } = open()
    const looping = sql.begin(async (tx) => {
      for await (const _ of tx`select generate_series(1, 20)`.cursor(5)) await tx`select 1`
    })
    await expect(within(5_000, looping)).rejects.toMatchObject({ code: 'CURSOR_OPEN' })
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }])
  })
})

describe('an error of raw SQL', () => {
  it('leads to where the query was written', async () => {
    const { sql } = open()
    const error: unknown = await sql`selec 1`.catch((thrown: unknown) => thrown)
    expect(error instanceof Error && error.stack).toContain('borrowed-faults.test')
  })
})
