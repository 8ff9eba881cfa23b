// Options from the environment: what they are handed to takes them, works on a server with them, and keeps to them.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, InvalidOptionsError, StatementTimeoutError } from '@moorings/core'
import { optionsFromEnv } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { optionsFromEnv as fromKysely, ResilientPostgresDialect } from '@moorings/kysely'
import { createPool, optionsFromEnv as fromPostgres } from '@moorings/postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { Kysely, sql } from 'kysely'
import { freePort } from '../support/free-port.js'
import type { Schema } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const marks = pgTable('marks', { mark: text('mark') })
const schema = { marks }

const tight = { DB_POOL_SIZE: '1', DB_MAX_OVERFLOW: '0', DB_POOL_TIMEOUT: '0.2', DB_COMMAND_TIMEOUT: '0.3' }
const inForce = { min: 1, max: 1, overflow: 0, acquireTimeoutMs: 200 }
const before = new Map<string, string | undefined>()

beforeEach(() => {
  for (const [name, value] of Object.entries({ ...tight, DATABASE_URL: scene.url })) {
    before.set(name, process.env[name])
    process.env[name] = value
  }
})
afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
})

async function nowhere(): Promise<string> {
  const url = new URL(scene.url)
  url.port = String(await freePort(url.hostname))
  return url.href
}

it('is one function, whichever package it is taken from', () => {
  expect(fromKysely).toBe(optionsFromEnv)
  expect(fromPostgres).toBe(optionsFromEnv)
})

describe('drizzle({ ...optionsFromEnv(), schema })', () => {
  it('works, and keeps to what the environment says', async () => {
    const db = drizzle({ ...optionsFromEnv(), schema })
    scene.closing(db.$client.pool)
    await db.insert(marks).values({ mark: 'drizzle' })
    expect(await db.query.marks.findMany()).toEqual([{ mark: 'drizzle' }])
    expect(db.$client.pool.resilience.pool).toMatchObject(inForce)
    const slow = db.execute('select pg_sleep(20)')
    expect(await within(10_000, errorOf(slow))).toBeInstanceOf(StatementTimeoutError)
  })
})

describe('new ResilientPostgresDialect(optionsFromEnv())', () => {
  it('works, and keeps to what the environment says', async () => {
    const dialect = new ResilientPostgresDialect(optionsFromEnv())
    const db = new Kysely<Schema>({ dialect })
    scene.closing(dialect.pool)
    await db.insertInto('marks').values({ mark: 'kysely' }).execute()
    expect(await db.selectFrom('marks').selectAll().execute()).toEqual([{ mark: 'kysely' }])
    expect(dialect.pool.resilience.pool).toMatchObject(inForce)
    const slow = sql`select pg_sleep(20)`.execute(db)
    expect(await within(10_000, errorOf(slow))).toBeInstanceOf(StatementTimeoutError)
    await db.destroy()
  })
})

describe('createPool(connection, { resilience })', () => {
  it('works, and keeps to what the environment says', async () => {
    const { connection, resilience } = optionsFromEnv()
    const pool = scene.closing(createPool(connection, { resilience }))
    expect(pool.resilience.pool).toMatchObject(inForce)
    await pool.transaction(async ({ connection }) => {
      expect(await connection.execute({ text: 'select 1' })).toMatchObject({ command: 'SELECT', count: 1 })
    })
  })

  it('waits no longer than the environment says for a server that is not there', async () => {
    const { connection, resilience } = optionsFromEnv({ ...tight, DATABASE_URL: await nowhere() })
    const pool = scene.closing(createPool(connection, { resilience }))
    const error = await within(10_000, errorOf(pool.acquire()))
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ waitedMs: 200, cause: { code: 'ECONNREFUSED' } })
  })

  it('takes options of the application’s own beside them', async () => {
    const { connection, resilience } = optionsFromEnv()
    const { pool: sizes } = resilience
    const pool = scene.closing(createPool(connection, { resilience: { ...resilience, pool: { ...sizes, min: 0 } } }))
    expect(pool.resilience.pool).toMatchObject({ ...inForce, min: 0 })
    expect(pool.resilience.statement.timeoutMs).toBe(300)
  })
})

describe('a DATABASE_URL that is no URL of the right kind', () => {
  it.each(['mysql://app:hunter2@localhost/x', 'app:hunter2@localhost', 'postgres://app:hunter2%@localhost/x'])(
    'is refused by whoever is given it, and not shown (%#)',
    async (url) => {
      process.env.DATABASE_URL = url
      const ways: (() => unknown)[] = [
        () => drizzle({ ...optionsFromEnv(), schema }),
        () => new ResilientPostgresDialect(optionsFromEnv()),
        () => createPool(optionsFromEnv().connection),
      ]
      for (const make of ways) {
        const error = await errorOf(Promise.resolve().then(make))
        expect(error).toBeInstanceOf(InvalidOptionsError)
        expect(error).toMatchObject({ problems: [{ path: 'connection', given: expect.any(String) }] })
        expect(`${error}\n${JSON.stringify(error)}`).not.toContain('hunter2')
      }
    },
  )
})
