// T5: what a transaction is begun with holds in it and not behind it, and all of it goes over the wire with its first
// statement. The proxy counts; a database of its own looks from the server's side.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Lease, TransactionSettings } from '@moorings/core'
import { createPool, type PostgresConnection, type PostgresPool } from '@moorings/postgres'
import { useScene } from './scene.js'

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
