// Streams whose connection, server or consumer goes in the middle: nobody is left waiting, and no process ends of it.

import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { type Client, createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql as kyselySql } from 'kysely'
import { killBackends } from '../support/admin.js'
import { until } from '../support/until.js'
import type { Schema } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
/** For what must end by itself, on a busy machine. */
const soon = 20_000

let pool: PostgresPool
let sql: Client
let kysely: Kysely<Schema>
beforeEach(() => {
  pool = scene.closing(
    createPool(scene.url, { resilience: { pool: { min: 0, max: 1, overflow: 0, closeTimeoutMs: 500 } } }),
  )
  sql = drizzle({ client: pool }).$client
  kysely = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
})

async function leaseBack(): Promise<void> {
  await until(() => pool.stats().leased === 0, { what: 'the lease to come back' })
  expect(await within(soon, sql`select 1 as n`)).toEqual([{ n: 1 }])
}

/** Resolves when the library, too, knows that the socket is closed. */
async function killUntilClosed(): Promise<void> {
  await kill()
  await until(() => pool.stats().lost === 1, { what: 'the loss to be noticed' })
  await new Promise((resolve) => setTimeout(resolve, 20))
}

async function kill(): Promise<void> {
  expect(await killBackends(scene.admin, "application_name = 'scene'")).toHaveLength(1)
}

const many = 'copy (select n, repeat($$x$$, 100) from generate_series(1, 100000) n) to stdout'

describe('COPY', () => {
  // postgres.js pauses the socket when the stream's buffer is full, and resumes it when the stream is read: after the
  // last chunk it never is.
  it('of any size is read whole, and the connection goes on', async () => {
    const all = await buffer(await sql.unsafe(many).readable())
    expect(all.toString('latin1').split('\n')).toHaveLength(100_001)
    await leaseBack()
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it('keeps its lease for as long as it is read', async () => {
    const stream = await sql.unsafe(many).readable()
    const next = sql`select 2 as n`.execute()
    await until(() => pool.stats().waiting === 1, { what: 'the next to wait' })
    await within(soon, text(stream))
    expect(await within(soon, next)).toEqual([{ n: 2 }])
    await leaseBack()
  })

  it('left before its end gives its lease back', async () => {
    const stream = await sql.unsafe(many).readable()
    for await (const chunk of stream) {
      expect(chunk).toBeInstanceOf(Buffer)
      break
    }
    expect(stream.destroyed).toBe(true)
    await leaseBack()
  })

  it('whose last line the server refuses ends with the error of the server', async () => {
    const stream = await sql`copy marks from stdin`.writable()
    const written = errorOf(pipeline(Readable.from(['one\n', 'two\ttoo many\n']), stream))
    expect(await within(soon, written)).toMatchObject({ code: '22P04' })
    await leaseBack()
  })
})

/** The same cursor through the client and through Kysely: chunks of rows. */
const cursors: Record<string, (last: number) => AsyncIterable<unknown>> = {
  client: (last) => sql`select n, 1 / (${last}::int - n) as q from generate_series(1, 10000) n`.cursor(10),
  kysely: (last) =>
    kysely.selectNoFrom(kyselySql<number>`1 / (${last}::int - generate_series(1, 10000))`.as('n')).stream(10),
}

describe.each(Object.keys(cursors))('a cursor of %s', (name) => {
  const open = (last = 0) => {
    const cursor = cursors[name]
    if (cursor === undefined) throw new Error(name)
    return cursor(last)
  }
  /** Rows come in chunks from the client, and one by one from Kysely. */
  const take = async (cursor: AsyncIterable<unknown>, each: (count: number) => Promise<boolean> | boolean) => {
    let count = 0
    for await (const chunk of cursor) {
      count += Array.isArray(chunk) ? chunk.length : 1
      if (!(await each(count))) break
    }
    return count
  }

  // postgres.js writes what fetches the next chunk, or closes
  // the cursor, to a socket that is gone.
  it('whose connection is killed in the middle rejects, and gives its lease back', async () => {
    let killed: Promise<void> | undefined
    const reading = take(open(), async (count) => {
      if (count > 100) {
        killed ??= killUntilClosed()
        await killed
      }
      return true
    })
    expect(await within(soon, errorOf(reading))).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
    await leaseBack()
    expect(pool.stats()).toMatchObject({ lost: 1 })
  })

  it('left after its connection was killed gives its lease back', async () => {
    await within(
      soon,
      take(open(), async (count) => {
        if (count > 100) await killUntilClosed()
        return count <= 100
      }),
    )
    await leaseBack()
  })
})
