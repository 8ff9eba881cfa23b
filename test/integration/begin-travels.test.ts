// T5: what a transaction is begun with holds in it and not behind it, and all of it goes over the wire with its first
// statement. The proxy counts; a database of its own looks from the server's side.

import { finished } from 'node:stream/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import {
  ConnectionLostError,
  type Lease,
  StatementCancelledError,
  StatementError,
  StatementTimeoutError,
  type TransactionSettings,
} from '@moorings/core'
import {
  type Codec,
  createClient,
  createPool,
  noTransform,
  type PostgresConnection,
  type PostgresPool,
} from '@moorings/postgres'
import { executes } from '../support/matchers.js'
import { errorOf, useScene } from './scene.js'

// Roles belong to the whole server; they go before the database through which they are dropped.
const role = `travels " ' \\ ${process.pid}`
const quotedRole = `"${role.replaceAll('"', '""')}"`
afterAll(async () => {
  await scene.admin.query(`drop role ${quotedRole}`)
})
const scene = useScene()
beforeAll(async () => {
  await scene.admin.query(`create role ${quotedRole}`)
})

const { signal } = new AbortController()
const textCodec: Codec = { parser: () => undefined, serializers: () => ({}), transform: noTransform }

function openPool(url = scene.url): PostgresPool {
  return scene.closing(
    createPool({ url, fetch_types: false }, { resilience: { pool: { min: 0, max: 1, overflow: 0 } } }),
  )
}

async function lend(pool: PostgresPool = openPool()): Promise<Lease<PostgresConnection>> {
  const lease = await pool.acquire()
  scene.closing({ close: async () => lease.release() })
  return lease
}

/** What the session shows of itself, as text. */
async function look(connection: PostgresConnection, what: string): Promise<string | undefined> {
  const { rows } = await connection.execute<{ seen: string }>({ text: `select (${what})::text as seen` })
  return rows[0]?.seen
}

const setting = (name: string) => `current_setting('${name}', true)`

describe('what a transaction is begun with', () => {
  const hostile = [
    `it's`,
    `\\`,
    `\\'`,
    `'; drop table marks; --`,
    `\\'; drop table marks; --`,
    `', false); drop table marks; --`,
    `"$$ $tag$ /* -- \n\t\r ?1 $1 :x`,
    `E'\\x27'`,
    'déjà vu 🛟',
    '',
  ]

  it.each(['on', 'off'])('T5: any text arrives as it is, with standard_conforming_strings %s', async (conforming) => {
    const { connection } = await lend()
    await connection.execute({ text: `set standard_conforming_strings = ${conforming}` })
    for (const value of hostile) {
      await connection.begin({ settings: { 'app.tenant': value, 'app.other': 1.5 } })
      expect(await look(connection, setting('app.tenant'))).toBe(value)
      expect(await look(connection, setting('app.other'))).toBe('1.5')
      await connection.commit()
    }
    expect(await scene.marks()).toEqual([])
  })

  it.each<[string, TransactionSettings, string, string]>([
    ['the isolation level', { isolationLevel: 'serializable' }, setting('transaction_isolation'), 'serializable'],
    ['the access mode', { accessMode: 'read only' }, setting('transaction_read_only'), 'on'],
    ['the access mode', { accessMode: 'read write' }, setting('transaction_read_only'), 'off'],
    ['deferrable', { deferrable: true }, setting('transaction_deferrable'), 'on'],
    ['the statement timeout', { statementTimeoutMs: 77_000 }, setting('statement_timeout'), '77s'],
    ['the lock timeout', { lockTimeoutMs: 77 }, setting('lock_timeout'), '77ms'],
    ['the idle timeout', { idleTimeoutMs: 77_001 }, setting('idle_in_transaction_session_timeout'), '77001ms'],
    ['a setting of the server', { settings: { work_mem: '77MB' } }, setting('work_mem'), '77MB'],
    ['a setting of the application', { settings: { 'app.on': true } }, setting('app.on'), 'true'],
    ['the role', { role }, 'current_user', role],
  ])('T5: %s holds until its end, and the session is clean behind it', async (_, settings, what, inside) => {
    const pool = openPool()
    const lease = await lend(pool)
    const { connection } = lease
    const outside = await look(connection, what)
    for (const end of ['commit', 'rollback'] as const) {
      await connection.begin(settings)
      expect(await look(connection, what)).toBe(inside)
      await connection[end]()
      expect(connection.sessionState).toBe('clean')
      // A setting nobody has heard of is null before, and empty after.
      expect((await look(connection, what)) ?? '').toBe(outside ?? '')
    }
    const { length } = scene.proxy.statements
    const bytes = scene.proxy.traffic.bytes['to-server']
    lease.release()
    const next = await lend(pool)
    expect(next.connection.id).toBe(connection.id)
    expect(scene.proxy.statements.slice(length)).toEqual([])
    expect(scene.proxy.traffic.bytes['to-server']).toBe(bytes)
  })

  it('T5: all of it at once', async () => {
    const { connection } = await lend()
    await connection.begin({
      isolationLevel: 'repeatable read',
      accessMode: 'read only',
      deferrable: false,
      statementTimeoutMs: 1_000,
      lockTimeoutMs: 2_000,
      idleTimeoutMs: 3_000,
      role,
      settings: { 'app.a': 'a', 'app.b': 'b' },
    })
    const names = ['transaction_isolation', 'statement_timeout', 'lock_timeout', 'app.a', 'app.b'].map(setting)
    expect(await look(connection, `array[${names.join(', ')}, current_user]`)).toMatch(
      /^\{"repeatable read",1s,2s,a,b,"travels/,
    )
    await connection.rollback()
    expect(connection.sessionState).toBe('clean')
    await connection.reset(signal)
    expect(await look(connection, 'current_user')).not.toBe(role)
  })
})

/** What goes over the wire for this: the statements, and how often the client waited for the server. */
async function said(run: () => Promise<unknown>): Promise<{ statements: readonly string[]; roundTrips: number }> {
  const { length } = scene.proxy.statements
  const { roundTrips } = scene.proxy.traffic
  await run()
  return {
    statements: scene.proxy.statements.slice(length),
    roundTrips: scene.proxy.traffic.roundTrips - roundTrips,
  }
}

const insert = (mark: string) => ({ text: `insert into marks values ('${mark}')` })

describe('BEGIN', () => {
  it.each<[string, { text: string; values?: unknown[]; prepare?: boolean }]>([
    ['a statement without parameters', insert('a')],
    ['a prepared one', { text: 'insert into marks values ($1)', values: ['a'], prepare: true }],
    ['a long one', { text: `insert into marks values ('a') /* ${'x'.repeat(40_000)} */` }],
    ['several in one text', { text: `insert into marks values ('a'); insert into marks values ('b')` }],
    ['SAVEPOINT', { text: 'savepoint s' }],
  ])('T5: with its settings and %s behind it takes one round trip', async (_, first) => {
    const { connection } = await lend()
    // Prepared from here on.
    await connection.execute(first).catch(() => {})
    await scene.admin.query('truncate marks')
    const begun = await said(async () =>
      connection.begin({ statementTimeoutMs: 60_000, settings: { 'app.a': '1' }, role: undefined }),
    )
    expect(begun).toEqual({ statements: [], roundTrips: 0 })
    // It has begun, for all but the server.
    expect([connection.transactionStatus, connection.activity]).toEqual(['open', 'idle'])
    const { statements, roundTrips } = await said(() => connection.execute(first))
    expect(statements).toEqual([expect.stringMatching(/^begin; set local statement_timeout = 60000; /), first.text])
    expect(roundTrips).toBe(1)
    expect(connection.transactionStatus).toBe('open')
    await connection.rollback()
    expect(connection.sessionState).toBe('clean')
    expect(await scene.marks()).toEqual([])
  })

  it('T5: goes ahead of a statement that is described first, too', async () => {
    const { connection } = await lend()
    await connection.begin({ isolationLevel: 'serializable' })
    const first = { text: 'insert into marks values ($1) returning mark', values: ['a'] }
    expect(await said(() => connection.execute(first))).toMatchObject({ roundTrips: 2 })
    expect(await look(connection, setting('transaction_isolation'))).toBe('serializable')
    expect(await connection.commit()).toBe('committed')
    expect(await scene.marks()).toEqual(['a'])
  })

  it.each(['commit', 'rollback'] as const)('T5: and %s are not sent when nothing is in between', async (end) => {
    const { connection } = await lend()
    const { statements } = connection
    const ended = await said(async () => {
      await connection.begin({ isolationLevel: 'serializable' })
      expect(await connection[end]()).toBe(end === 'commit' ? 'committed' : undefined)
    })
    expect(ended).toEqual({ statements: [], roundTrips: 0 })
    expect([connection.sessionState, connection.statements]).toEqual(['clean', statements])
    await connection.execute(insert('on its own'))
    expect(connection.transactionStatus).toBe('idle')
  })

  it('T5: counts as a statement, once it was sent', async () => {
    const { connection } = await lend()
    const { statements } = connection
    await connection.begin()
    expect(connection.statements).toBe(statements)
    await connection.execute({ text: 'select 1' })
    await connection.commit()
    expect(connection.statements).toBe(statements + 3)
  })

  it.each<[string, (lease: Lease<PostgresConnection>) => Promise<void> | void, object?]>([
    ['given back', () => {}],
    ['given back by one who borrowed for a statement', () => {}, { brief: true }],
    ['reset', (lease) => lease.connection.reset(signal)],
    ['stopped and given back', (lease) => lease.connection.stop(new StatementCancelledError('stop'))],
  ])('T5: of which nothing was sent is forgotten when its connection is %s', async (_, end, options = {}) => {
    const pool = openPool()
    const lease = await pool.acquire(options)
    const { connection } = lease
    await connection.begin({ accessMode: 'read only' })
    const { statements } = await said(async () => {
      await end(lease)
      lease.release()
    })
    const next = await lend(pool)
    expect(next.connection.id).toBe(connection.id)
    await next.connection.execute(insert('on its own'))
    expect(connection.transactionStatus).toBe('idle')
    expect(statements).toEqual([])
    expect(await scene.marks()).toEqual(['on its own'])
  })

  it('T5: is still to come when what waited was stopped: nothing of the transaction may run outside of it', async () => {
    const { connection } = await lend()
    await connection.begin()
    connection.stop(new StatementCancelledError('stop'))
    await connection.execute(insert('undone'))
    await connection.rollback()
    expect(await scene.marks()).toEqual([])
  })

  it('T5: is refused at once on a connection that is lost, and for settings that cannot be', async () => {
    const { connection } = await lend()
    const settings: object = { isolationLevel: 'none' }
    expect(await errorOf(Promise.resolve().then(() => connection.begin(settings)))).toMatchObject({
      name: 'InvalidOptionsError',
    })
    await connection.execute(insert('on its own'))
    expect(connection.transactionStatus).toBe('idle')
    connection.destroy(new ConnectionLostError('gone'))
    expect(await errorOf(Promise.resolve().then(() => connection.begin()))).toBeInstanceOf(ConnectionLostError)
  })

  it.each<[string, TransactionSettings, string]>([
    ['a role that does not exist', { role: 'nobody by this name' }, '22023'],
    ['a setting that does not exist', { settings: { nonsense: 1 } }, '42704'],
    ['a value the server does not take', { settings: { work_mem: 'much' } }, '22023'],
  ])('T5: refused for %s is what its first statement hears, and nothing is done', async (_, settings, code) => {
    const { connection } = await lend()
    for (const first of [insert('one'), { text: 'insert into marks values ($1)', values: ['two'] }]) {
      await connection.begin(settings)
      const error = await errorOf(connection.execute(first))
      expect(error).toBeInstanceOf(StatementError)
      expect(error).toMatchObject({ code, cause: { name: 'PostgresError', code, severity: 'ERROR' } })
      expect(connection.transactionStatus).toBe('failed')
      expect(await errorOf(connection.execute(insert('three')))).toMatchObject({ code: '25P02' })
      expect(await connection.commit()).toBe('rolled-back')
    }
    expect(connection.sessionState).toBe('clean')
    await connection.execute(insert('after'))
    expect(await scene.marks()).toEqual(['after'])
  })

  it('T5: refused within a nested one tells its savepoint', async () => {
    const pool = openPool()
    const error = await errorOf(
      pool.transaction((tx) => tx.savepoint((inner) => inner.connection.execute(insert('one'))), {
        settings: { nonsense: 1 },
        retry: false,
      }),
    )
    expect(error).toMatchObject({ code: '42704' })
    expect(await scene.marks()).toEqual([])
  })

  const hostile = {
    toJSON() {
      throw new Error('not to be written')
    },
  }
  it.each<[string, unknown, boolean, object]>([
    ['undefined', undefined, false, { code: 'UNDEFINED_VALUE' }],
    ['undefined, prepared', undefined, true, { code: 'UNDEFINED_VALUE' }],
    ['hostile', hostile, false, { message: 'not to be written' }],
    ['hostile, prepared', hostile, true, { message: 'not to be written' }],
  ])("T5: a parameter that cannot be written is its own statement's error: %s", async (_, value, prepare, expected) => {
    const { connection } = await lend()
    const text = `insert into marks select $1::jsonb ->> 'a'`
    await connection.execute({ text, values: [{ a: 'before' }], prepare })
    await connection.begin()
    expect(await errorOf(connection.execute({ text, values: [value], prepare }))).toMatchObject(expected)
    // As behind a BEGIN that was waited for: it has begun, and nothing has failed on the server.
    expect(await look(connection, '1')).toBe('1')
    expect(connection.transactionStatus).toBe('open')
    await connection.execute({ text, values: [{ a: 'inside' }], prepare })
    await connection.commit()
    expect(connection.lost).toBeUndefined()
    expect(await scene.marks()).toEqual(['before', 'inside'])
  })

  it.each(['before', 'after'] as const)(
    'T5: lost on its way (%s it arrives) loses its first statement',
    async (when) => {
      const { connection } = await lend()
      await connection.begin()
      scene.proxy.cutWhen({ direction: 'to-server', match: executes(/^begin$/), when, how: 'reset' })
      expect(await errorOf(connection.execute(insert('lost')))).toMatchObject({
        name: 'ConnectionLostError',
        retry: 'reconnect',
      })
      expect(connection.lost).toBeInstanceOf(ConnectionLostError)
      expect(await scene.marks()).toEqual([])
    },
  )

  it('T5: stays with a first statement that is given up', async () => {
    const { connection } = await lend()
    await connection.begin()
    const slow = { text: `insert into marks select 'slow' from pg_sleep(60)` }
    expect(await errorOf(connection.execute(slow, { timeoutMs: 100 }))).toBeInstanceOf(StatementTimeoutError)
    await connection.rollback()
    expect([connection.transactionStatus, connection.lost]).toEqual(['idle', undefined])
    expect(await scene.marks()).toEqual([])
  })

  it('T5: goes with the next statement when its first one is given up before its turn', async () => {
    const { connection } = await lend()
    const before = connection.execute({ text: `insert into marks select 'before' from pg_sleep(0.2)` })
    await connection.begin()
    const abort = new AbortController()
    const first = errorOf(connection.execute(insert('first'), { signal: abort.signal }))
    const second = connection.execute(insert('second'))
    abort.abort()
    expect(await first).toBeInstanceOf(StatementCancelledError)
    await before
    expect(connection.transactionStatus).toBe('idle')
    await second
    expect(connection.transactionStatus).toBe('open')
    await connection.rollback()
    expect(await scene.marks()).toEqual(['before'])
  })

  it('T5: stays to be sent when its only statement is given up before its turn', async () => {
    const { connection } = await lend()
    const before = connection.execute({ text: 'select pg_sleep(0.2)' })
    await connection.begin()
    const abort = new AbortController()
    const first = errorOf(connection.execute(insert('first'), { signal: abort.signal }))
    abort.abort()
    await first
    await before
    await connection.execute(insert('second'))
    await connection.rollback()
    expect(await scene.marks()).toEqual([])
  })

  it('T5: goes ahead of a cursor', async () => {
    const { connection } = await lend()
    const rows: unknown[] = []
    await connection.begin({ settings: { 'app.a': 'x' } })
    const text = `select current_setting('app.a') || n as n from generate_series(1, 5) n`
    for await (const chunk of connection.stream({ text }, textCodec, 2)) rows.push(...chunk)
    expect(rows).toEqual(['x1', 'x2', 'x3', 'x4', 'x5'].map((n) => ({ n })))
    expect(connection.transactionStatus).toBe('open')
    await connection.rollback()
  })

  it('T5: goes ahead of a COPY', async () => {
    const sql = createClient(openPool())
    await sql.begin(async (tx) => {
      const copy = await tx`copy marks from stdin`.writable()
      copy.end('one\ntwo\n')
      await finished(copy)
    })
    const { statements } = await said(async () => {
      const out = sql.begin(async (tx) => {
        let text = ''
        for await (const chunk of await tx`copy marks to stdout`.readable()) text += String(chunk)
        return text
      })
      expect(await out).toBe('one\ntwo\n')
    })
    expect(statements.slice(0, 2)).toEqual(['begin', 'copy marks to stdout'])
  })
})
