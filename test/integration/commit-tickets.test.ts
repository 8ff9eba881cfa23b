// T7, the driver's half: a transaction's id is known by the time of COMMIT, read in the same round trip as what it has
// written; and whoever holds it can ask any connection to the same server what became of it.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { beforeAll, describe, expect, it } from '@jest/globals'
import {
  type CommitTicket,
  ConnectionLostError,
  isMooringsError,
  type Lease,
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
import { startCluster } from '../support/cluster.js'
import { executes, isCommit, isNamed } from '../support/matchers.js'
import { until } from '../support/until.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()
beforeAll(() =>
  scene.admin.query(`
    create function writes(given text) returns text language sql as $$ insert into marks values (given) returning mark $$;
    create function "quoted name"() returns void language sql as $$ insert into marks values ('quoted') $$;
    create procedure writing() language sql as $$ insert into marks values ('called') $$;
    create table unique_marks (mark text unique)`),
)

const textCodec: Codec = { parser: () => undefined, serializers: () => ({}), transform: noTransform }
const lookText = 'select pg_catalog.pg_current_xact_id_if_assigned()'
const assigningText = 'select pg_catalog.pg_current_xact_id()'

function openPool(url = scene.url, max = 1): PostgresPool {
  return scene.closing(createPool({ url, fetch_types: false }, { resilience: { pool: { min: 0, max, overflow: 0 } } }))
}

async function lend(pool: PostgresPool = openPool()): Promise<Lease<PostgresConnection>> {
  const lease = await pool.acquire()
  scene.closing({ close: async () => lease.release() })
  return lease
}

async function begun(settings?: TransactionSettings): Promise<PostgresConnection> {
  const { connection } = await lend()
  await connection.begin(settings, true)
  return connection
}

async function seen(connection: PostgresConnection, what: string): Promise<string | null | undefined> {
  const { rows } = await connection.execute<{ seen: string | null }>({ text: `select (${what})::text as seen` })
  return rows[0]?.seen
}

/** What goes over the wire for this: the statements, and how often the client waited for the server. */
async function said(run: () => Promise<unknown>): Promise<{ statements: readonly string[]; roundTrips: number }> {
  const { length } = scene.proxy.statements
  const { roundTrips } = scene.proxy.traffic
  await run()
  return { statements: scene.proxy.statements.slice(length), roundTrips: scene.proxy.traffic.roundTrips - roundTrips }
}

function ticketOf(connection: PostgresConnection): CommitTicket {
  const { ticket } = connection
  if (typeof ticket !== 'object') throw new Error(`expected a ticket, got ${ticket}`)
  return ticket
}

const inDigits = (time: string) =>
  `select to_char(t at time zone 'UTC', 'YYYYMMDDHH24MISSUS') from (select ${time}) _(t)`

/** Behind an INSERT, which has no rows. */
const lookAnswered = { direction: 'to-client', match: isNamed('RowDescription'), when: 'before' } as const
const insert = (mark: string) => ({ text: `insert into marks values ('${mark}')` })
const isLook = (text: string) => text === lookText || text === assigningText

describe('who the server is', () => {
  it.each([
    [false, 1],
    [true, 2],
  ])('T7: is asked by the greeting, with no round trip more than that takes (fetch_types %s)', async (types, count) => {
    const pool = scene.closing(
      createPool({ url: scene.url, fetch_types: types }, { resilience: { pool: { min: 0, max: 2, overflow: 0 } } }),
    )
    const first = await lend(pool)
    expect(scene.proxy.statements).toHaveLength(count)
    const second = await lend(pool)
    expect(scene.proxy.statements).toHaveLength(count + 1)
    for (const { connection } of [first, second]) {
      await connection.begin({}, true)
      expect(connection.ticket).toBe('nothing')
    }
  })

  it('T7: is not known where it may not be asked, which keeps nobody from connecting, and is asked once', async () => {
    const role = `asks_${process.pid}`
    await scene.admin.query(`create role ${role} login password 'x'; grant insert on marks to ${role}`)
    const url = new URL(scene.url)
    url.username = role
    url.password = 'x'
    const revoked = 'execute on function pg_control_system()'
    await scene.admin.query(`revoke ${revoked} from public`)
    try {
      const pool = openPool(url.href, 2)
      const [first, second] = [await lend(pool), await lend(pool)]
      expect(scene.proxy.statements).toEqual([expect.stringContaining('pg_control_system'), 'select 1'])
      for (const { connection } of [first, second]) {
        await connection.begin({}, true)
        await connection.execute(insert('untraced'))
        expect(connection.ticket).toBeUndefined()
        await connection.commit()
      }
      expect(scene.proxy.statements.filter(isLook)).toEqual([])
    } finally {
      await scene.admin.query(`grant ${revoked} to public; drop owned by ${role}; drop role ${role}`)
    }
    expect(await scene.marks()).toEqual(['untraced', 'untraced'])
  })

  it.each([
    ['by older words', ['pg_current_xact_id_if_assigned'], 'select pg_catalog.txid_current_if_assigned()'],
    ['not at all', ['pg_current_xact_id_if_assigned', 'txid_current'], undefined],
  ])('T7: is asked about transactions %s where a role that may be acted for may not', async (_, names, look) => {
    const functions = `execute on function ${names.map((name) => `${name}()`).join(', ')}`
    await scene.admin.query(`revoke ${functions} from public`)
    try {
      const connection = await begun()
      await connection.execute(insert('a'))
      const id = await seen(connection, 'pg_current_xact_id()')
      expect(connection.ticket).toEqual(look && expect.objectContaining({ transactionId: id }))
      expect(scene.proxy.statements.slice(2, -1)).toEqual([insert('a').text, ...(look === undefined ? [] : [look])])
      await connection.commit()
    } finally {
      await scene.admin.query(`grant ${functions} to public`)
    }
  })
})

describe("a transaction's id", () => {
  it('T7: BEGIN with settings, the first write and its id take one round trip', async () => {
    const { connection } = await lend()
    await connection.begin({ settings: { 'app.a': 'b' } }, true)
    expect(connection.ticket).toBe('nothing')
    const { statements, roundTrips } = await said(() => connection.execute(insert('one')))
    expect(statements).toEqual([expect.stringMatching(/^begin; /), insert('one').text, lookText])
    expect(roundTrips).toBe(1)
    await until(() => connection.ticket !== undefined, { what: 'the look to be answered' })
    expect(connection.ticket).toEqual({
      transactionId: await seen(connection, 'pg_current_xact_id()'),
      systemIdentifier: await seen(connection, '(select system_identifier from pg_control_system())'),
      timeline: '00000001',
      startedAt: await seen(connection, inDigits('pg_postmaster_start_time()')),
      countsSince: await seen(connection, inDigits('stats_reset from pg_stat_bgwriter')),
      direct: true,
    })
    await connection.commit()
    expect(await scene.marks()).toEqual(['one'])
  })

  it('T7: a transaction of three parameterless or prepared statements takes four round trips in all', async () => {
    const { connection } = await lend()
    const prepared = { text: 'insert into marks values ($1)', values: ['prepared'], prepare: true }
    await connection.execute(prepared)
    const { statements, roundTrips } = await said(async () => {
      await connection.begin({ isolationLevel: 'repeatable read' }, true)
      await connection.execute(prepared)
      await connection.execute({ text: 'select count(*) from marks' })
      await connection.execute({ text: `update marks set mark = 'b'` })
      await connection.commit()
    })
    expect(roundTrips).toBe(4)
    expect(statements.filter(isLook)).toHaveLength(1)
    expect(connection.sessionState).toBe('clean')
  })

  it('T7: goes with the parameters of a statement that is described first', async () => {
    const { connection } = await lend()
    for (const mark of ['a', 'b'.repeat(5_000)]) {
      await connection.begin({}, true)
      const { roundTrips } = await said(() =>
        connection.execute({ text: 'insert into marks values ($1) returning mark', values: [mark] }),
      )
      expect(roundTrips).toBe(2)
      const id = await seen(connection, 'pg_current_xact_id_if_assigned()')
      expect(ticketOf(connection).transactionId).toBe(id)
      await connection.commit()
    }
  })

  it('T7: the statement is answered whether or not the look is', async () => {
    const connection = await begun()
    scene.proxy.cutWhen({ ...lookAnswered, how: 'swallow' })
    expect(await connection.execute(insert('lost'))).toMatchObject({ command: 'INSERT' })
    expect(connection.ticket).toBeUndefined()
    const next = errorOf(connection.execute({ text: 'select 1' }, { timeoutMs: 200 }))
    expect(await next).toMatchObject({ name: 'StatementTimeoutError' })
    await scene.killAll()
  })

  it('T7: a connection that is lost before the look was answered tells whoever waits behind it', async () => {
    const connection = await begun()
    scene.proxy.cutWhen({ ...lookAnswered, how: 'fin' })
    await connection.execute(insert('lost'))
    expect(await errorOf(connection.execute({ text: 'select 1' }))).toMatchObject({ name: 'ConnectionLostError' })
    expect(connection.ticket).toBeUndefined()
    expect(await scene.marks()).toEqual([])
  })

  it.each([
    'select mark from marks where mark in (select lower(mark) from marks)',
    'values (1)',
    'table marks',
    'show timezone',
    'set local a.b = 1',
  ])('T7: is not looked for behind a read: %s', async (text) => {
    const connection = await begun()
    await connection.savepoint('s')
    await connection.execute({ text })
    await connection.release('s')
    expect(connection.ticket).toBe('nothing')
    await connection.commit()
    expect(connection.ticket).toBe('nothing')
    expect(scene.proxy.statements.filter(isLook)).toEqual([])
  })

  it.each([
    `insert into marks values ('a')`,
    `with x as (insert into marks values ('a') returning mark) select * from x`,
    `select writes('a')`,
    'select "quoted name"()',
    'call writing()',
    `do $$ begin insert into marks values ('a'); end $$`,
    `explain analyze insert into marks values ('a')`,
    `select 1; insert into marks values ('a')`,
    'select mark into more_marks from marks',
    `notify a, 'b'`,
    `select pg_notify('a', 'b')`,
  ])('T7: is known by COMMIT: %s', async (text) => {
    const connection = await begun()
    await connection.execute({ text: 'select 1' })
    await connection.execute({ text })
    const id = await seen(connection, 'pg_current_xact_id_if_assigned()')
    expect(ticketOf(connection).transactionId).toBe(id)
    expect(scene.proxy.statements.filter(isLook)).toHaveLength(1)
    await connection.rollback()
    await connection.execute({ text: 'select 1' })
    // Of the last one, too.
    expect(ticketOf(connection).transactionId).toBe(id)
  })

  it.each([
    `update marks set mark = 'b'`,
    `select upper('a'), writes_nothing()`,
    'with x as (select 1) select * from x',
  ])('T7: is not given to what turns out to have written nothing: %s', async (text) => {
    await scene.admin.query(`create or replace function writes_nothing() returns text language sql as $$ select 'a' $$`)
    const connection = await begun()
    await connection.execute({ text })
    await connection.execute({ text: 'select 1' })
    expect(connection.ticket).toBe('nothing')
    expect(await connection.commit()).toBe('committed')
  })

  it('T7: is looked for until it is known, and not any more', async () => {
    const connection = await begun()
    for (const text of [`update marks set mark = 'b'`, insert('a').text, insert('b').text, insert('c').text]) {
      await connection.execute({ text })
    }
    await connection.commit()
    expect(scene.proxy.statements.filter(isLook)).toHaveLength(2)
  })

  it('T7: is that of the whole, also when only a nested one wrote', async () => {
    const connection = await begun()
    await connection.savepoint('s')
    await connection.execute(insert('nested'))
    await connection.release('s')
    const id = await seen(connection, 'pg_current_xact_id()')
    expect(ticketOf(connection).transactionId).toBe(id)
    await connection.commit()
  })

  it.each([
    ['a statement', { text: `insert into unique_marks values ('a'), ('a')` }, '23505'],
    [
      'a prepared statement',
      { text: `insert into unique_marks values ($1), ($1)`, values: ['a'], prepare: true },
      '23505',
    ],
    ['one that is described first', { text: `insert into unique_marks values ($1), ($1)`, values: ['a'] }, '23505'],
    ['one that is not understood', { text: 'insert nowhere' }, '42601'],
  ])('T7: the failure of %s is its own, and the look behind it nothing to anybody', async (_, statement, code) => {
    const connection = await begun()
    await connection.savepoint('s')
    expect(await errorOf(connection.execute(statement))).toMatchObject({ code })
    expect(connection.transactionStatus).toBe('failed')
    // Whatever it wrote may yet be kept, for all that is known.
    expect(connection.ticket).toBeUndefined()
    await connection.rollbackTo('s')
    const { statements } = await said(() => connection.execute({ text: 'select 1' }))
    expect(statements).toEqual(['select 1', lookText])
    const id = await seen(connection, 'pg_current_xact_id_if_assigned()')
    expect(connection.ticket).toEqual(id === null ? 'nothing' : expect.objectContaining({ transactionId: id }))
    expect(await connection.commit()).toBe('committed')
    expect(connection.lost).toBeUndefined()
  })

  it('T7: what the failure of a nested one leaves open is looked for before COMMIT', async () => {
    const connection = await begun()
    await connection.savepoint('s')
    const described = { text: 'insert into nowhere values ($1)', values: ['a'] }
    expect(await errorOf(connection.execute(described))).toMatchObject({ code: '42P01' })
    await connection.rollbackTo('s')
    await connection.commit()
    expect(scene.proxy.statements.slice(-2)).toEqual([lookText, 'commit'])
    expect(connection.ticket).toBe('nothing')
  })

  it('T7: a failure that is never undone is a roll-back', async () => {
    const connection = await begun()
    await errorOf(connection.execute({ text: 'insert nowhere' }))
    expect(await connection.commit()).toBe('rolled-back')
  })

  it('T7: the look behind a parameter that cannot be written is not sent, and what follows is in step', async () => {
    const connection = await begun()
    const text = 'insert into marks values ($1)'
    expect(await errorOf(connection.execute({ text, values: [undefined] }))).toMatchObject({ code: 'UNDEFINED_VALUE' })
    await connection.execute({ text, values: ['a'], prepare: true })
    expect(await errorOf(connection.execute({ text, values: [undefined], prepare: true }))).toMatchObject({
      code: 'UNDEFINED_VALUE',
    })
    expect(await seen(connection, `'in step'`)).toBe('in step')
    expect(ticketOf(connection).transactionId).toMatch(/^\d+$/)
    await connection.commit()
    expect(await scene.marks()).toEqual(['a'])
  })

  it('T7: lost while what a COPY has written is looked for, before its COMMIT: that was not sent, and it is run again', async () => {
    const pool = openPool()
    const client = createClient(pool)
    await client`select 1`
    scene.proxy.cutWhen({
      direction: 'to-server',
      when: 'before',
      how: 'reset',
      match: executes(/xact_id/),
    })
    let runs = 0
    await client.begin(async (tx) => {
      runs++
      const copy = await tx`copy marks from stdin`.writable()
      copy.end('one\n')
      await finished(copy)
    })
    expect(runs).toBe(2)
    expect(await scene.marks()).toEqual(['one'])
    expect(pool.stats().transactions).toMatchObject({ committed: 1, rolledBack: 1, unknown: 0 })
  })

  it('T7: what a cursor has written is looked for behind the next statement, or before COMMIT', async () => {
    for (const next of [true, false]) {
      const connection = await begun()
      const text = 'select writes(n::text) from generate_series(1, 5) n'
      for await (const rows of connection.stream({ text }, textCodec, 2)) expect(rows).not.toHaveLength(0)
      expect(connection.ticket).toBeUndefined()
      if (next) await connection.execute({ text: 'select 1' })
      await connection.commit()
      expect(ticketOf(connection).transactionId).toMatch(/^\d+$/)
      const { statements } = scene.proxy
      expect(statements.slice(-3)).toEqual(next ? ['select 1', lookText, 'commit'] : [text, lookText, 'commit'])
    }
  })

  it('T7: what a COPY has written is looked for before COMMIT, and never during it', async () => {
    const sql = createClient(openPool())
    await sql.begin(async (tx) => {
      const copy = await tx`copy marks from stdin`.writable()
      copy.end('one\ntwo\n')
      await finished(copy)
    })
    expect(await scene.marks()).toEqual(['one', 'two'])
    // Rows were changed: there is to be an id for that, whatever server they are on.
    expect(scene.proxy.statements.slice(1)).toEqual(['begin', 'copy marks from stdin', assigningText, 'commit'])
  })

  it('T7: a statement that is cancelled takes its look along', async () => {
    const connection = await begun()
    const text = `insert into marks select 'slow' from pg_sleep(60)`
    expect(await errorOf(connection.execute({ text }, { timeoutMs: 100 }))).toMatchObject({ code: '57014' })
    await connection.rollback()
    expect([connection.transactionStatus, connection.activity, connection.lost]).toEqual(['idle', 'idle', undefined])
    expect(await seen(connection, `'in step'`)).toBe('in step')
  })

  it('T7: of a read-only transaction is looked for only behind what may write something that is no row', async () => {
    const connection = await begun({ accessMode: 'read only' })
    await connection.execute({ text: `select upper('a'), pg_backend_pid()` })
    expect(scene.proxy.statements.filter(isLook)).toEqual([])
    await connection.execute({ text: 'with x as (select 1) select * from x' })
    await connection.execute({ text: 'select 1' })
    expect(connection.ticket).toBe('nothing')
    expect(scene.proxy.statements.filter(isLook)).toEqual([lookText])
    await connection.execute({ text: 'notify a' })
    expect(connection.ticket).toBeUndefined()
    await connection.commit()
  })

  it('T7: is not known of a transaction that is not traced', async () => {
    const { connection } = await lend()
    await connection.begin({})
    await connection.execute(insert('a'))
    expect(connection.ticket).toBeUndefined()
    await connection.commit()
    await connection.begin({}, true)
    expect(connection.ticket).toBe('nothing')
    await connection.rollback()
    await connection.begin({}, false)
    expect(connection.ticket).toBeUndefined()
    await connection.rollback()
    expect(scene.proxy.statements.filter(isLook)).toEqual([])
  })

  it('T7: is not known of one that somebody ended by a COMMIT of their own, and what follows is nobody’s', async () => {
    const connection = await begun()
    await connection.execute(insert('a'))
    await connection.execute({ text: 'commit' })
    await connection.execute(insert('b'))
    await connection.execute(insert('c'))
    expect(connection.ticket).toBeUndefined()
    expect(scene.proxy.statements.filter(isLook)).toHaveLength(1)
  })

  it('T7: whoever borrows the connection next is not looked after', async () => {
    const pool = openPool()
    const lease = await lend(pool)
    const { id } = lease.connection
    await lease.connection.begin({}, true)
    await lease.connection.execute({ text: 'select 1' })
    lease.release()
    const { connection } = await lend(pool)
    expect(connection.id).toBe(id)
    await connection.execute(insert('a'))
    expect(connection.transactionStatus).toBe('idle')
    expect(scene.proxy.statements.filter(isLook)).toEqual([])
  })
})

describe('what became of a transaction', () => {
  const { signal } = new AbortController()

  /** Through another connection, past the proxy. */
  async function ask(ticket: CommitTicket, until: AbortSignal = signal): Promise<string> {
    const pool = openPool(scene.directUrl)
    const { connection } = await lend(pool)
    return pool.driver.outcomeOf(ticket, connection, until)
  }

  async function ended(how: 'commit' | 'rollback'): Promise<CommitTicket> {
    const connection = await begun()
    await connection.execute(insert('one'))
    await connection[how]()
    return ticketOf(connection)
  }

  it.each([
    ['commit', 'committed'],
    ['rollback', 'rolled-back'],
  ] as const)('T7: is told by another connection: %s', async (how, outcome) => {
    expect(await ask(await ended(how))).toBe(outcome)
  })

  it.each([
    ['before', 'fin', 'rolled-back'],
    ['before', 'reset', 'rolled-back'],
    ['after', 'fin', 'committed'],
    ['after', 'reset', 'committed'],
    // The server takes the wire for whole, and waits for a COMMIT that never comes.
    ['before', 'swallow', 'rolled-back'],
  ] as const)('T7: is told when the wire is cut %s COMMIT arrives (%s)', async (when, how, outcome) => {
    const connection = await begun()
    await connection.execute(insert('one'))
    scene.proxy.cutWhen({ direction: 'to-server', match: isCommit, when, how })
    const commit = errorOf(connection.commit())
    if (how === 'swallow') {
      await until(() => scene.proxy.statements.at(-1) === 'commit', { what: 'COMMIT to be sent' })
      connection.destroy(new ConnectionLostError('The test does not wait'))
    }
    expect(await commit).toMatchObject({ name: 'ConnectionLostError' })
    expect(await ask(ticketOf(connection))).toBe(outcome)
    expect(await scene.marks()).toEqual(outcome === 'committed' ? ['one'] : [])
  })

  it('T7: one that is under way is ended, whoever still works on it', async () => {
    const connection = await begun()
    await connection.execute(insert('one'))
    const busy = errorOf(connection.execute({ text: 'select pg_sleep(60)' }))
    await until(() => typeof connection.ticket === 'object', { what: 'the id' })
    const bystander = await begun()
    await bystander.execute(insert('two'))
    expect(await ask(ticketOf(connection))).toBe('rolled-back')
    expect(await busy).toMatchObject({ code: '57P01' })
    expect(await bystander.commit()).toBe('committed')
    expect(await scene.marks()).toEqual(['two'])
  })

  it('T7: one that is under way and cannot be ended is asked about until the signal fires', async () => {
    const role = `cannot_${process.pid}`
    await scene.admin.query(`create role ${role} login password 'x'`)
    try {
      const connection = await begun()
      await connection.execute(insert('one'))
      await until(() => typeof connection.ticket === 'object', { what: 'the id' })
      const url = new URL(scene.directUrl)
      url.username = role
      url.password = 'x'
      const pool = openPool(url.href)
      const other = await lend(pool)
      const abort = new AbortController()
      const reason = new Error('long enough')
      const asked = errorOf(pool.driver.outcomeOf(ticketOf(connection), other.connection, abort.signal))
      await until(() => other.connection.statements > 6, { what: 'it to be asked several times' })
      abort.abort(reason)
      // The signal's reason, or a statement that it cancelled.
      const error = await asked
      expect(isMooringsError(error) ? error.cause : error).toBe(reason)
      expect(await connection.commit()).toBe('committed')
      other.release()
      await pool.close()
    } finally {
      await scene.admin.query(`drop role ${role}`)
    }
  })

  it('T7: is unknown to a server that is another one, or that cannot know it', async () => {
    const ticket = await ended('commit')
    expect(await ask({ ...ticket, systemIdentifier: '1' } as CommitTicket)).toBe('unknown')
    expect(await ask({ ...ticket, timeline: '00000002' } as CommitTicket)).toBe('unknown')
    // Still to come, and too long ago.
    expect(await ask({ ...ticket, transactionId: '4000000000' })).toBe('unknown')
    expect(await ask({ ...ticket, transactionId: '0' })).toBe('unknown')
  })

  it('T7: is unknown of a ticket that is not ours, and nothing of it gets into a statement', async () => {
    const ticket = await ended('commit')
    const hostile = `1'; drop table marks; --`
    for (const other of [
      { transactionId: ticket.transactionId },
      { ...ticket, transactionId: hostile },
      { ...ticket, systemIdentifier: hostile },
      { ...ticket, timeline: hostile },
      { ...ticket, startedAt: hostile },
      { ...ticket, recoveredTo: hostile },
    ]) {
      expect(await ask(other)).toBe('unknown')
    }
    expect(await scene.marks()).toEqual(['one'])
  })

  it('T7: is asked by any role, whatever its settings are', async () => {
    const role = `asks_anywhere_${process.pid}`
    await scene.admin.query(`create role ${role} login password 'x'; alter role ${role} set timezone to 'Asia/Tokyo';
      alter role ${role} set datestyle to 'German'; alter role ${role} set default_transaction_read_only to on`)
    try {
      const tickets = [await ended('commit'), await ended('rollback')]
      const url = new URL(scene.directUrl)
      url.username = role
      url.password = 'x'
      const pool = openPool(url.href)
      const lease = await lend(pool)
      const answers = tickets.map((ticket) => pool.driver.outcomeOf(ticket, lease.connection, signal))
      expect(await Promise.all(answers)).toEqual(['committed', 'rolled-back'])
      lease.release()
      await pool.close()
    } finally {
      await scene.admin.query(`drop role ${role}`)
    }
  })

  it('T7: is nobody’s to ask of one that was prepared, which COMMIT does not decide on', async () => {
    const connection = await begun()
    await connection.execute(insert('prepared'))
    await connection.execute({ text: `prepare transaction 'later'` })
    try {
      expect(connection.ticket).toBeUndefined()
    } finally {
      await scene.admin.query(`rollback prepared 'later'`)
    }
  })

  it('T7: is not asked once the signal has fired', async () => {
    const reason = new Error('too late')
    expect(await errorOf(ask(await ended('commit'), AbortSignal.abort(reason)))).toBe(reason)
  })
})

it('T7: a standby is not believed what became of a transaction, and one that was promoted cannot know', async () => {
  const cluster = await startCluster()
  try {
    const open = () => openPool(cluster.url)
    const { connection } = await lend(open())
    await connection.begin({}, true)
    await connection.execute({ text: 'create table marks (mark text)' })
    await connection.commit()
    const ticket = ticketOf(connection)
    const { signal } = new AbortController()
    const ask = async () => {
      const pool = open()
      return pool.driver.outcomeOf(ticket, (await lend(pool)).connection, signal)
    }
    expect(await ask()).toBe('committed')

    await cluster.kill('SIGINT')
    await writeFile(join(cluster.dataDir, 'standby.signal'), '')
    // It counts as started once it is promoted.
    const restarted = cluster.restart()
    const standby = await until(async () => (await lend(open())).connection, { what: 'the standby' })
    expect(standby.server).toMatchObject({ timeline: undefined })
    await standby.begin({}, true)
    await standby.execute({ text: `select pg_notify('a', 'b')` }).catch(() => {})
    await standby.rollback()
    await standby.begin({}, true)
    await standby.execute({ text: 'with x as (select 1) select * from x' })
    expect(await standby.commit()).toBe('committed')
    expect(standby.ticket).toBe('nothing')
    const driver = openPool(cluster.url).driver
    expect(await errorOf(driver.outcomeOf(ticket, standby, signal))).toMatchObject({ retry: 'reconnect' })

    await standby.execute({ text: 'select pg_promote()' })
    await restarted
    expect(await ask()).toBe('unknown')
    // A connection that has outlived the promotion knows nothing of the new timeline, and so gives no ticket.
    await standby.begin({}, true)
    await standby.execute({ text: `insert into marks values ('a')` })
    await standby.execute({ text: 'select 1' })
    expect(standby.ticket).toBeUndefined()
    await standby.commit()
  } finally {
    await cluster.stop()
  }
})
