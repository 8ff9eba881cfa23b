// The application's own steps in a connection's life, each doing its work on a real server. That they may fail is in
// pool-set-up-failures.test.ts and below.

import { describe, expect, it } from '@jest/globals'
import { type AcquireVerdict, HookError, type HookOptions } from '@moorings/core'
import { createClient } from '@moorings/postgres'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { giveBackAll, hold, holdSeveral } from './held.js'
import { backendOf, type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const patience = 5_000
const one = { min: 0, max: 1, overflow: 0 }
const three = { min: 0, max: 3, overflow: 0 }

const open = (orm: Orm, hooks: HookOptions, pool: ResilienceOptions['pool'] = one): Db =>
  scene.open(orm, { pool, hooks })

/** A value in the one row and column of the answer. */
async function ask(db: Pick<Db, 'query'>, sql: string): Promise<unknown> {
  const [row] = await db.query(sql)
  return Object.values(row ?? {})[0]
}

/** Everything of the session undone, by a borrower that may do what it likes. */
async function discardAll(db: Db): Promise<void> {
  const sql = await createClient(db.pool).reserve()
  try {
    await sql`set search_path = pg_catalog`
    await sql`drop table if exists registry`
    await sql`reset all`
  } finally {
    sql.release()
  }
}

describe.each(orms)('$name', (orm: Orm) => {
  it('afterConnect sets a search_path and makes a temporary table: there for every borrower, also after a session that undid them', async () => {
    await scene.admin.query('create schema if not exists elsewhere')
    await scene.admin.query('create table if not exists elsewhere.only_there as select 7 as n')
    let called = 0
    const db = open(
      orm,
      {
        async afterConnect({ connection }) {
          called++
          await connection.execute({ text: 'set search_path = elsewhere, public' })
          await connection.execute({ text: 'create temp table if not exists registry as select 42 as n' })
        },
      },
      { ...three, onConnect: `set work_mem = '5MB'; set statement_timeout = '50s'` },
    )
    const asExpected = async () => {
      expect(await ask(db, 'select n from only_there')).toBe(7)
      expect(await ask(db, 'select n from registry')).toBe(42)
      expect(await ask(db, 'show work_mem')).toBe('5MB')
      expect(await ask(db, 'show statement_timeout')).toBe('50s')
    }
    await giveBackAll(await holdSeveral(db, 3))
    expect(called).toBe(3)
    const pids = (await scene.backends()).map(({ pid }) => pid)
    await asExpected()
    // The one that was used last is borrowed next: always the same.
    await discardAll(db)
    await asExpected()
    await db.transaction((tx) => tx.query('set search_path = pg_catalog'))
    await asExpected()
    expect((await scene.backends()).map(({ pid }) => pid).sort()).toEqual(pids.sort())
  })

  it('afterConnect runs on what takes the place of a lost connection, too', async () => {
    const db = open(orm, {
      afterConnect: async ({ connection }) => {
        await connection.execute({ text: `set app.born = 'yes'` })
      },
    })
    expect(await ask(db, `select current_setting('app.born', true)`)).toBe('yes')
    await scene.killAll()
    await until(() => db.pool.stats().lost === 1, { what: 'the pool to hear of it' })
    expect(await ask(db, `select current_setting('app.born', true)`)).toBe('yes')
    expect(db.pool.stats()).toMatchObject({ created: 2, lost: 1 })
  })

  it('beforeAcquire sets app.tenant for each borrower, who sees its own and not the last one’s', async () => {
    let borrowed = 0
    const db = open(orm, {
      async beforeAcquire({ connection }) {
        borrowed++
        await connection.execute({ text: `select set_config('app.tenant', '${borrowed}', false)` })
      },
    })
    const tenant = `select current_setting('app.tenant', true)`
    const seen = [await ask(db, tenant), await db.transaction((tx) => ask(tx, tenant)), await ask(db, tenant)]
    seen.push(...(await Promise.all(Array.from({ length: 5 }, () => db.transaction((tx) => ask(tx, tenant))))))
    expect(seen).toEqual(['1', '2', '3', '4', '5', '6', '7', '8'])
    expect(db.pool.stats()).toMatchObject({ created: 1, acquired: 8 })
  })

  it('beforeAcquire that sets app.tenant now and then: a transaction after one with a tenant sees none', async () => {
    let tenant: string | undefined = 'a'
    const db = open(orm, {
      async beforeAcquire({ connection }) {
        if (tenant !== undefined) {
          await connection.execute({ text: `select set_config('app.tenant', '${tenant}', false)` })
        }
      },
    })
    const question = `select nullif(current_setting('app.tenant', true), '')`
    expect(await db.transaction((tx) => ask(tx, question))).toBe('a')
    tenant = undefined
    expect(await db.transaction((tx) => ask(tx, question))).toBeNull()
    tenant = 'b'
    expect(await db.transaction((tx) => ask(tx, question))).toBe('b')
    expect(db.pool.stats()).toMatchObject({ created: 1 })
  })

  it('beforeAcquire decides: another connection, or an error with the connection kept or destroyed', async () => {
    const refusal = new Error('not for you')
    const verdicts: AcquireVerdict[] = ['replace', 'use', { fail: refusal, connection: 'keep' }, 'use']
    verdicts.push({ fail: refusal, connection: 'destroy' })
    const db = open(orm, { beforeAcquire: () => verdicts.shift() })
    const replaced = eventsOf(scene, db.pool, 'moorings:connection:closed')
    const pid = await within(patience, backendOf(db))
    expect(replaced).toMatchObject([{ reason: 'hook', uses: 0 }])
    const kept = await within(patience, errorOf(db.query('select 1')))
    expect(kept).toBeInstanceOf(HookError)
    expect(kept).toMatchObject({ hook: 'beforeAcquire', cause: refusal })
    expect(await within(patience, backendOf(db))).toBe(pid)
    const destroyed = await within(patience, errorOf(db.transaction((tx) => tx.insert('refused'))))
    expect(destroyed).toMatchObject({ name: 'HookError', cause: refusal })
    expect(await within(patience, backendOf(db))).not.toBe(pid)
    expect(await scene.backends()).toHaveLength(1)
    expect(await scene.marks()).toEqual([])
  })

  it('afterRelease does its work on the server after each borrower, and may destroy what came back', async () => {
    const held: number[] = []
    let destroy = false
    const db = open(orm, {
      async afterRelease({ connection, heldMs }) {
        await connection.execute({ text: `insert into marks values ('released')` })
        held.push(heldMs)
        return destroy ? 'destroy' : 'keep'
      },
    })
    const pid = await backendOf(db)
    await db.transaction((tx) => tx.insert('mine'))
    expect(await backendOf(db)).toBe(pid)
    // The fourth waits until the work after the third is done.
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
    await until(() => held.length === 4, { what: 'the last return' })
    expect(await scene.marks()).toEqual(['mine', ...Array.from({ length: 4 }, () => 'released')])
    for (const ms of held) expect(ms).toBeGreaterThan(0)
    destroy = true
    await db.query('select 1')
    await until(async () => (await scene.backends()).length === 0, { what: 'the backend to go' })
    expect(await within(patience, backendOf(db))).not.toBe(pid)
  })

  it('what afterRelease leaves on the session is there for the next borrower, and is no leftover', async () => {
    const db = open(orm, {
      async afterRelease({ connection }) {
        await connection.execute({ text: `set app.cleaned = 'yes'` })
      },
    })
    const resets = eventsOf(scene, db.pool, 'moorings:connection:reset')
    const question = `select nullif(current_setting('app.cleaned', true), '')`
    expect(await ask(db, question)).toBeNull()
    expect(await ask(db, question)).toBe('yes')
    expect(await db.transaction((tx) => ask(tx, question))).toBe('yes')
    expect(resets).toEqual([])
  })

  it('a waiter gets a connection only after afterRelease is done with it', async () => {
    const steps: string[] = []
    const db = open(orm, {
      async afterRelease({ connection }) {
        steps.push('begins')
        await connection.execute({ text: 'select pg_sleep(0.1)' })
        steps.push('ends')
      },
    })
    const held = await hold(db)
    const waiting = db.transaction(async () => {
      steps.push('served')
    })
    await until(() => db.pool.stats().waiting === 1, { what: 'the waiter' })
    await held.giveBack()
    await within(patience, waiting)
    expect(steps.slice(0, 3)).toEqual(['begins', 'ends', 'served'])
  })

  it('beforeClose says its word on the server when the pool closes, on each connection', async () => {
    const reasons: string[] = []
    const db = open(
      orm,
      {
        async beforeClose({ connection, reason }) {
          reasons.push(reason)
          await connection.execute({ text: `insert into marks values ('goodbye')` })
        },
      },
      { ...three, overflow: 2 },
    )
    const held = await holdSeveral(db, 5)
    await giveBackAll(held)
    await until(() => reasons.length === 2, { what: 'the two of overflow to go' })
    expect(reasons).toEqual(['overflow', 'overflow'])
    const late = await hold(db)
    const closed = db.close()
    await until(() => reasons.length === 4, { what: 'the idle ones to say goodbye' })
    await late.giveBack()
    await within(patience, closed)
    expect(reasons.slice(2)).toEqual(['closing', 'closing', 'closing'])
    expect(await scene.backends()).toHaveLength(0)
    expect(await scene.marks()).toEqual(Array.from({ length: 5 }, () => 'goodbye'))
  })

  it('hooks that fail on the server are told as such, and the pool goes on', async () => {
    const divide: HookOptions['beforeAcquire'] = async ({ connection }) => {
      await connection.execute({ text: 'select 1 / 0' })
    }
    let failing: 'beforeAcquire' | 'afterRelease' | 'beforeClose' | undefined
    const run = (name: typeof failing) => async (context: Parameters<NonNullable<typeof divide>>[0]) => {
      if (failing === name) await divide(context)
    }
    const db = open(orm, {
      beforeAcquire: async (context) => run('beforeAcquire')(context),
      afterRelease: async (context) => run('afterRelease')(context),
      beforeClose: run('beforeClose'),
    })
    const told = eventsOf(scene, db.pool, 'moorings:hook:failed')
    const first = await backendOf(db)
    failing = 'beforeAcquire'
    expect(await within(patience, errorOf(db.query('select 1')))).toMatchObject({
      name: 'HookError',
      hook: 'beforeAcquire',
      cause: { code: '22012' },
    })
    failing = 'afterRelease'
    const second = await within(patience, backendOf(db))
    expect(second).not.toBe(first)
    failing = undefined
    expect(await within(patience, backendOf(db))).not.toBe(second)
    failing = 'beforeClose'
    await within(patience, db.close())
    expect(told.map(({ hook }) => hook)).toEqual(['beforeAcquire', 'afterRelease', 'beforeClose'])
    expect(await scene.backends()).toHaveLength(0)
  })
})
