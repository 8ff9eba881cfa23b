// T14: a session that takes too long, that lies idle, that loses its connection, and what is told of each.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, SessionExpiredError } from '@moorings/core'
import { killBackends } from '../support/admin.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { errorOf, gate, outcome, useScene, within } from './scene.js'
import { backendOf, type Stay, stayingOrms } from './sessions-orms.js'

const scene = useScene()
const one = { pool: { min: 0, max: 1, overflow: 0, acquireTimeoutMs: 3_000 } }

function active(sql: string): Promise<unknown[]> {
  return scene.admin.query(
    "select 1 from pg_stat_activity where state = 'active' and query = $1 and datname = current_database()",
    [sql],
  )
}

function gone(pid: number): Promise<unknown> {
  const query = 'select 1 from pg_stat_activity where pid = $1'
  return until(async () => (await scene.admin.query(query, [pid])).length === 0, { what: `backend ${pid} to be gone` })
}

describe.each(stayingOrms)('$name', (orm) => {
  const open = (session = {}) => scene.closing(orm.open(scene.url, { ...one, session }))

  it('T14: one that takes too long is stopped on the server, rolled back, and its connection is gone', async () => {
    const db = open()
    const sleep = `select pg_sleep(600) /* ${orm.name} */`
    let pid = 0
    let running: unknown
    const session = db.withSession(
      (on) =>
        on.transaction(async (tx) => {
          pid = await backendOf(tx)
          await tx.query("insert into marks values ('undone')")
          running = await errorOf(tx.query(sleep))
          throw running
        }),
      { maxDurationMs: 500 },
    )
    expect(await errorOf(within(5_000, session))).toBeInstanceOf(SessionExpiredError)
    await gone(pid)
    expect(await active(sleep)).toEqual([])
    expect(running).toBeInstanceOf(SessionExpiredError)
    expect(await scene.marks()).toEqual([])
    // The pool has its slot back.
    expect(await backendOf(db)).not.toBe(pid)
  })

  it('T14: whatever its body does after that rejects with SessionExpiredError, and is not done elsewhere', async () => {
    const db = open()
    const [go, done] = [gate(), gate()]
    const errors: unknown[] = []
    const session = db.withSession(
      async (on) => {
        await on.query('select 1')
        await go.opened
        const insert = "insert into marks values ('late')"
        errors.push(await errorOf(on.query(insert)), await errorOf(db.query(insert)))
        errors.push(await errorOf(on.transaction((tx) => tx.query(insert))))
        errors.push(await errorOf(db.transaction((tx) => tx.query(insert))))
        errors.push(await errorOf(db.withTransaction(() => db.query(insert))))
        done.open()
      },
      { maxDurationMs: 200 },
    )
    expect(await errorOf(session)).toBeInstanceOf(SessionExpiredError)
    go.open()
    await within(5_000, done.opened)
    expect(errors).toEqual(Array.from({ length: 5 }, () => expect.any(SessionExpiredError)))
    expect(await scene.marks()).toEqual([])
    await db.query("insert into marks values ('outside')")
    expect(await scene.marks()).toEqual(['outside'])
  })

  it('T14: a signal ends it as its time does', async () => {
    const db = open()
    const abort = new AbortController()
    const sleep = `select pg_sleep(601) /* ${orm.name} */`
    const session = db.withSession((on) => on.query(sleep), { signal: abort.signal })
    await until(async () => (await active(sleep)).length > 0, { what: 'the statement to run' })
    abort.abort(new Error('enough'))
    expect(await errorOf(within(5_000, session))).toMatchObject({
      name: 'SessionEndedError',
      cause: { message: 'enough' },
    })
    await until(async () => (await active(sleep)).length === 0, { what: 'the statement to be stopped' })
  })

  it('T14: one that lies idle lends its connection to others, and goes on where it was', async () => {
    const db = open()
    await db.withSession(
      async (on) => {
        const pid = await backendOf(on)
        await until(() => db.pool.stats().leased === 0, { what: 'the connection to be given back' })
        expect(db.pool.stats().sessions).toMatchObject([{ connection: undefined, state: 'idle' }])
        // There is one connection only, and somebody else has it.
        expect(
          await db.pool.lease(({ connection }) =>
            backendOf({ query: async (text) => (await connection.execute({ text })).rows }),
          ),
        ).toBe(pid)
        expect(await backendOf(on)).toBe(pid)
        expect(await on.transaction((tx) => backendOf(tx))).toBe(pid)
      },
      { idleTimeoutMs: 100 },
    )
  })

  it.each([
    ['a setting', "set app.mark = 'kept'"],
    ['a temporary table', 'create temporary table scratch (n int)'],
    ['an advisory lock', 'select pg_advisory_lock(14)'],
    ['a transaction begun by hand', 'begin'],
  ])('T14: one that lies idle keeps its connection while it holds %s', async (_, sql) => {
    const db = open()
    await db.withSession(
      async (on) => {
        const pid = await backendOf(on)
        await on.query(sql)
        const idleFor = () => db.pool.stats().sessions[0]?.forMs ?? 0
        await until(() => idleFor() > 400, { what: 'several times the limit to pass' })
        expect(db.pool.stats().leased).toBe(1)
        expect(await backendOf(on)).toBe(pid)
      },
      { idleTimeoutMs: 100 },
    )
  })

  it('T14: one that declares what cannot be seen keeps its connection', async () => {
    const db = open()
    await db.withSession(
      async (on, { declare }) => {
        await on.query('select 1')
        declare('locks')
        await until(() => (db.pool.stats().sessions[0]?.forMs ?? 0) > 300, { what: 'the limit to pass' })
        expect(db.pool.stats().leased).toBe(1)
      },
      { idleTimeoutMs: 100 },
    )
  })

  it('T14: a lost connection that held nothing is replaced, one that held something ends the session', async () => {
    const db = open()
    const kill = async (pid: number) => {
      await killBackends(scene.admin, 'pid = $1', [pid])
      await until(() => db.pool.stats().leased === 0, { what: 'the loss to be noticed' })
    }
    await db.withSession(async (on, { signal }) => {
      const pid = await backendOf(on)
      await kill(pid)
      expect(await backendOf(on)).not.toBe(pid)
      await on.query("set app.mark = 'kept'")
      await kill(await backendOf(on))
      for (const use of [on, db]) {
        const error = await errorOf(use.query('select 1'))
        expect(error).toBeInstanceOf(ConnectionLostError)
        expect(error).toMatchObject({ code: '57P01' })
      }
      expect(await errorOf(on.transaction((tx) => tx.query('select 1')))).toBeInstanceOf(ConnectionLostError)
      expect(signal.aborted).toBe(true)
    })
    await db.query('select 1')
  })

  it('T14: a transaction in it that loses its connection is run again, in the session', async () => {
    const db = scene.closing(
      orm.open(scene.url, { ...one, transaction: { retry: { maxRetries: 3, initialDelayMs: 10 } } }),
    )
    const attempts: number[] = []
    await db.withSession((on) =>
      on.withTransaction(async (tx) => {
        attempts.push(await backendOf(tx))
        await tx.query("insert into marks values ('once')")
        if (attempts.length === 1) await killBackends(scene.admin, 'pid = $1', [attempts[0]])
        await db.query('select 1')
      }),
    )
    expect(attempts).toHaveLength(2)
    expect(await scene.marks()).toEqual(['once'])
  })

  it('T14: each piece of work that goes on for long is reported once, and an expired session, too', async () => {
    const db = open({ warnAfterMs: 100 })
    const reported = eventsOf(scene, db.pool, 'moorings:session:long')
    await db.withSession(
      async (on) => {
        await on.query('select 1')
        await on.query('select pg_sleep(0.3)')
        await on.transaction(async (tx) => {
          await tx.query('select 1')
          await until(() => reported.length === 2, { what: 'the transaction to be reported' })
          await tx.query('select pg_sleep(0.3)')
        })
      },
      { name: 'import' },
    )
    expect(reported).toMatchObject([
      { session: 'import', inTransaction: false },
      { session: 'import', inTransaction: true },
    ])
    const expired = eventsOf(scene, db.pool, 'moorings:session:expired')
    await outcome(db.withSession(() => new Promise(() => {}), { name: 'stuck', maxDurationMs: 100 }))
    expect(expired).toMatchObject([{ session: 'stuck', id: undefined }])
  })

  it('T14: who is at it, since when and doing what is in the statistics', async () => {
    const db = open()
    const go = gate()
    const body = async (on: Stay) => {
      await on.query('select 1')
      await on.transaction(async (tx) => {
        await tx.query('select 2')
        await go.opened
      })
    }
    const importAll = async () => {
      await db.withSession(body, { name: 'import' })
    }
    const done = importAll()
    await until(() => db.pool.stats().sessions[0]?.inTransaction, { what: 'the transaction to be open' })
    const [session] = db.pool.stats().sessions
    expect(session).toMatchObject({ name: 'import', state: 'working', inTransaction: true })
    expect(session?.begunAt).toMatch(/sessions-(ending|orms)[^/]*:\d+:\d+$/)
    expect(session?.statements).toBeGreaterThanOrEqual(2)
    expect(session?.ageMs).toBeGreaterThanOrEqual(session?.forMs ?? 0)
    go.open()
    await done
    expect(db.pool.stats().sessions).toEqual([])
  })

  it('T14: closing the pool ends a session that goes on', async () => {
    const db = open()
    const begun = gate()
    const session = db.withSession(async (on) => {
      await on.query("set app.mark = 'kept'")
      begun.open()
      await until(() => db.pool.closed, { what: 'the pool to close' })
      return errorOf(on.query('select pg_sleep(600)'))
    })
    await begun.opened
    await within(5_000, db.pool.close({ timeoutMs: 100 }))
    expect(await within(5_000, session)).toBeInstanceOf(ConnectionLostError)
    expect(await errorOf(db.withSession((on) => on.query('select 1')))).toMatchObject({ name: 'PoolClosedError' })
  })
})
