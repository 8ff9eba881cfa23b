// Violations told to who reads a cursor, writes a COPY, or does not want to wait.

import { finished } from 'node:stream/promises'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createClient, createPool } from '@moorings/postgres'
import { Kysely, sql } from 'kysely'
import { until } from '../support/until.js'
import type { ResilienceOptions, Schema } from './orms.js'
import { useScene, within } from './scene.js'
import { constrained, odd, one, two, violationOf } from './violations.js'

const scene = useScene()

beforeAll(() => scene.admin.query(constrained))

const open = (resilience?: ResilienceOptions) => scene.closing(createPool(scene.url, { resilience }))

describe('E2: who waits for what is looked up', () => {
  it.each([
    ['an abort', undefined],
    ['the statement’s own limit', 200],
  ])('hears of the violation at %s', async (_what, timeoutMs) => {
    const pool = open({ ...two, errors: { lookupTimeoutMs: 60_000 } })
    const [lease, other] = [await pool.acquire(), await pool.acquire()]
    const abort = new AbortController()
    const statement = lease.connection.execute({ text: odd }, { signal: abort.signal, timeoutMs })
    const told = violationOf(statement)
    await until(() => pool.stats().waiting === 1, { what: 'the look-up to wait for a connection' })
    if (timeoutMs === undefined) abort.abort()
    expect(await within(5_000, told)).toMatchObject({ constraint: 'people_lower_nick', columns: undefined })
    // The connection was free all the while.
    expect((await lease.connection.execute({ text: 'select 1 as one' })).rows).toEqual([{ one: 1 }])
    lease.release()
    other.release()
  })

  it('keeps no connection waiting', async () => {
    const pool = open({ ...two, errors: { lookupTimeoutMs: 60_000 } })
    const [lease, other] = [await pool.acquire(), await pool.acquire()]
    const told = violationOf(lease.connection.execute({ text: odd }))
    const next = await within(5_000, lease.connection.execute({ text: 'select 1 as one' }))
    expect(next.rows).toEqual([{ one: 1 }])
    other.release()
    expect(await within(5_000, told)).toMatchObject({ columns: ['nick'] })
    lease.release()
  })
})

describe('E2: a cursor that violates midway', () => {
  it('tells it whole, with postgres.js’s own', async () => {
    const pool = open({ pool: { max: 2 } })
    const sql = createClient(pool)
    const chunks: unknown[] = []
    const reading = async () => {
      for await (const rows of sql`select wait_and_fail(i) from generate_series(1, 5) i`.cursor(1)) chunks.push(rows)
    }
    expect(await violationOf(reading())).toMatchObject({ columns: ['first_name', 'last_name'] })
    expect(chunks).toHaveLength(2)
    const inside = sql.begin((tx) => tx`select wait_and_fail(i) from generate_series(1, 5) i`.cursor(1, () => {}))
    expect(await violationOf(inside)).toMatchObject({ columns: ['first_name', 'last_name'] })
  })

  it.each([
    ['by itself, in a pool of one connection', one, false],
    ['in a transaction', two, true],
  ])('tells it whole, with Kysely’s stream %s', async (_where, resilience, transaction) => {
    const pool = open({ ...resilience, errors: { lookupTimeoutMs: 60_000 } })
    const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
    const chunks: unknown[] = []
    const reading = async (runner: Kysely<Schema>) => {
      const query = runner
        .selectFrom(sql<{ i: number }>`generate_series(1, 5)`.as<'i'>(sql`i`))
        .select(sql<number>`wait_and_fail(i)`.as('n'))
      for await (const row of query.stream(1)) chunks.push(row)
    }
    const told = violationOf(transaction ? db.transaction().execute(reading) : reading(db))
    expect(await within(5_000, told)).toMatchObject({ columns: ['first_name', 'last_name'] })
    expect(chunks).toHaveLength(2)
  })
})

describe('E2: COPY', () => {
  it('tells a violation with what is known already: its stream does not wait', async () => {
    const pool = open()
    const sql = createClient(pool)
    const copy = async () => {
      const stream = await sql`copy people (id, nick) from stdin`.writable()
      stream.end('9\tANNIE\n')
      await finished(stream)
    }
    expect(await violationOf(copy())).toMatchObject({ constraint: 'people_lower_nick', columns: undefined })
    await until(() => pool.stats().leased === 0 && pool.stats().waiting === 0, { what: 'the catalogue to be read' })
    expect(await violationOf(copy())).toMatchObject({ constraint: 'people_lower_nick', columns: ['nick'] })
  })
})
