// Where reads go when there are replicas, and where all else does: on a real primary with two streaming standbys.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { withReadYourWrites, withResilience } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { LeaseReleasedError, ResilientPostgresDialect, withReplica } from '@moorings/kysely'
import { createClient, createPool, createPools } from '@moorings/postgres'
import { sql } from 'drizzle-orm'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { sql as sql1 } from 'drizzle-orm-1'
import { withReplicas as withReplicas1 } from 'drizzle-orm-1/pg-core'
import { drizzle as drizzle1 } from 'drizzle-orm-1/postgres-js'
import { CamelCasePlugin, Kysely, sql as kyselySql } from 'kysely'
import type postgres from 'postgres'
import { type Replicated, startReplicated } from '../support/replicated.js'
import { until } from '../support/until.js'
import { createMarks, type Schema } from './orms.js'
import { type Reader, type ReadingOrm, readers, replicasOf } from './readers.js'

const resilience = { pool: { min: 0, max: 4, overflow: 0, closeTimeoutMs: 2_000 } }

let servers: Replicated
const open: { close(): Promise<void> }[] = []

beforeAll(async () => {
  servers = await startReplicated({ standbys: 2 })
  await servers.primary.admin.query(createMarks)
}, 120_000)

beforeEach(async () => {
  for (const standby of servers.standbys) await standby.resumeReplay()
  await servers.primary.admin.query('truncate marks')
  await servers.caughtUp()
}, 60_000)

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

afterAll(() => servers?.stop(), 60_000)

const urls = () => servers.standbys.map((standby) => standby.url())

/** After the first check. */
async function opened(orm: ReadingOrm): Promise<Reader> {
  const reader = orm.open(servers.primary.url(), urls(), resilience)
  open.push(reader)
  await reader.pool.start()
  return reader
}

/** The first check has found both of them to do. */
async function checked<Pool extends Reader['pool']>(pool: Pool): Promise<Pool> {
  open.push(pool)
  await pool.start()
  expect(
    replicasOf(pool)
      .stats()
      .replicas.map(({ state }) => state),
  ).toEqual(['fit', 'fit'])
  return pool
}

describe.each(readers)('$name', (orm: ReadingOrm) => {
  it('F3: reads from the standbys in turn, and writes to the primary', async () => {
    const db = await opened(orm)
    const places = []
    for (let count = 0; count < 4; count++) places.push(await db.where())
    expect(places.every(({ standby }) => standby)).toBe(true)
    expect(new Set(places.map(({ port }) => port))).toEqual(new Set(servers.standbys.map(({ server }) => server.port)))
    await db.insert('one')
    await servers.caughtUp()
    expect(await db.marks()).toEqual(['one'])
    expect(await db.whereRaw()).toEqual({ port: servers.primary.server.port, standby: false })
    expect(replicasOf(db.pool).stats()).toMatchObject({ fellBack: 0, afterWrites: 0 })
  })

  it('F3: reads from the primary before it is known how much the standbys show', async () => {
    const db = orm.open(servers.primary.url(), urls(), resilience)
    open.push(db)
    expect(await db.where()).toMatchObject({ standby: false })
    await until(async () => (await db.where()).standby, { what: 'a standby to be read from' })
  })

  it('F3: inside a transaction reads what that has written, on the primary', async () => {
    const db = await opened(orm)
    await db.inTransaction(async () => {
      await db.insert('mine')
      expect(await db.marks()).toEqual(['mine'])
      expect(await db.where()).toMatchObject({ standby: false })
    })
    expect(await db.where()).toMatchObject({ standby: true })
  })

  it('F3: inside a session reads on its connection, on the primary', async () => {
    const db = await opened(orm)
    await db.inSession(async () => {
      await db.insert('mine')
      expect(await db.marks()).toEqual(['mine'])
      expect(await db.where()).toMatchObject({ standby: false })
    })
  })

  it('F3: who has written reads what was written, also where no standby shows it yet', async () => {
    const db = await opened(orm)
    for (const standby of servers.standbys) await standby.pauseReplay()
    await withReadYourWrites(async (scope) => {
      expect(await db.where()).toMatchObject({ standby: true })
      expect(scope.hasWritten).toBe(false)
      await db.insert('mine')
      expect(scope.hasWritten).toBe(true)
      expect(await db.marks()).toEqual(['mine'])
    })
    await withReadYourWrites(async () => {
      await db.inTransaction(() => db.insert('in a transaction'))
      expect(await db.marks()).toEqual(['in a transaction', 'mine'])
    })
    // Nobody else waits for it.
    expect(await db.marks()).toEqual([])
    await withReadYourWrites(async () => expect(await db.marks()).toHaveLength(2), { hasWritten: true })
  })

  it('F3: a transaction that has only read is no write', async () => {
    const db = await opened(orm)
    await withReadYourWrites(async (scope) => {
      await db.inTransaction(() => db.marks())
      expect(scope.hasWritten).toBe(false)
      expect(await db.where()).toMatchObject({ standby: true })
    })
  })

  it('F3: leaves no connection to any server when it is closed', async () => {
    const db = await opened(orm)
    await Promise.all([db.where(), db.where(), db.insert('one')])
    await db.close()
    expect(servers.nodes.map(({ proxy }) => proxy.accepted > 0)).toEqual([true, true, true])
    await until(() => servers.nodes.every(({ proxy }) => proxy.open === 0), { what: 'all connections to end' })
  })
})

describe('drizzle', () => {
  const marks = pgTable('marks', { mark: text('mark') })
  const where = { standby: sql<boolean>`pg_is_in_recovery()` }

  it('F3: has the shape of its own withReplicas, and reads from the primary where that is asked for', async () => {
    const db = drizzle({ connection: servers.primary.url(), schema: { marks }, replicas: urls(), resilience })
    await checked(db.$client.pool)
    await db.insert(marks).values({ mark: 'one' })
    await servers.caughtUp()
    const extras = { standby: sql<boolean>`pg_is_in_recovery()`.as('standby') }
    expect(await db.query.marks.findFirst({ extras })).toEqual({ mark: 'one', standby: true })
    expect(await db.$count(marks)).toBe(1)
    expect(await db.selectDistinct(where).from(marks)).toEqual([{ standby: true }])
    expect(await db.$primary.select(where).from(marks)).toEqual([{ standby: false }])
    expect(await db.$primary.query.marks.findFirst({ extras })).toEqual({ mark: 'one', standby: false })
    expect(await db.transaction((tx) => tx.select(where).from(marks))).toEqual([{ standby: false }])
  })

  it('F3: sends to the primary what a standby cannot carry out, where its own would be refused', async () => {
    const db = drizzle({ connection: servers.primary.url(), replicas: urls(), resilience })
    await checked(db.$client.pool)
    await db.insert(marks).values({ mark: 'one' })
    await servers.caughtUp()
    expect(await db.select(where).from(marks).for('update')).toEqual([{ standby: false }])
    expect(await db.select(where).from(marks).for('key share')).toEqual([{ standby: false }])
    const added = db.$with('added').as(db.$primary.insert(marks).values({ mark: 'two' }).returning())
    expect(await db.with(added).select().from(added)).toEqual([{ mark: 'two' }])
    await db.with(added).delete(marks)
    expect(await db.$primary.$count(marks)).toBe(1)
  })
})

describe('drizzle 1.0', () => {
  it('F3: reads from replicas where its own withReplicas is asked to', async () => {
    const pool = await checked(createPool(servers.primary.url(), { replicas: urls(), resilience }))
    const client = createClient(pool)
    const on = (one: typeof client) => withResilience(drizzle1({ client: one }))
    const db = withReplicas1(on(client), [on(client.on(replicasOf(pool)))])
    const where = { standby: sql1<boolean>`pg_is_in_recovery()` }
    const one = sql1`(values (1)) as one`
    expect(await db.select(where).from(one)).toEqual([{ standby: false }])
    expect(await db.$replica.select(where).from(one)).toEqual([{ standby: true }])
    expect(await db.transaction((tx) => tx.select(where).from(one))).toEqual([{ standby: false }])
  })
})

describe('kysely', () => {
  async function databases() {
    const dialect = new ResilientPostgresDialect({ connection: servers.primary.url(), replicas: urls(), resilience })
    await checked(dialect.pool)
    const db = new Kysely<Schema>({ dialect })
    return { db, reading: withReplica(db), pool: dialect.pool }
  }
  const standby = kyselySql<boolean>`pg_is_in_recovery()`.as('standby')

  it('F3: reads from the primary on the database itself', async () => {
    const { db } = await databases()
    expect(await db.selectNoFrom(standby).execute()).toEqual([{ standby: false }])
  })

  it('F3: sends to the primary what a standby cannot carry out', async () => {
    const { reading } = await databases()
    await reading.insertInto('marks').values({ mark: 'one' }).execute()
    await servers.caughtUp()
    const rows = reading.selectFrom('marks').select(standby)
    expect(await rows.execute()).toEqual([{ standby: true }])
    expect(await rows.forUpdate().execute()).toEqual([{ standby: false }])
    expect(await rows.modifyEnd(kyselySql`for share`).execute()).toEqual([{ standby: false }])
    const added = reading
      .with('added', (qb) => qb.insertInto('marks').values({ mark: 'two' }).returning('mark'))
      .selectFrom('added')
      .select('mark')
    expect(await added.execute()).toEqual([{ mark: 'two' }])
    expect(
      await reading.selectNoFrom(kyselySql<string>`pg_advisory_xact_lock(1)::text`.as('lock')).execute(),
    ).toHaveLength(1)
  })

  it('F3: reads from a replica through other plugins and schemas, wherever they were added', async () => {
    const { db, reading } = await databases()
    for (const one of [reading.withSchema('pg_catalog'), withReplica(db.withSchema('pg_catalog'))]) {
      const found = one.withPlugin(new CamelCasePlugin()).withTables<{ pgNamespace: { nspname: string } }>()
      const rows = await found
        .selectFrom('pgNamespace')
        .select(['nspname', standby])
        .where('nspname', '=', 'public')
        .execute()
      expect(rows).toEqual([{ nspname: 'public', standby: true }])
    }
  })

  it('F3: streams from a replica, and gives its connection back', async () => {
    const { reading, pool } = await databases()
    const rows = []
    const series = kyselySql<{ n: number }>`generate_series(1, 5)`.as<'s'>(kyselySql`s(n)`)
    for await (const row of reading.selectFrom(series).select(['s.n', standby]).stream(2)) {
      rows.push(row)
      if (rows.length === 3) break
    }
    expect(rows).toEqual([1, 2, 3].map((n) => ({ n, standby: true })))
    for (const { stats } of replicasOf(pool).pools.map((one) => ({ stats: one.stats() }))) expect(stats.leased).toBe(0)
  })

  it('F3: on one connection reads where that is, once something else was done on it', async () => {
    const { reading, pool } = await databases()
    await reading.connection().execute(async (one) => {
      expect(await one.selectNoFrom(standby).execute()).toEqual([{ standby: true }])
      await kyselySql`set application_name = 'pinned'`.execute(one)
      expect(
        await one.selectNoFrom([standby, kyselySql<string>`current_setting('application_name')`.as('name')]).execute(),
      ).toEqual([{ standby: false, name: 'pinned' }])
    })
    await until(() => pool.stats().leased === 0, { what: 'the connection to come back' })
  })

  it('F3: a connection reads nothing any more after it was given back', async () => {
    const { reading } = await databases()
    let kept = reading
    await reading.connection().execute(async (one) => {
      kept = one
    })
    await expect(kept.selectNoFrom(standby).execute()).rejects.toBeInstanceOf(LeaseReleasedError)
  })

  it('F3: in its own transaction reads there', async () => {
    const { reading } = await databases()
    await reading.transaction().execute(async (tx) => {
      expect(await tx.selectNoFrom(standby).execute()).toEqual([{ standby: false }])
      expect(await withReplica(tx).selectNoFrom(standby).execute()).toEqual([{ standby: false }])
    })
  })

  it('F3: a read that its signal aborts is ended on the replica', async () => {
    const { reading, pool } = await databases()
    const abort = new AbortController()
    const sleeping = reading.selectNoFrom(kyselySql<string>`pg_sleep(60)::text`.as('slept'))
    const read = sleeping.execute({ signal: abort.signal, inflightQueryAbortStrategy: 'cancel query' })
    read.catch(() => {})
    const [first, second] = servers.standbys
    const asleep = async () => {
      const found = await Promise.all(
        [first, second].map((one) =>
          one?.admin.query(`select from pg_stat_activity where query like 'select pg_sleep(60)%'
          and state = 'active'`),
        ),
      )
      return found.flatMap((rows) => rows ?? []).length
    }
    await until(async () => (await asleep()) === 1, { what: 'the read to begin' })
    abort.abort()
    await expect(read).rejects.toThrow()
    await until(async () => (await asleep()) === 0, { what: 'the read to end' })
    await until(() => replicasOf(pool).pools.every((one) => one.stats().leased === 0), {
      what: 'its connection to be back',
    })
  })
})

describe('a client on the replicas', () => {
  it('F3: begins sessions and transactions on the primary, inside of a session as parts of that', async () => {
    const pool = await checked(createPool(servers.primary.url(), { replicas: urls(), resilience }))
    const client = createClient(pool)
    const reading = client.on(replicasOf(pool))
    const backend = async (sql: postgres.ISql) =>
      (
        await sql<{ pid: number; standby: boolean }[]>`select pg_backend_pid() as pid, pg_is_in_recovery() as standby`
      )[0]
    await client.session({}, async (session) => {
      const here = await backend(session)
      expect(here).toMatchObject({ standby: false })
      expect(await backend(reading)).toEqual(here)
      expect(await reading.session({}, backend)).toEqual(here)
      expect(await reading.begin(backend)).toEqual(here)
    })
    expect(await reading.session({}, backend)).toMatchObject({ standby: false })
    expect(await backend(reading)).toMatchObject({ standby: true })
  })
})

describe('several pools', () => {
  it('F3: each have replicas of their own', async () => {
    const pools = createPools({ shop: { connection: servers.primary.url(), replicas: urls(), resilience } })
    open.push(pools)
    await pools.start()
    const pool = pools.get('shop')
    const sql = createClient(pool)
    expect(await sql.on(replicasOf(pool))`select pg_is_in_recovery() as standby`).toMatchObject([{ standby: true }])
    expect(replicasOf(pool).pools.map(({ name }) => name)).toEqual(['shop replica 1', 'shop replica 2'])
  })
})

describe('values', () => {
  it('F3: of types that the primary’s connections have learnt are read from replicas, and the other way round', async () => {
    await servers.primary.admin.query(`create type mood as enum ('calm', 'rough'); create table moods (all_of mood[]);
      insert into moods values ('{calm,rough}')`)
    await servers.caughtUp()
    const pool = await checked(createPool(servers.primary.url(), { replicas: urls(), resilience }))
    const sql = createClient(pool)
    const reading = sql.on(replicasOf(pool))
    expect(await reading`select all_of from moods`).toMatchObject([{ all_of: ['calm', 'rough'] }])
    expect(await sql`select all_of from moods`).toMatchObject([{ all_of: ['calm', 'rough'] }])
  })

  it('F3: and lag are known to a user without any privilege', async () => {
    await servers.primary.admin.query(`create role nobody_special login password 'x'`)
    await servers.caughtUp()
    const as = (url: string) => {
      const own = new URL(url)
      own.username = 'nobody_special'
      own.password = 'x'
      return own.href
    }
    const pool = createPool(as(servers.primary.url()), { replicas: urls().map(as), resilience })
    await checked(pool)
    expect(replicasOf(pool).stats().replicas[0]?.lagMs).toBeDefined()
  })
})
