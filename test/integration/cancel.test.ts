// T13 as far as it goes today: statements that are cancelled, aborted or too slow, wherever they are at that moment. The
// proxy's CancelRequests are the witness of what the server was asked to stop.

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { StatementCancelledError, StatementError, StatementTimeoutError, TransactionAbortedError } from '@moorings/core'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { type Client, createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql as kyselySql } from 'kysely'
import { type Names, replaceNames, startOnOnePort } from '../support/names.js'
import { until } from '../support/until.js'
import { backendOf, nesting, type Orm, orms, type ResilienceOptions, type Schema, transactional } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { pool: { min: 0, max: 1, overflow: 0 } }
/** A caller is told at once; this is for a busy machine. */
const soon = 5_000

function open(resilience: ResilienceOptions = single): { pool: PostgresPool; sql: Client; kysely: Kysely<Schema> } {
  const pool = scene.closing(createPool(scene.url, { resilience }))
  const kysely = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
  return { pool, sql: createClient(pool), kysely }
}

async function atWork(): Promise<void> {
  await until(async () => (await scene.backends()).some(({ state }) => state === 'active'), {
    what: 'a statement to run',
  })
}

async function atRest(pool: PostgresPool): Promise<void> {
  await until(async () => (await scene.backends()).every(({ state }) => state !== 'active'), {
    what: 'the server to stop',
  })
  await until(() => pool.stats().leased === 0, { what: 'the lease to come back' })
}

async function pidOf(sql: Client): Promise<number> {
  const [row] = await sql`select pg_backend_pid() as pid`
  return Number(row?.pid)
}

describe('a name that means another server by now', () => {
  let names: Names
  beforeEach(() => {
    names = replaceNames()
  })
  afterEach(() => names.restore())

  it.each(['another server', 'nothing that can be found out'])(
    'T13: %s: the one at work is asked to stop',
    async (now) => {
      const { port, proxies } = await startOnOnePort([scene.proxy, scene.proxy])
      const [here, there] = proxies.map((proxy) => scene.closing(proxy))
      names.set('db.example', here?.host ?? '')
      const url = new URL(scene.url)
      url.host = `db.example:${port}`
      const pool = scene.closing(
        createPool(url.href, { resilience: { ...single, statement: { cancelTimeoutMs: 20_000 } } }),
      )
      const query = createClient(pool)`select pg_sleep(60)`.execute()
      // Not what a new connection is asked first.
      await until(async () => (await scene.backends()).some(({ wait_event }) => wait_event === 'PgSleep'), {
        what: 'it to sleep',
      })
      if (now === 'another server') names.set('db.example', there?.host ?? '')
      else names.hang('db.example')
      query.cancel()
      expect(await within(soon, errorOf(query))).toBeInstanceOf(StatementCancelledError)
      await atRest(pool)
      expect([here?.cancelRequests.length, there?.cancelRequests.length]).toEqual([1, 0])
      expect(pool.stats().lost).toBe(0)
    },
  )
})

describe('query.cancel()', () => {
  it('T13: before it runs: it is never sent', async () => {
    const { pool, sql } = open()
    await sql`select 1`
    const sent = scene.proxy.statements.length
    const query = sql`select 2`
    query.cancel()
    expect(await within(soon, errorOf(query))).toBeInstanceOf(StatementCancelledError)
    expect(await sql`select 3 as n`).toEqual([{ n: 3 }])
    expect(scene.proxy.statements.slice(sent)).toEqual(['select 3 as n'])
    expect(scene.proxy.cancelRequests).toEqual([])
    expect(pool.stats()).toMatchObject({ leased: 0, created: 1 })
  })

  it('T13: while it waits for a lease: its caller is told at once, it is never sent, and the next in line is served', async () => {
    const { pool, sql } = open()
    const lease = await pool.acquire()
    const query = sql`select 'cancelled'`.execute()
    const next = sql`select 'next' as w`.execute()
    await until(() => pool.stats().waiting === 2, { what: 'both to wait' })
    query.cancel()
    expect(await within(soon, errorOf(query))).toMatchObject({ name: 'StatementCancelledError', code: '57014' })
    lease.release()
    expect(await within(soon, next)).toEqual([{ w: 'next' }])
    await atRest(pool)
    expect(scene.proxy.statements).not.toContain("select 'cancelled'")
    expect(pool.stats()).toMatchObject({ waiting: 0, idle: 1 })
  })

  it('T13: while it runs: its caller is told at once, the server stops, the connection goes on', async () => {
    const { pool, sql } = open()
    const pid = await pidOf(sql)
    const query = sql`select pg_sleep(60)`.execute()
    await atWork()
    query.cancel()
    expect(await within(soon, errorOf(query))).toBeInstanceOf(StatementCancelledError)
    expect(await pidOf(sql)).toBe(pid)
    expect(scene.proxy.cancelRequests).toEqual([pid])
    expect(pool.stats()).toMatchObject({ leased: 0, lost: 0 })
  })

  it('T13: twice, and once it is done, does no harm', async () => {
    const { sql } = open()
    const done = sql`select 1 as n`
    expect(await done).toEqual([{ n: 1 }])
    done.cancel()
    const query = sql`select pg_sleep(60)`.execute()
    await atWork()
    query.cancel()
    query.cancel()
    await errorOf(query)
    expect(await sql`select 2 as n`).toEqual([{ n: 2 }])
    expect(scene.proxy.cancelRequests).toHaveLength(1)
  })

  it('T13: of one queued behind another in a transaction: the other one is left alone', async () => {
    const { sql } = open()
    const error = await errorOf(
      sql.begin(async (tx) => {
        const first = tx`select pg_sleep(0.3), 'first' as w`.execute()
        const second = tx`insert into marks values ('cancelled')`.execute()
        await atWork()
        second.cancel()
        expect(await within(soon, errorOf(second))).toBeInstanceOf(StatementCancelledError)
        expect(await first).toMatchObject([{ w: 'first' }])
      }),
    )
    // A statement failed: not a transaction to be committed.
    expect(error).toBeInstanceOf(TransactionAbortedError)
    expect(scene.proxy.cancelRequests).toEqual([])
    expect(scene.proxy.statements.filter((text) => text.includes('cancelled'))).toEqual([])
  })

  it('T13: inside a nested transaction: that one is undone, and the rest is committed', async () => {
    const { sql } = open()
    await sql.begin(async (tx) => {
      await tx`insert into marks values ('outer')`
      const error = await errorOf(
        tx.savepoint(async (nested) => {
          await nested`insert into marks values ('nested')`
          const query = nested`select pg_sleep(60)`.execute()
          await atWork()
          query.cancel()
          await query
        }),
      )
      expect(error).toBeInstanceOf(StatementCancelledError)
    })
    expect(await scene.marks()).toEqual(['outer'])
  })
})

describe('an AbortSignal in Kysely', () => {
  const strategies = ['ignore query', 'cancel query', 'kill session'] as const
  const reason = new Error('enough')

  it.each(strategies)('T13: aborted before: nothing is sent (%s)', async (inflightQueryAbortStrategy) => {
    const { pool, kysely } = open()
    const options = { signal: AbortSignal.abort(reason), inflightQueryAbortStrategy }
    await errorOf(kyselySql`select 1`.execute(kysely, options))
    expect(scene.proxy.statements.filter((text) => text === 'select 1')).toEqual([])
    expect((await kyselySql`select 2 as n`.execute(kysely)).rows).toEqual([{ n: 2 }])
    expect(pool.stats()).toMatchObject({ leased: 0, waiting: 0 })
  })

  it.each(strategies)('T13: aborted while it waits for a lease: it leaves the queue (%s)', async (strategy) => {
    const { pool, kysely } = open()
    const lease = await pool.acquire()
    const abort = new AbortController()
    const options = { signal: abort.signal, inflightQueryAbortStrategy: strategy }
    const waiting = errorOf(kyselySql`select 'aborted'`.execute(kysely, options))
    await until(() => pool.stats().waiting === 1, { what: 'it to wait' })
    abort.abort(reason)
    expect(await within(soon, waiting)).toBe(reason)
    await until(() => pool.stats().waiting === 0, { what: 'it to leave the queue' })
    lease.release()
    expect((await kyselySql`select 2 as n`.execute(kysely)).rows).toEqual([{ n: 2 }])
    expect(scene.proxy.statements.filter((text) => text.includes('aborted'))).toEqual([])
    expect(pool.stats()).toMatchObject({ leased: 0, lost: 0 })
  })

  it.each([
    ['ignore query', 'goes on', true],
    ['cancel query', 'stops, the connection goes on', true],
    ['kill session', 'stops, the connection is gone', false],
  ] as const)('T13: aborted while it runs, %s: the server %s', async (strategy, _, survives) => {
    const { pool, sql, kysely } = open()
    const pid = await pidOf(sql)
    await scene.admin.query('select pg_advisory_lock(13)')
    const abort = new AbortController()
    const options = { signal: abort.signal, inflightQueryAbortStrategy: strategy }
    try {
      const running = errorOf(
        kyselySql`insert into marks select 'went on' from pg_advisory_xact_lock(13)`.execute(kysely, options),
      )
      await atWork()
      abort.abort(reason)
      expect(await within(soon, running)).toBe(reason)
    } finally {
      if (strategy !== 'ignore query') await atRest(pool)
      await scene.admin.query('select pg_advisory_unlock(13)')
    }
    expect((await pidOf(sql)) === pid).toBe(survives)
    expect(await scene.marks()).toEqual(strategy === 'ignore query' ? ['went on'] : [])
    expect(scene.proxy.cancelRequests).toEqual(strategy === 'ignore query' ? [] : [pid])
    await atRest(pool)
  })

  it('T13: a killed session is no failure in the background for Kysely to print', async () => {
    const printed = jest.spyOn(console, 'error').mockImplementation(() => {})
    try {
      const { pool, kysely } = open()
      await kyselySql`select 1`.execute(kysely)
      // What the server answers to the cancel comes too late.
      scene.proxy.connections.at(-1)?.swallow('to-client')
      const abort = new AbortController()
      const options = { signal: abort.signal, inflightQueryAbortStrategy: 'kill session' } as const
      const running = errorOf(kyselySql`select pg_sleep(60)`.execute(kysely, options))
      await atWork()
      abort.abort(reason)
      expect(await within(soon, running)).toBe(reason)
      await atRest(pool)
      await new Promise((resolve) => setImmediate(resolve))
      expect(printed).not.toHaveBeenCalled()
    } finally {
      printed.mockRestore()
    }
  })

  it.each(strategies)('T13: aborted in a transaction, %s: all of it is undone', async (inflightQueryAbortStrategy) => {
    const { pool, kysely } = open()
    const abort = new AbortController()
    const seen = outcome(
      kysely.transaction().execute(async (trx) => {
        await kyselySql`insert into marks values ('undone')`.execute(trx)
        await kyselySql`select pg_sleep(1)`.execute(trx, { signal: abort.signal, inflightQueryAbortStrategy })
      }),
    )
    await atWork()
    abort.abort(reason)
    expect(await within(soon, seen)).toMatchObject({ error: reason })
    await atRest(pool)
    expect(await scene.marks()).toEqual([])
    expect((await kyselySql`select 2 as n`.execute(kysely)).rows).toEqual([{ n: 2 }])
  })
})

describe.each(transactional)('$name', (orm: Orm) => {
  it('T13: a statement too slow inside a transaction: it can be rolled back, and the connection goes on', async () => {
    const db = scene.open(orm, { ...single, statement: { timeoutMs: 300 } })
    const pid = await backendOf(db)
    let inside: unknown
    const outside = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        try {
          await tx.query('select pg_sleep(60)')
        } catch (error) {
          inside = error
          throw error
        }
      }),
    )
    expect(inside).toBeInstanceOf(StatementTimeoutError)
    expect(outside).toBe(inside)
    expect(await scene.marks()).toEqual([])
    expect(await backendOf(db)).toBe(pid)
    expect(db.pool.stats()).toMatchObject({ created: 1, lost: 0, leased: 0 })
    expect(scene.proxy.cancelRequests).toEqual([pid])
  })
})

describe.each(nesting)('$name', (orm: Orm) => {
  it('T13: a statement too slow inside a nested transaction: the outer one is committed', async () => {
    const db = scene.open(orm, { ...single, statement: { timeoutMs: 300 } })
    await db.transaction(async (tx) => {
      await tx.insert('outer')
      const slow = tx.nested(async (nested) => {
        await nested.insert('nested')
        await nested.query('select pg_sleep(60)')
      })
      expect(await errorOf(slow)).toBeInstanceOf(StatementTimeoutError)
    })
    expect(await scene.marks()).toEqual(['outer'])
  })
})

describe.each(orms)('$name', (orm: Orm) => {
  const timeoutMs = 6
  const rounds = 300

  it(`T13: a limit that passes as the answer comes, ${rounds} times: the next statement is never what is cancelled`, async () => {
    const db = scene.open(orm, { ...single, statement: { timeoutMs, cancelTimeoutMs: 20_000 } })
    const failures: unknown[] = []
    const counts = { inTime: 0, late: 0 }
    for (let round = 0; round < rounds; round++) {
      const seconds = ((round % 20) / 20) * 2 * (timeoutMs / 1_000)
      const seen = await outcome(db.query(`select pg_sleep(${seconds})`))
      if ('value' in seen) counts.inTime++
      else if (seen.error instanceof StatementTimeoutError) counts.late++
      else failures.push(seen.error)
      // Without a limit of its own: whatever ends it was meant for the one before.
      const lease = await db.pool.acquire()
      const text = 'select pg_sleep(0.001), 1'
      const next = await outcome(lease.connection.execute({ text }, { timeoutMs: 0 }))
      if ('error' in next) failures.push(next.error)
      lease.release()
    }
    expect(failures).toEqual([])
    expect(counts.late).toBeGreaterThan(0)
    expect(counts.inTime + counts.late).toBe(rounds)
    expect(db.pool.stats()).toMatchObject({ created: 1, lost: 0, leased: 0 })
  })
})

it('T13: cancelling as the answer comes, 300 times: the next statement is never what is cancelled', async () => {
  const { pool, sql } = open({ ...single, statement: { cancelTimeoutMs: 20_000 } })
  const failures: unknown[] = []
  for (let round = 0; round < 300; round++) {
    const query = sql`select pg_sleep(${(round % 10) / 2_000})`.execute()
    const next = sql`select pg_sleep(0.001)`.execute()
    const timer = setTimeout(() => query.cancel(), round % 7)
    const [seen, after] = await Promise.all([outcome(query), outcome(next)])
    clearTimeout(timer)
    if ('error' in seen && !(seen.error instanceof StatementError)) failures.push(seen.error)
    if ('error' in after) failures.push(after.error)
  }
  expect(failures).toEqual([])
  expect(pool.stats()).toMatchObject({ created: 1, lost: 0, leased: 0 })
})
