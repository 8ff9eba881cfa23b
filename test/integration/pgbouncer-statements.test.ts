// F6: statements behind PgBouncer in transaction mode: each may meet another backend. Prepared statements, which 1.18 does not
// keep, are given up on the way to it; what would be left on a session is refused; what PgBouncer refuses is said at once.

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from '@jest/globals'
import { AuthenticationError, ConnectError, PoolerError, StatementTimeoutError } from '@moorings/core'
import { withAdvisoryLock as drizzleLock } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { withAdvisoryLock as kyselyLock, ResilientPostgresDialect } from '@moorings/kysely'
import { createClient, createPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import { until } from '../support/until.js'
import { describeBehindPgbouncer } from '../support/use-pgbouncer.js'
import { eventsOf } from './events.js'
import { backendOf, type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, gate, useScene, within } from './scene.js'
import { stayingOrms } from './sessions-orms.js'

const scene = useScene()
const soon = 20_000
const several = { pool: { min: 0, max: 8, overflow: 0, acquireTimeoutMs: soon } }

/** What nobody has sent past PgBouncer cannot have been left there. */
const locks = `
  select 1 from pg_locks
  where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`

describeBehindPgbouncer(
  'behind PgBouncer in transaction mode',
  (pooler) => {
    const url = () => pooler().through(scene.directUrl)
    const open = (orm: Orm, options: ResilienceOptions = {}) => scene.open(orm, { ...several, ...options }, url())
    const client = (options: ResilienceOptions = {}) => createClient(open(orms[0] as Orm, options).pool)

    describe.each(orms)('$name', (orm) => {
      it('F6: more statements at once than there are backends are all answered, each with its own', async () => {
        const db = open(orm)
        const found = eventsOf(scene, db.pool, 'moorings:pooler:found')
        const numbers = Array.from({ length: 60 }, (_, n) => n)
        const answers = await Promise.all(numbers.map((n) => db.query(`select ${n} as n, pg_sleep(0.002)`)))
        expect(answers.map(([row]) => row?.n)).toEqual(numbers)
        await Promise.all(numbers.map((n) => db.insert(String(n))))
        expect((await scene.marks()).length).toBe(60)
        // Also where others come later.
        db.pool.invalidate()
        await db.query('select 1')
        expect(found).toMatchObject([{ endpoint: `127.0.0.1:${pooler().port}` }])
      })

      it('F6: a statement that takes too long is stopped on the server, and no other', async () => {
        const db = open(orm)
        const impatient = open(orm, { statement: { timeoutMs: 200 } })
        const patient = db.query('select 7 as n, pg_sleep(1)')
        expect(await errorOf(impatient.query('select pg_sleep(60)'))).toBeInstanceOf(StatementTimeoutError)
        const asleep = async () => (await scene.backends()).filter(({ query }) => query.includes('pg_sleep(60)'))
        await until(async () => (await asleep()).every(({ state }) => state === 'idle'), { what: 'it to be stopped' })
        expect(await patient).toMatchObject([{ n: 7 }])
        expect(await impatient.query('select 1 as n')).toEqual([{ n: 1 }])
      })

      it('F6: what would be left on a session is refused, and nothing of it is sent', async () => {
        const db = open(orm)
        for (const [text, needs] of [
          ['select pg_advisory_lock(1)', 'locks'],
          ['listen orders', 'listens'],
          ['set search_path = nowhere', 'settings'],
          ['create temp table leftover (n int)', 'temporary-tables'],
          ['declare c cursor with hold for select 1', 'cursors'],
        ] as const) {
          const error = await errorOf(db.query(text))
          expect(error).toBeInstanceOf(PoolerError)
          expect(error).toMatchObject({ kind: 'session', needs })
        }
        expect(await errorOf(db.transaction((tx) => tx.query('set role nobody')))).toBeInstanceOf(PoolerError)
        expect(await scene.admin.query(locks)).toEqual([])
        expect(await db.query("select to_regclass('pg_temp.leftover') as temp")).toEqual([{ temp: null }])
        expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 0 })
      })

      it('F6: with behindPooler: allow nothing is refused', async () => {
        const db = open(orm, { session: { behindPooler: 'allow' } })
        await db.query("set application_name = 'scene'; set lock_timeout = 0")
        await db.query('listen orders')
      })

      it('F6: a setting that PgBouncer takes from no client is named at once, with what to do about it', async () => {
        for (const name of ['statement_timeout', 'options', 'search_path']) {
          const wrong = new URL(url())
          wrong.searchParams.set(name, 'x')
          const error = await within(soon / 2, errorOf(scene.open(orm, several, wrong.href).query('select 1')))
          expect(error).toBeInstanceOf(ConnectError)
          expect(error).toMatchObject({ retry: 'never', code: '08P01' })
          expect(String(error)).toContain(`ignore_startup_parameters = ${name}`)
        }
      })

      it('F6: wrong credentials and an unknown database are told at once', async () => {
        const wrong = (change: (url: URL) => void) => {
          const changed = new URL(url())
          change(changed)
          return within(soon / 2, errorOf(scene.open(orm, several, changed.href).query('select 1')))
        }
        const password = await wrong((changed) => {
          changed.password = 'wrong'
        })
        const user = await wrong((changed) => {
          changed.username = 'nobody'
        })
        const database = await wrong((changed) => {
          changed.pathname = '/nowhere'
        })
        expect(password).toBeInstanceOf(AuthenticationError)
        expect(user).toBeInstanceOf(AuthenticationError)
        expect(database).toMatchObject({ name: 'ConnectError', retry: 'never' })
      })
    })

    describe.each(stayingOrms)('$name', (orm) => {
      it('F6: a session is refused with its first statement, and a transaction is not', async () => {
        const db = scene.closing(orm.open(url(), several))
        const error = await errorOf(db.withSession((on) => on.query('select 1')))
        expect(error).toBeInstanceOf(PoolerError)
        expect(String(error)).toContain('pg_advisory_xact_lock()')
        await db.transaction(async (tx) => {
          await tx.query('select pg_advisory_xact_lock(1)')
          await tx.query('create temp table here (n int) on commit drop')
          await tx.query("set local search_path = 'public'")
          await tx.query('select count(*) from here')
        })
        expect(db.pool.stats()).toMatchObject({ leased: 0, sessions: [] })
      })
    })

    it('F6: a setting that PgBouncer keeps for a client is undone, and what ended with its transaction is not', async () => {
      const through = scene.proxy.through(pooler().through(scene.directUrl))
      scene.proxy.leadTo(pooler())
      const pool = scene.closing(createPool(through, { resilience: { pool: { min: 0, max: 1, overflow: 0 } } }))
      const sql = createClient(pool)
      const zone = async () => (await sql`show timezone`)[0]?.TimeZone
      const usual = await zone()
      const reserved = await sql.reserve()
      await reserved`set timezone to 'Pacific/Chatham'`
      expect([...(await reserved`show timezone`)]).toEqual([{ TimeZone: 'Pacific/Chatham' }])
      reserved.release()
      expect(await zone()).toBe(usual)
      const before = scene.proxy.statements.length
      await sql.begin((tx) => tx`create temp table here (n int) on commit drop`)
      expect(await zone()).toBe(usual)
      expect(scene.proxy.statements.slice(before).filter((text) => /discard|reset|unlisten/.test(text))).toEqual([])
    })

    it('F6: an advisory lock is refused, and its work is not done', async () => {
      const { pool } = client()
      const done: string[] = []
      const kysely = new Kysely({ dialect: new ResilientPostgresDialect({ client: pool }) })
      for (const attempt of [
        drizzleLock(drizzle({ client: pool }), 'import', () => done.push('drizzle')),
        kyselyLock(kysely, 'import', () => done.push('kysely')),
      ]) {
        expect(await errorOf(attempt)).toMatchObject({ name: 'PoolerError', needs: 'session' })
      }
      expect(done).toEqual([])
      expect(await scene.admin.query(locks)).toEqual([])
    })

    it('F6: what listens hears at once that it would hear nothing, and keeps no connection', async () => {
      scene.proxy.leadTo(pooler())
      const sql = createClient(scene.open(orms[0] as Orm, several, scene.proxy.through(scene.directUrl)).pool)
      for (let n = 0; n < 2; n++) {
        const error = await within(soon, errorOf(sql.listen('orders', () => {})))
        expect(error).toMatchObject({ name: 'PoolerError', needs: 'listens' })
      }
      await until(() => scene.proxy.open === 0, { what: 'its connections to be closed' })
    })

    it('F6: a stream is one transaction, and other statements go on beside it', async () => {
      const sql = client()
      let rows = 0
      for await (const chunk of sql`select n from generate_series(1, ${1_000}::int) as n`.cursor(100)) {
        rows += chunk.length
        const [beside] = await sql`select ${rows}::int as n`
        expect(beside?.n).toBe(rows)
      }
      expect(rows).toBe(1_000)
    })

    it('F6: COPY goes through in both directions', async () => {
      const sql = client()
      await pipeline(Readable.from(['one\n', 'two\n']), await sql`copy marks from stdin`.writable())
      const read: unknown[] = []
      for await (const chunk of await sql`copy marks to stdout`.readable()) read.push(chunk)
      expect(Buffer.concat(read.filter(Buffer.isBuffer)).toString()).toBe('one\ntwo\n')
    })

    it('F6: a set-up that sets something for the session is told at once', async () => {
      const sql = client({ pool: { ...several.pool, onConnect: 'set lock_timeout = 5000' } })
      const error = await within(soon / 2, errorOf(sql`select 1`))
      expect(error).toMatchObject({ name: 'ConnectError', retry: 'never', cause: { name: 'PoolerError' } })
    })

    /** Prepared on one backend, which is taken then. */
    async function elsewhere<T>(sql: ReturnType<typeof client>, work: () => Promise<T>): Promise<T> {
      const other = open(orms[0] as Orm)
      const end = gate()
      let taken: Promise<void> | undefined
      await new Promise<void>((resolve, reject) => {
        taken = other.transaction(async (tx) => {
          await backendOf(tx)
          resolve()
          await end.opened
        })
        taken.catch(reject)
      })
      try {
        return await work()
      } finally {
        end.open()
        await taken
        await sql.end()
      }
    }
    const asked = (sql: Pick<ReturnType<typeof client>, 'unsafe'>, n: number) =>
      sql.unsafe('select $1::int as n', [n], { prepare: true })
    const single = { pool: { min: 0, max: 1, overflow: 0 } }

    it('F6: a prepared statement that is not found again is run again, and nothing is prepared any more', async () => {
      const sql = client(single)
      const disabled = eventsOf(scene, sql.pool, 'moorings:prepare:disabled')
      expect([...(await asked(sql, 1))]).toEqual([{ n: 1 }])
      await elsewhere(sql, async () => {
        expect([...(await asked(sql, 2))]).toEqual([{ n: 2 }])
        expect(disabled).toMatchObject([{ endpoint: `127.0.0.1:${pooler().port}`, error: { code: '26000' } }])
        for (const n of [3, 4]) expect([...(await asked(sql, n))]).toEqual([{ n }])
        const left = await sql`select name from pg_prepared_statements where statement like '%::int as n'`
        expect([...left]).toEqual([])
        expect(disabled).toHaveLength(1)
      })
    })

    it('F6: in a transaction that ends it, and the transaction is run again without', async () => {
      const sql = client({ ...single, transaction: { retry: { initialDelayMs: 1 } } })
      const retried = eventsOf(scene, sql.pool, 'moorings:transaction:retried')
      await asked(sql, 1)
      await elsewhere(sql, async () => {
        const result = await sql.transaction({}, async (tx) => {
          await tx`insert into marks values ('once')`
          return [...(await asked(tx, 5))]
        })
        expect(result).toEqual([{ n: 5 }])
        expect(retried).toMatchObject([{ attempt: 1, error: { code: '26000' } }])
      })
      expect(await scene.marks()).toEqual(['once'])
    })
  },
  { poolSize: 2 },
)

describeBehindPgbouncer(
  'behind PgBouncer in session mode',
  (pooler) => {
    const url = () => pooler().through(scene.directUrl)

    it.each(stayingOrms)('F6: $name: sessions are whole, and what is left on them is undone', async (orm) => {
      const db = scene.closing(orm.open(url(), { pool: { min: 0, max: 1, overflow: 0 } }))
      const found = eventsOf(scene, db.pool, 'moorings:pooler:found')
      const seen = await db.withSession(async (on) => {
        await on.query('set search_path = elsewhere')
        await on.query('create temp table here (n int)')
        return on.query('show search_path')
      })
      expect(seen).toEqual([{ search_path: 'elsewhere' }])
      expect(await db.query("select current_setting('search_path') <> 'elsewhere' as reset")).toEqual([{ reset: true }])
      expect(found).toEqual([])
    })

    it('F6: what is notified is heard', async () => {
      const sql = createClient(scene.open(orms[0] as Orm, several, url()).pool)
      const heard: string[] = []
      await sql.listen('orders', (payload) => heard.push(payload))
      await sql.notify('orders', 'one')
      await until(() => heard.length > 0, { what: 'it to be heard' })
      expect(heard).toEqual(['one'])
    })
  },
  { poolMode: 'session' },
)

describeBehindPgbouncer(
  'behind PgBouncer in session mode that has no other backend',
  (pooler) => {
    it.each(stayingOrms)('F6: $name: sessions are not refused for want of proof', async (orm) => {
      const url = pooler().through(scene.directUrl)
      const db = scene.closing(orm.open(url, { pool: { min: 0, max: 1, overflow: 0 } }))
      expect(
        await within(
          soon,
          db.withSession((on) => on.query('select 1 as n')),
        ),
      ).toEqual([{ n: 1 }])
    })
  },
  { poolMode: 'session', poolSize: 1 },
)
