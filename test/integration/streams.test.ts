// COPY and cursors through db.$client: however a stream ends, its lease comes back, and nothing is left uncaught.

import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
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

async function kill(): Promise<void> {
  expect(await killBackends(scene.admin, "application_name = 'scene'")).toHaveLength(1)
}

const many = 'copy (select n, repeat($$x$$, 100) from generate_series(1, 100000) n) to stdout'
const lines = (count: number) => Array.from({ length: count }, (_, i) => `line ${i}\n`)

describe('COPY TO STDOUT', () => {
  it('is read whole, and the lease comes back', async () => {
    const out = await text(await sql`copy (select n from generate_series(1, 3) n) to stdout`.readable())
    expect(out).toBe('1\n2\n3\n')
    await leaseBack()
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it('whose connection is killed in the middle ends with an error', async () => {
    const stream = await sql.unsafe(many).readable()
    const reading = errorOf(
      (async () => {
        let killed: Promise<void> | undefined
        for await (const _ of stream) {
          killed ??= kill()
          await killed
        }
      })(),
    )
    expect(await within(soon, reading)).toBeInstanceOf(Error)
    await leaseBack()
    expect(pool.stats()).toMatchObject({ lost: 1 })
  })

  it('whose connection is killed while nobody reads nor listens ends no process', async () => {
    const stream = await sql.unsafe(many).readable()
    await kill()
    stream.resume()
    await until(() => stream.destroyed, { what: 'the stream to end' })
    await leaseBack()
  })

  it('that fails in the middle on the server ends with an error', async () => {
    const stream = await sql`copy (select 1 / (50000 - n) from generate_series(1, 100000) n) to stdout`.readable()
    expect(await within(soon, errorOf(text(stream)))).toMatchObject({ code: '22012' })
    await leaseBack()
    expect(pool.stats()).toMatchObject({ lost: 0 })
  })

  it('that cannot begin rejects', async () => {
    expect(await errorOf(sql`copy no_such_table to stdout`.readable())).toMatchObject({ code: '42P01' })
    await leaseBack()
  })
})

describe('COPY FROM STDIN', () => {
  it('is written whole, and the lease comes back', async () => {
    await pipeline(Readable.from(lines(1_000)), await sql`copy marks from stdin`.writable())
    await leaseBack()
    expect(await scene.marks()).toHaveLength(1_000)
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it('whose connection is killed in the middle ends with an error, and writes nothing', async () => {
    const stream = await sql`copy marks from stdin`.writable()
    const source = async function* () {
      yield 'first\n'
      await kill()
      for (const line of lines(10_000)) yield line
      await until(() => stream.destroyed, { what: 'the stream to hear of it' })
      yield 'too late\n'
    }
    expect(await within(soon, errorOf(pipeline(Readable.from(source()), stream)))).toBeInstanceOf(Error)
    await leaseBack()
    expect(await scene.marks()).toEqual([])
  })

  it('whose connection is killed while nobody writes nor listens ends no process', async () => {
    const stream = await sql`copy marks from stdin`.writable()
    stream.write('one\n')
    await kill()
    await until(() => stream.destroyed, { what: 'the stream to end' })
    await leaseBack()
    expect(await scene.marks()).toEqual([])
  })

  it('destroyed by its writer writes nothing, and gives its lease back', async () => {
    const stream = await sql`copy marks from stdin`.writable()
    stream.write('one\n')
    stream.destroy(new Error('changed my mind'))
    await leaseBack()
    expect(await scene.marks()).toEqual([])
    expect(pool.stats()).toMatchObject({ lost: 0 })
  })

  it('of lines the server refuses gives its lease back', async () => {
    const stream = await sql`copy marks from stdin`.writable()
    const ended = new Promise((resolve) => stream.once('close', resolve))
    stream.write('one\ttoo many\n')
    await within(soon, ended)
    await leaseBack()
    expect(await scene.marks()).toEqual([])
  })

  it('in a transaction is undone with it', async () => {
    const mine = new Error('mine')
    const error = await errorOf(
      sql.begin(async (tx) => {
        await pipeline(Readable.from(lines(10)), await tx`copy marks from stdin`.writable())
        expect(await tx`select count(*)::int as n from marks`).toEqual([{ n: 10 }])
        throw mine
      }),
    )
    expect(error).toBe(mine)
    await leaseBack()
    expect(await scene.marks()).toEqual([])
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

  it('read to its end gives its lease back', async () => {
    expect(await take(open(), () => true)).toBe(10_000)
    await leaseBack()
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it.each([10, 25, 500])('left after %i rows gives its lease back', async (wanted) => {
    await take(open(), (count) => count < wanted)
    await leaseBack()
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it('left by an error of the loop gives its lease back; the error is the same', async () => {
    const mine = new Error('mine')
    const error = await errorOf(
      take(open(), (count) => {
        if (count > 100) throw mine
        return true
      }),
    )
    expect(error).toBe(mine)
    await leaseBack()
    expect(pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it('that fails on the server in the middle gives its lease back', async () => {
    let seen = 0
    const reading = take(open(500), (count) => {
      seen = count
      return true
    })
    expect(await errorOf(reading)).toMatchObject({ code: '22012' })
    expect(seen).toBeGreaterThan(480)
    await leaseBack()
  })

  it('that fails at once gives its lease back', async () => {
    expect(await errorOf(take(open(1), () => true))).toMatchObject({ code: '22012' })
    await leaseBack()
  })

  it('that is never read takes no lease', async () => {
    open()
    expect(pool.stats()).toMatchObject({ leased: 0, created: 0 })
  })
})

describe('a cursor asked for several chunks at once', () => {
  it('has them come in their order, and then its end', async () => {
    const rows = sql.unsafe('select n from generate_series(1, 5) n').cursor(2)[Symbol.asyncIterator]()
    const steps = await within(soon, Promise.all([rows.next(), rows.next(), rows.next(), rows.next()]))
    expect(steps.map(({ value }) => value && [...value])).toEqual([
      [{ n: 1 }, { n: 2 }],
      [{ n: 3 }, { n: 4 }],
      [{ n: 5 }],
      undefined,
    ])
    expect(steps.map(({ done }) => done)).toEqual([false, false, false, true])
    await leaseBack()
  })

  it('has all of them fail with it, and those asked for later', async () => {
    const rows = sql.unsafe('select 1 / (3 - n) as n from generate_series(1, 5) n').cursor(2)[Symbol.asyncIterator]()
    const [first, ...others] = await within(soon, Promise.allSettled([rows.next(), rows.next(), rows.next()]))
    expect(first.status).toBe('fulfilled')
    for (const other of [...others, ...(await within(soon, Promise.allSettled([rows.next()])))]) {
      expect(other).toMatchObject({ status: 'rejected', reason: { code: '22012' } })
    }
    await leaseBack()
  })
})
