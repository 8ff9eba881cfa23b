// What is sent again, seen through what each ORM and the client offer: builders, values, connections held for more than one
// statement, streams, sessions, `query.cancel()`.

import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '@moorings/core'
import { idempotent as drizzleIdempotent } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { idempotent as kyselyIdempotent, ResilientPostgresDialect } from '@moorings/kysely'
import { createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { boolean, integer, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import { Kysely, sql as kyselySql } from 'kysely'
import { executes, type Matcher } from '../support/matchers.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import type { ResilienceOptions } from './orms.js'
import { errorOf, useScene, within } from './scene.js'
import { stayingOrms } from './sessions-orms.js'

const scene = useScene()
const single = { min: 0, max: 1, overflow: 0 }
const soon = 15_000

const values = pgTable('valued', {
  id: integer('id').primaryKey(),
  yes: boolean('yes'),
  at: timestamp('at', { withTimezone: true }),
  tags: text('tags').array(),
  data: jsonb('data').$type<{ quote: string }>(),
})
const row = { id: 1, yes: true, at: new Date(1_700_000_000_123), tags: ['a"b', '{c}'], data: { quote: '"' } }

interface Tables {
  valued: { id: number; yes: boolean; at: Date; tags: string[]; data: string }
}

beforeAll(async () => {
  await scene.admin.query(
    'create table valued (id int primary key, yes boolean, at timestamptz, tags text[], data jsonb)',
  )
})
beforeEach(async () => {
  await scene.admin.query('truncate valued')
})

async function pooled(resilience: ResilienceOptions = {}): Promise<PostgresPool> {
  const pool = createPool(scene.url, { resilience: { pool: single, transaction: { retry: false }, ...resilience } })
  scene.closing(pool)
  await pool.start()
  return pool
}

function kyselyOn(pool: PostgresPool): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new ResilientPostgresDialect({ client: pool }) })
}

/** The next request to carry out something like this does not arrive. */
function loseRequest(pattern: RegExp, times = 1) {
  return scene.proxy.cutWhen({ direction: 'to-server', when: 'before', how: 'reset', match: executes(pattern), times })
}

const parsed: Matcher = ({ name }) => name === 'Parse'

/** The next one that has parameters is cut off before it is carried out. */
function loseDescription(times = 1) {
  return scene.proxy.cutWhen({ direction: 'to-server', when: 'before', how: 'reset', match: parsed, times })
}

const stored = () => scene.admin.query('select id, yes, at, tags, data from valued')

describe('drizzle', () => {
  it('a builder that nobody has awaited yet is idempotent, and its values are written anew for each connection', async () => {
    const db = drizzle({ client: await pooled() })
    // Its values were written for the first connection by then.
    const cut = loseRequest(/insert/)
    await drizzleIdempotent(() => db.insert(values).values(row).onConflictDoNothing())
    expect(cut.fired).toBe(1)
    expect(await stored()).toEqual([row])
    expect(db.$client.pool.stats().statements.resent).toBe(1)
  })

  it('a prepared query is read again with its own mapping', async () => {
    const pool = await pooled({ statement: { idempotentReads: true } })
    const db = drizzle({ client: pool })
    await db.insert(values).values(row)
    const query = db.select().from(values).prepare('reading')
    expect(await query.execute()).toEqual([row])
    const cut = loseRequest(/select/)
    expect(await query.execute()).toEqual([row])
    expect([cut.fired, pool.stats().statements.resent]).toEqual([1, 1])
  })
})

describe('kysely', () => {
  it('a builder is idempotent, and its values are written anew for each connection', async () => {
    const pool = await pooled()
    const db = kyselyOn(pool)
    const cut = loseRequest(/insert/)
    const insert = db.insertInto('valued').values({ ...row, data: JSON.stringify(row.data) })
    const result = await kyselyIdempotent(() => insert.onConflict((on) => on.doNothing()).executeTakeFirst())
    expect(result.numInsertedOrUpdatedRows).toBe(1n)
    expect(cut.fired).toBe(1)
    expect(await stored()).toEqual([row])
    expect(pool.stats().statements.resent).toBe(1)
  })

  const reading = { statement: { idempotentReads: true } }

  it('db.connection(): its first statement is sent again, and what follows is on that connection', async () => {
    const pool = await pooled(reading)
    const cut = loseRequest(/^select 1/)
    const pids = await kyselyOn(pool)
      .connection()
      .execute(async (db) => {
        await kyselySql`select 1`.execute(db)
        const ask = () => kyselySql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db)
        return [(await ask()).rows[0]?.pid, (await ask()).rows[0]?.pid]
      })
    expect([cut.fired, pool.stats().statements.resent]).toEqual([1, 1])
    expect(pids[0]).toBe(pids[1])
    expect(pool.stats()).toMatchObject({ leased: 0, created: 2 })
  })

  it.each([
    ['may have been carried out', () => loseRequest(/^select 2/)],
    ['surely was not', loseDescription],
  ])(
    'db.connection(): its second statement is not, as it would miss what the first has left: %s',
    async (_, cutOff) => {
      const pool = await pooled(reading)
      const error = await errorOf(
        kyselyOn(pool)
          .connection()
          .execute(async (db) => {
            await kyselySql.raw(`set app.tenant = '7'`).execute(db)
            cutOff()
            await kyselyIdempotent(() => kyselySql`select 2, ${3}::int`.execute(db))
          }),
      )
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(pool.stats()).toMatchObject({ leased: 0, created: 1, statements: { resent: 0 } })
    },
  )

  it('db.connection(): two statements at once are not, as one may have left what the other needs', async () => {
    const pool = await pooled(reading)
    const [first, second] = await kyselyOn(pool)
      .connection()
      .execute(async (db) => {
        const set = kyselySql.raw(`set app.tenant = '7'`).execute(db)
        loseRequest(/^select current/)
        const read = errorOf(kyselySql.raw(`select current_setting('app.tenant')`).execute(db))
        return [(await set).rows, await read]
      })
    expect(first).toEqual([])
    expect(second).toBeInstanceOf(ConnectionLostError)
    expect(pool.stats()).toMatchObject({ leased: 0, created: 1, statements: { resent: 0 } })
  })

  it('a transaction that was begun by hand is not moved', async () => {
    const pool = await pooled(reading)
    const trx = await kyselyOn(pool).startTransaction().execute()
    loseRequest(/^select 1/)
    expect(await errorOf(kyselySql`select 1`.execute(trx))).toBeInstanceOf(ConnectionLostError)
    await trx.rollback().execute()
    expect(pool.stats()).toMatchObject({ leased: 0, created: 1, statements: { resent: 0 } })
  })

  it('a stream is not', async () => {
    const pool = await pooled(reading)
    loseDescription()
    const read = async () => {
      for await (const _ of kyselyOn(pool).selectFrom('valued').selectAll().where('id', '>', 0).stream(2)) {
        // There is nothing to be seen.
      }
    }
    expect(await errorOf(kyselyIdempotent(read))).toBeInstanceOf(ConnectionLostError)
    expect(pool.stats()).toMatchObject({ leased: 0, statements: { resent: 0 } })
  })
})

describe('the client', () => {
  it('a tagged template with fragments is sent again as it was', async () => {
    const pool = await pooled()
    const sql = createClient(pool)
    const where = sql`where n > ${2} and ${sql('n')} < ${5}`
    loseDescription()
    const rows = await sql`select n::int, ${'x'} as x from generate_series(1, ${9}::int) n ${where}`
    expect([...rows]).toEqual([3, 4].map((n) => ({ n, x: 'x' })))
    expect(pool.stats().statements.resent).toBe(1)
  })

  it('values() and raw() keep what they ask for', async () => {
    const sql = createClient(await pooled())
    loseDescription(2)
    expect([...(await sql`select ${7}::int as n`.values())]).toEqual([[7]])
    loseDescription()
    const [raw] = await sql`select ${'x'}::text as x`.raw()
    expect(raw).toEqual([Buffer.from('x')])
  })

  it('query.cancel() reaches it where it is now', async () => {
    const pool = await pooled({ statement: { idempotentReads: true } })
    const sql = createClient(pool)
    const cut = loseRequest(/pg_sleep/, 2)
    const query = sql`select pg_sleep(60)`
    const error = errorOf(query)
    const asleep = async () => (await scene.backends()).some(({ wait_event }) => wait_event === 'PgSleep')
    await until(asleep, { what: 'its third try' })
    query.cancel()
    expect(await within(soon, error)).toMatchObject({ name: 'StatementCancelledError' })
    expect(cut.fired).toBe(2)
    expect(await sql`select 1 as n`).toEqual([{ n: 1 }])
  })

  it('query.cancel() while it waits for another connection: it is not sent', async () => {
    const pool = await pooled()
    const sql = createClient(pool)
    const resent = eventsOf(scene, pool, 'moorings:statement:resent')
    loseDescription()
    scene.proxy.refuse()
    const query = sql`insert into marks values (${'never'})`
    const error = errorOf(query)
    await until(() => resent.length === 1, { what: 'it to be sent again' })
    query.cancel()
    expect(await within(soon, error)).toMatchObject({ name: 'StatementCancelledError' })
    await scene.proxy.restore()
    expect(await sql`select 1 as n`).toEqual([{ n: 1 }])
    expect([await scene.marks(), pool.stats().leased]).toEqual([[], 0])
  })

  it.each<[string, (sql: ReturnType<typeof createClient>, seen: unknown[]) => Promise<unknown>]>([
    ['a cursor', (sql, seen) => sql`select generate_series(1, ${9}::int)`.cursor(2, (rows) => void seen.push(...rows))],
    ['forEach', (sql, seen) => sql`select generate_series(1, ${9}::int)`.forEach((each) => void seen.push(each))],
    ['a COPY', async (sql) => sql`copy marks to stdout`.readable()],
    [
      'a reserved connection',
      async (sql) => {
        const reserved = await sql.reserve()
        try {
          await reserved`select ${1}::int`
        } finally {
          reserved.release()
        }
      },
    ],
    ['a transaction', (sql) => sql.begin((tx) => tx`select ${1}::int`)],
  ])('%s is not sent again', async (_, use) => {
    const pool = await pooled({ statement: { idempotentReads: true } })
    const seen: unknown[] = []
    scene.proxy.cutWhen({
      direction: 'to-server',
      when: 'before',
      how: 'reset',
      match: (message, state) => parsed(message, state) || executes(/copy/)(message, state),
    })
    const error = await errorOf(drizzleIdempotent(() => use(createClient(pool), seen)))
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(seen).toEqual([])
    expect(pool.stats()).toMatchObject({ leased: 0, statements: { resent: 0 } })
  })
})

describe.each(stayingOrms)('$name', (orm) => {
  it('in a session nothing is sent again: what was on its connection is gone', async () => {
    const pool = await pooled({ statement: { idempotentReads: true } })
    const db = orm.open(pool)
    const error = await errorOf(
      db.withSession(async (session) => {
        await session.query(`set app.tenant = '7'`)
        loseRequest(/current_setting/)
        await drizzleIdempotent(() => session.query(`select current_setting('app.tenant')`))
      }),
    )
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(pool.stats()).toMatchObject({ leased: 0, created: 1, statements: { resent: 0 } })
  })
})
