// T14: withAdvisoryLock() on a real server: who holds a lock, who waits, for how long, and when it is free again.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, InvalidOptionsError, LockTimeoutError, PropagationError } from '@moorings/core'
import { type AdvisoryLockKey, type AdvisoryLockOptions, withAdvisoryLock as drizzleLock } from '@moorings/drizzle'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import { withAdvisoryLock as kyselyLock, ResilientPostgresDialect, type SessionContext } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql } from 'kysely'
import { killBackends } from '../support/admin.js'
import { isCommit } from '../support/matchers.js'
import { until } from '../support/until.js'
import type { ResilienceOptions, Schema } from './orms.js'
import { errorOf, gate, useScene, within } from './scene.js'

const scene = useScene()

interface Locking {
  readonly pool: PostgresPool
  query(text: string): Promise<Record<string, unknown>[]>
  withLock<T>(
    key: AdvisoryLockKey,
    body: (db: Locking, context: SessionContext) => Promise<T> | T,
    options?: AdvisoryLockOptions,
  ): Promise<T>
  transaction<T>(body: () => Promise<T>): Promise<T>
}

function onDrizzle(pool: PostgresPool, db: Omit<ResilientDatabase, '$client'>): Locking {
  return {
    pool,
    query: async (text) => [...(await db.execute(text))],
    withLock: (key, body, options) =>
      drizzleLock(db, key, (on, context) => body(onDrizzle(pool, on), context), options),
    transaction: (body) => db.transaction(body),
  }
}

function onKysely(pool: PostgresPool, db: Kysely<Schema>): Locking {
  return {
    pool,
    query: async (text) => (await sql.raw<Record<string, unknown>>(text).execute(db)).rows,
    withLock: (key, body, options) => kyselyLock(db, key, (on, context) => body(onKysely(pool, on), context), options),
    transaction: (body) => db.transaction().execute(body),
  }
}

const orms = [
  ['drizzle', (pool: PostgresPool) => onDrizzle(pool, drizzle({ client: pool }))],
  [
    'kysely',
    (pool: PostgresPool) =>
      onKysely(pool, new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })),
  ],
] as const

/** The keys that are held, as the server has them: two halves of 32 bits. */
async function held(): Promise<string[]> {
  const rows = await scene.admin.query<{ key: string }>(
    `select ((classid::bigint << 32) | objid::bigint)::text as key from pg_locks
      where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())
      order by 1`,
  )
  return rows.map(({ key }) => key)
}

const waiting = async () =>
  (
    await scene.admin.query(
      "select 1 from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())",
    )
  ).length

describe.each(orms)('%s', (_, on) => {
  const open = (resilience: ResilienceOptions = {}) =>
    on(
      scene.closing(
        createPool(scene.url, {
          resilience: { ...resilience, pool: { min: 0, max: 4, overflow: 0, ...resilience.pool } },
        }),
      ),
    )

  it('T14: a lock is held while its work is done, on the connection that the work is done on, and free afterwards', async () => {
    const db = open()
    const result = await db.withLock(14, async (inside) => {
      expect(await held()).toEqual(['14'])
      const own = "select count(*)::int as n from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
      for (const handle of [inside, db]) expect(await handle.query(own)).toEqual([{ n: 1 }])
      expect(db.pool.stats().sessions).toMatchObject([{ name: 'advisory lock 14' }])
      return 'done'
    })
    expect(result).toBe('done')
    expect(await held()).toEqual([])
    expect(await errorOf(db.withLock(14, () => Promise.reject(new Error('no'))))).toMatchObject({ message: 'no' })
    expect(await held()).toEqual([])
  })

  it('T14: one at a time does the work, in every process', async () => {
    const dbs = [open(), open()]
    let inside = 0
    let most = 0
    const work = async (db: Locking) => {
      inside++
      most = Math.max(most, inside)
      await db.query('select pg_sleep(0.01)')
      inside--
    }
    await within(20_000, Promise.all(Array.from({ length: 12 }, (_, i) => dbs[i % 2]?.withLock('one at a time', work))))
    expect(most).toBe(1)
    expect(await held()).toEqual([])
  })

  it('T14: those who share it hold it together, and keep out who does not', async () => {
    const db = open()
    await db.withLock(
      'shared',
      async () => {
        await open().withLock('shared', async () => expect(await held()).toHaveLength(2), {
          shared: true,
          timeoutMs: 5_000,
        })
        const alone = open().withLock('shared', () => {}, { wait: false })
        expect(await errorOf(alone)).toBeInstanceOf(LockTimeoutError)
      },
      { shared: true },
    )
    expect(await held()).toEqual([])
  })

  it('T14: whoever waits gets it when it is free', async () => {
    const db = open()
    const go = gate()
    const order: string[] = []
    const first = db.withLock('queue', async () => {
      order.push('first')
      await go.opened
      order.push('first ends')
    })
    await until(async () => (await held()).length === 1, { what: 'the lock to be held' })
    const second = open().withLock('queue', () => order.push('second'), { timeoutMs: 10_000 })
    await until(async () => (await waiting()) === 1, { what: 'the other one to wait' })
    go.open()
    await within(5_000, Promise.all([first, second]))
    expect(order).toEqual(['first', 'first ends', 'second'])
  })

  it.each([
    ['in time', { timeoutMs: 100 }, /^The advisory lock 'busy' \(-?\d+\) was not had within 100 ms/],
    ['at once', { wait: false }, /^The advisory lock 'busy' \(-?\d+\) was not to be had at once/],
  ] as const)('T14: who does not get it %s is told which, and does not run', async (_, options, message) => {
    const db = open()
    await db.withLock('busy', async () => {
      let ran = false
      const other = open()
      const error = await errorOf(
        other.withLock(
          'busy',
          () => {
            ran = true
          },
          options,
        ),
      )
      expect(error).toBeInstanceOf(LockTimeoutError)
      expect(error).toMatchObject({ code: '55P03', message: expect.stringMatching(message) })
      expect(ran).toBe(false)
      expect(await held()).toHaveLength(1)
      await until(() => other.pool.stats().leased === 0, { what: 'its connection to be back' })
      expect(await other.query("select current_setting('lock_timeout') as t")).toEqual([{ t: '0' }])
    })
  })

  it('T14: a process that forgets gives it back with its session', async () => {
    const db = open()
    const error = await errorOf(db.withLock('forgotten', () => new Promise(() => {}), { maxDurationMs: 300 }))
    expect(error).toMatchObject({ name: 'SessionExpiredError' })
    await until(async () => (await held()).length === 0, { what: 'the lock to be free' })
    await db.withLock('forgotten', () => {}, { wait: false })
  })

  it('T14: what takes a lock by other means has it undone with the rest', async () => {
    const db = open({ pool: { max: 1 } })
    await db.withLock(1, async (inside) => {
      await inside.query('select pg_advisory_lock(2)')
      expect(await held()).toEqual(['1', '2'])
    })
    await db.query('select 1')
    expect(await held()).toEqual([])
  })

  it('T14: nested ones are on one connection, each for as long as its work', async () => {
    const db = open({ pool: { max: 1 } })
    await db.withLock(1, async (outer) => {
      await outer.withLock(2, async () => {
        expect(await held()).toEqual(['1', '2'])
        await db.withLock(1, () => {})
        expect(await held()).toEqual(['1', '2'])
      })
      expect(await held()).toEqual(['1'])
      expect(await errorOf(outer.withLock(3, () => Promise.reject(new Error('no'))))).toMatchObject({ message: 'no' })
      expect(await held()).toEqual(['1'])
    })
    expect(await held()).toEqual([])
  })

  it('T14: one that is lost with its connection is told, to the work and to whoever asked for it', async () => {
    const db = open()
    const lost = db.withLock('lost', async (inside, { signal }) => {
      const [row] = await inside.query('select pg_backend_pid() as pid')
      await killBackends(scene.admin, 'pid = $1', [row?.pid])
      await until(() => signal.aborted, { what: 'the signal to fire' })
      expect(await errorOf(inside.query("insert into marks values ('alone?')"))).toBeInstanceOf(ConnectionLostError)
      expect(await errorOf(db.query("insert into marks values ('alone?')"))).toBeInstanceOf(ConnectionLostError)
      return 'done'
    })
    const error = await errorOf(lost)
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ message: expect.stringContaining("'lost'"), retry: 'never', code: '57P01' })
    expect(await scene.marks()).toEqual([])
  })

  it('T14: whose answer is lost is not had, and with its connection nobody has it: that is a lost connection', async () => {
    const db = open({ pool: { max: 1 } })
    await db.query('select 1')
    scene.proxy.cutWhen({ direction: 'to-client', when: 'before', how: 'reset', match: isCommit })
    let ran = false
    const error = await errorOf(
      db.withLock('half had', () => {
        ran = true
      }),
    )
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ retry: 'reconnect', message: expect.stringContaining("'half had'") })
    expect(ran).toBe(false)
    await until(async () => (await held()).length === 0, { what: 'the lock to be free' })
    await db.withLock('half had', () => {}, { wait: false })
  })

  it('T14: one that a session has it may have again, as in the server: in it two hold the same one at once', async () => {
    const db = open()
    await db.withLock('around', async (inside) => {
      const both = gate()
      let holders = 0
      const meet = async () => {
        holders++
        if (holders === 2) both.open()
        await both.opened
      }
      await within(20_000, Promise.all([inside.withLock('again', meet), inside.withLock('again', meet)]))
      expect(await held()).toHaveLength(1)
    })
    expect(await held()).toEqual([])
  })

  it('T14: it is not given back before a transaction commits: inside of one it is refused', async () => {
    const db = open()
    await db.transaction(async () => {
      // The root database joins nothing in the ORM's own transaction: that is a lock of its own.
      await db.withLock(5, () => {})
    })
    await db.withLock(6, (inside) =>
      inside.transaction(async () => {
        for (const host of [db, inside])
          expect(await errorOf(host.withLock(7, () => {}))).toBeInstanceOf(PropagationError)
      }),
    )
  })

  it('T14: a name is the same key as SQL makes of it, and numbers are what they are', async () => {
    const db = open()
    for (const name of ['nightly import', 'ümläut 🔒', 'x'.repeat(10_000)]) {
      const [row] = await scene.admin.query<{ key: string }>(
        `select (('x' || left(encode(sha256(convert_to($1, 'UTF8')), 'hex'), 16))::bit(64)::bigint)::text as key`,
        [name],
      )
      await db.withLock(name, async () => expect(await held()).toEqual([row?.key]))
    }
    for (const key of [0, -1, 2 ** 53 - 1, -(2n ** 63n), 2n ** 63n - 1n]) {
      await db.withLock(key, async () => expect(await held()).toEqual([String(key)]))
    }
  })

  it('T14: what is no key or no option is refused, and nothing is sent', async () => {
    const db = open()
    for (const key of ['', 1.5, 2 ** 53, 2n ** 63n, -(2n ** 63n) - 1n, undefined, null, {}]) {
      expect(await errorOf(db.withLock(key as never, () => {}))).toMatchObject({ problems: [{ path: 'key' }] })
    }
    const options = [
      { timeoutMs: -1 },
      { timeoutMs: 0.5 },
      { timeoutMs: 5, wait: false },
      { shared: 1 },
      { wait: 'no' },
      { timeout: 5 },
    ]
    for (const wrong of options) {
      expect(await errorOf(db.withLock('key', () => {}, wrong as never))).toBeInstanceOf(InvalidOptionsError)
    }
    expect(scene.proxy.connections).toHaveLength(0)
  })
})
