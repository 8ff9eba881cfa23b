// P17, P18: a connection that died takes its handles with it. Whoever holds one may not end up on somebody else's
// backend, and whoever asks the pool again gets another connection.

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '@moorings/core'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createClient } from '@moorings/postgres'
import { Kysely, sql } from 'kysely'
import { killBackends } from '../support/admin.js'
import { until } from '../support/until.js'
import { backendOf, type Db, type Orm, orms, type Runner, type Schema, type Tx, transactional } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { pool: { min: 0, max: 1, overflow: 0 } }
const patience = 5_000

/** How a connection dies, and what of it must survive into the errors. */
const deaths = [
  ['killed by the server', '57P01', (pid: number) => killBackends(scene.admin, 'pid = $1', [pid])],
  ['reset by the network', 'ECONNRESET', () => scene.proxy.resetAll()],
  ['closed by the network', undefined, () => scene.proxy.closeAll()],
] as const

async function die(db: Db, pid: number, how: (pid: number) => unknown): Promise<void> {
  await how(pid)
  await until(() => db.pool.stats().lost === 1, { what: 'the pool to notice' })
}

/** Others take new connections, and are at work on them, in a transaction and out of one. */
async function othersGoOn<T>(db: Db, dead: number, meanwhile: () => Promise<T>): Promise<T> {
  const result = await db.transaction(async (tx) => {
    expect(await within(patience, backendOf(tx))).not.toBe(dead)
    const seen = await meanwhile()
    await tx.insert('of others')
    return seen
  })
  await db.query('select 1')
  return result
}

/** Whatever is tried through the dead handle, and however often. */
async function tries(runner: Runner): Promise<unknown[]> {
  const errors: unknown[] = []
  for (let i = 0; i < 3; i++) {
    errors.push(await within(patience, errorOf(runner.insert('orphan'))))
    errors.push(await within(patience, errorOf(runner.query(`insert into marks values ('orphan')`))))
    await new Promise((resolve) => setImmediate(resolve))
  }
  return errors
}

describe.each(transactional)('$name', (orm: Orm) => {
  it.each(deaths)('P18: the handle of a transaction whose backend was %s rejects for ever', async (_, code, how) => {
    const db = scene.open(orm, single)
    let kept: Tx | undefined
    const seen = await outcome(
      db.transaction(async (tx) => {
        kept = tx
        const pid = await backendOf(tx)
        await tx.insert('lost')
        await die(db, pid, how)
        const errors = [...(await tries(tx)), ...(await othersGoOn(db, pid, () => tries(tx))), ...(await tries(tx))]
        for (const error of errors) {
          expect(error).toBeInstanceOf(ConnectionLostError)
          if (code !== undefined) expect(error).toMatchObject({ code })
        }
        expect(errors).toHaveLength(18)
        // The body has seen enough, and pretends that all went well.
      }),
    )
    expect('error' in seen).toBe(true)
    if (kept === undefined) throw new Error('the body did not run')
    await tries(kept)
    await othersGoOn(db, 0, () => tries(kept ?? db))
    expect(await scene.marks()).toEqual(['of others', 'of others'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, lost: 1 })
  })

  it('P18: a body that goes on after its statement was killed in flight persists nothing, and undoes nobody else’s', async () => {
    const db = scene.open(orm, single)
    const error = await errorOf(
      db.transaction(async (tx) => {
        const pid = await backendOf(tx)
        await tx.insert('lost')
        const sleeping = errorOf(tx.query('select pg_sleep(60)'))
        await until(async () => (await scene.backends()).some(({ state }) => state === 'active'), { what: 'the sleep' })
        await killBackends(scene.admin, 'pid = $1', [pid])
        expect(await within(patience, sleeping)).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
        await othersGoOn(db, pid, async () => {
          await tries(tx)
          throw new Error('ends the others’ transaction with ROLLBACK')
        }).catch(() => {})
        await othersGoOn(db, pid, () => tries(tx))
        throw new Error('the body’s own')
      }),
    )
    expect(error).toMatchObject({ message: 'the body’s own' })
    expect(await scene.marks()).toEqual(['of others'])
    expect(scene.proxy.statements.filter((one) => one === 'rollback')).toHaveLength(1)
  })

  it('P17: the server’s own SQLSTATE survives: 25P03 of a transaction that idled too long', async () => {
    const db = scene.open(orm, single)
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.query(`set local idle_in_transaction_session_timeout = '100ms'`)
        await until(() => db.pool.stats().lost === 1, { what: 'the server to end it' })
        await tx.insert('too late')
      }),
    )
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ code: '25P03' })
    expect(await scene.marks()).toEqual([])
  })
})

describe.each(orms)('$name', (orm: Orm) => {
  it.each([
    ['reset', 'before'],
    ['reset', 'after'],
    ['fin', 'before'],
    ['fin', 'after'],
  ] as const)('P17: retrying in catch after a %s (%s the server got it) has a new connection', async (how, when) => {
    const db = scene.open(orm, single)
    for (let round = 0; round < 4; round++) {
      const before = await backendOf(db)
      scene.proxy.cutWhen({
        direction: 'to-server',
        match: (_, { executes }) => executes === 'select 17',
        when,
        how,
      })
      let after: number | undefined
      try {
        await within(patience, db.query('select 17'))
      } catch (error) {
        expect(error).toBeInstanceOf(ConnectionLostError)
        after = await within(patience, backendOf(db))
      }
      expect(after).toBeDefined()
      expect(after).not.toBe(before)
    }
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, lost: 4, created: 5 })
  })

  it('P17: retrying in catch after the backend was killed, too, and the error says 57P01', async () => {
    const db = scene.open(orm, single)
    const pid = await backendOf(db)
    const retried = db.query('select pg_sleep(60)').catch(async (error: unknown) => {
      expect(error).toMatchObject({ name: 'ConnectionLostError', code: '57P01', retry: 'reconnect' })
      return backendOf(db)
    })
    await until(async () => (await scene.backends()).some(({ state }) => state === 'active'), { what: 'the sleep' })
    // Sooner it would be sent again.
    await pause(1_100)
    await scene.killAll()
    expect(await within(patience, retried)).not.toBe(pid)
  })

  it.each(deaths)('P18: a lease whose backend was %s rejects for ever', async (_, code, how) => {
    const db = scene.open(orm, single)
    const lease = await db.pool.acquire()
    const pid = lease.connection.backendKey?.pid ?? 0
    await die(db, pid, how)
    const look = async () => {
      expect(lease.lost).toBe(true)
      expect(() => lease.connection).toThrow(ConnectionLostError)
      if (code !== undefined) expect(() => lease.connection).toThrow(expect.objectContaining({ code }))
    }
    await look()
    await othersGoOn(db, pid, look)
    await look()
    lease.release()
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, lost: 1 })
  })
})

describe.each(deaths)('a session whose backend was %s', (_, code, how) => {
  const open = (index: number) => {
    const orm = orms[index]
    if (orm === undefined) throw new Error('no such ORM')
    return scene.open(orm, single)
  }
  const lost = { name: 'ConnectionLostError', ...(code === undefined ? {} : { code }) }

  it('P18: $client.reserve() rejects for ever, and its INSERT persists nothing', async () => {
    const db = open(0)
    const reserved = await createClient(db.pool).reserve()
    const [row] = await reserved`select pg_backend_pid() as pid`
    const session: Runner = {
      query: async (text) => [...(await reserved.unsafe(text))],
      insert: async (mark) => {
        await reserved`insert into marks values (${mark})`
      },
    }
    await die(db, Number(row?.pid), how)
    const errors = [...(await tries(session)), ...(await othersGoOn(db, Number(row?.pid), () => tries(session)))]
    for (const error of errors) expect(error).toMatchObject(lost)
    reserved.release()
    await tries(session)
    expect(await scene.marks()).toEqual(['of others'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1 })
  })

  it('P18: Kysely’s connection() rejects for ever, and its INSERT persists nothing', async () => {
    const db = open(1)
    const native = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: db.pool }) })
    await native.connection().execute(async (connection) => {
      const session: Runner = {
        query: async (text) => (await sql.raw<Record<string, unknown>>(text).execute(connection)).rows,
        insert: async (mark) => {
          await connection.insertInto('marks').values({ mark }).execute()
        },
      }
      const pid = await backendOf(session)
      await die(db, pid, how)
      const errors = [...(await tries(session)), ...(await othersGoOn(db, pid, () => tries(session)))]
      for (const error of errors) expect(error).toMatchObject(lost)
    })
    expect(await scene.marks()).toEqual(['of others'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1 })
  })
})
