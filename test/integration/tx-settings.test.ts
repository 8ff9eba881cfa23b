// T5: what a transaction is begun with, through both ORMs: it holds in it, in every attempt, and is gone behind it on the
// same connection; and what it limits is limited by the server.

import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import {
  ConnectionLostError,
  InvalidOptionsError,
  LockTimeoutError,
  StatementError,
  type TransactionOptions,
} from '@moorings/core'
import { until } from '../support/until.js'
import { backendOf, byFunction, type Orm, type Runner, retried } from './orms.js'
import { errorOf, gate, useScene, within } from './scene.js'

// Roles belong to the whole server; they go before the database through which they are dropped.
const role = `tenant ${process.pid}`
afterAll(() => scene.admin.query(`drop owned by "${role}"; drop role "${role}"`))
const scene = useScene()
beforeAll(() =>
  scene.admin.query(`
    create role "${role}";
    create table notes (tenant int, note text);
    alter table notes enable row level security;
    create policy own on notes using (tenant = current_setting('app.tenant', true)::int);
    grant select, insert on notes, marks to "${role}";
    insert into notes values (1, 'of one'), (2, 'of two');
    create sequence asked;
    create table locked (id int primary key);
    insert into locked values (1);
    grant usage on sequence asked to "${role}"`),
)

const single = { pool: { min: 0, max: 1, overflow: 0 } }
const soon = 15_000

async function look(runner: Runner, what: string): Promise<unknown> {
  const [row] = await runner.query(`select (${what})::text as seen`)
  return row?.seen
}

const setting = (name: string) => `current_setting('${name}', true)`

const cases: [string, TransactionOptions, string, string][] = [
  ['the isolation level', { isolationLevel: 'serializable' }, setting('transaction_isolation'), 'serializable'],
  ['the isolation level', { isolationLevel: 'repeatable read' }, setting('transaction_isolation'), 'repeatable read'],
  ['the access mode', { accessMode: 'read only' }, setting('transaction_read_only'), 'on'],
  ['deferrable', { deferrable: true }, setting('transaction_deferrable'), 'on'],
  ['statementTimeoutMs', { statementTimeoutMs: 77_000 }, setting('statement_timeout'), '77s'],
  ['lockTimeoutMs', { lockTimeoutMs: 77 }, setting('lock_timeout'), '77ms'],
  ['idleTimeoutMs', { idleTimeoutMs: 77_001 }, setting('idle_in_transaction_session_timeout'), '77001ms'],
  ['a setting of the application', { settings: { 'app.tenant': 7 } }, setting('app.tenant'), '7'],
  ['the role', { role }, 'current_user', role],
]

describe.each(retried)('$name', (orm: Orm) => {
  it.each(cases)('T5: %s (%p) holds until the end, and not behind it', async (_, options, what, inside) => {
    const db = scene.open(orm, single)
    const pid = await backendOf(db)
    const outside = await look(db, what)
    expect(outside).not.toBe(inside)
    const undo = new Error('undo')
    for (const end of ['commit', 'rollback'] as const) {
      const done = db.withTransaction(async (tx) => {
        expect(await look(tx, what)).toBe(inside)
        if (end === 'rollback') throw undo
        return 'done'
      }, options)
      if (end === 'commit') expect(await done).toBe('done')
      else expect(await errorOf(done)).toBe(undo)
      // A setting nobody has heard of is null before, and empty after.
      expect((await look(db, what)) ?? '').toBe(outside ?? '')
    }
    // Nothing was to be cleaned up, either.
    expect(await backendOf(db)).toBe(pid)
    expect(scene.proxy.statements.filter((sql) => /discard|\breset\b/i.test(sql))).toEqual([])
  })

  it('T5: all of it at once travels with the first statement', async () => {
    const db = scene.open(orm, single)
    await db.insert('before')
    const { length } = scene.proxy.statements
    const { roundTrips } = scene.proxy.traffic
    await db.withTransaction((tx) => tx.query(`insert into marks values ('inside')`), {
      ...{ isolationLevel: 'serializable', accessMode: 'read write', deferrable: true, role },
      ...{ statementTimeoutMs: 1_000, lockTimeoutMs: 1_000, idleTimeoutMs: 1_000, settings: { 'app.tenant': 1 } },
    })
    const statements = scene.proxy.statements.slice(length).filter((sql) => !/xact_id/.test(sql))
    expect(statements).toEqual([expect.stringMatching(/^begin; /), `insert into marks values ('inside')`, 'commit'])
    // Drizzle's statements are described first, once.
    expect(scene.proxy.traffic.roundTrips - roundTrips).toBeLessThanOrEqual(3)
    expect(await scene.marks()).toEqual(['before', 'inside'])
  })

  it('T5: as a role with row-level security only what is its own is seen, and behind it everything again', async () => {
    const db = scene.open(orm, single)
    const seenBy = (tenant: number) =>
      db.withTransaction((tx) => tx.query('select note from notes order by note'), {
        role,
        settings: { 'app.tenant': tenant },
      })
    expect(await seenBy(1)).toEqual([{ note: 'of one' }])
    expect(await seenBy(2)).toEqual([{ note: 'of two' }])
    const error = await errorOf(
      db.withTransaction((tx) => tx.query(`insert into notes values (1, 'foisted')`), {
        role,
        settings: { 'app.tenant': 2 },
      }),
    )
    expect(error).toMatchObject({ code: '42501' })
    expect(await db.query('select note from notes order by note')).toEqual([{ note: 'of one' }, { note: 'of two' }])
  })

  it('T5: it holds in every attempt', async () => {
    const db = scene.open(orm, { ...single, transaction: { retry: { initialDelayMs: 1 } } })
    const seen: unknown[] = []
    await db.withTransaction(
      async (tx, { attempt }) => {
        const query = `select current_user::text as who, current_setting('app.tenant') as tenant`
        seen.push(...(await tx.query(query)))
        if (attempt === 1) await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
        if (attempt === 2) scene.proxy.resetAll()
        await tx.insert(`attempt ${attempt}`)
      },
      { role, settings: { 'app.tenant': 7 } },
    )
    expect(seen).toEqual(Array(3).fill({ who: role, tenant: '7' }))
    expect(await scene.marks()).toEqual(['attempt 3'])
  })

  it('T5: a write where it may only read is refused, and is no reason to run it again or to give up the server', async () => {
    const db = scene.open(orm, { ...single, transaction: { retry: { initialDelayMs: 1 } } })
    let runs = 0
    const error = await errorOf(
      db.withTransaction(
        async (tx) => {
          runs++
          await tx.insert('refused')
        },
        { accessMode: 'read only' },
      ),
    )
    expect(error).toBeInstanceOf(StatementError)
    expect(error).toMatchObject({ code: '25006' })
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual([])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, created: 1 })
  })

  it('T5: a setting that the server refuses is what the caller gets, and nothing is done', async () => {
    const db = scene.open(orm, single)
    const options = { settings: { work_mem: 'much' } }
    expect(await errorOf(db.withTransaction((tx) => tx.insert('undone'), options))).toMatchObject({ code: '22023' })
    await db.withTransaction((tx) => tx.insert('next'))
    expect(await scene.marks()).toEqual(['next'])
  })

  it.each<[string, object]>([
    ['isolationLevel', { isolationLevel: 'linearizable' }],
    ['statementTimeoutMs', { statementTimeoutMs: -1 }],
    ['settings', { settings: { 'app.tenant; drop table marks': 1 } }],
    ['timeout', { timeout: 1 }],
  ])('T5: %s that cannot be: nothing runs, and nothing is sent', async (_, options) => {
    const db = scene.open(orm, single)
    let ran = false
    const error = await errorOf(
      db.withTransaction(async () => {
        ran = true
      }, options),
    )
    expect(error).toBeInstanceOf(InvalidOptionsError)
    expect(ran).toBe(false)
    expect(scene.proxy.statements).toEqual([])
    expect(db.pool.stats()).toMatchObject({ leased: 0 })
  })

  it.each<[string, unknown]>([
    ['a string with a zero byte', 'hunter2\0'],
    ['a number', Number.NaN],
    ['a bigint', 707n],
    ['a symbol', Symbol('hunter2')],
    ['a list', ['hunter2']],
    ['an object', { hunter2: 'hunter2' }],
    ['a function', () => 'hunter2'],
  ])('T5: what is refused as the value of a setting (%s) is nowhere to be read in the error', async (_, value) => {
    const db = scene.open(orm, single)
    for (const settings of [{ 'app.a': value }, { work_mem: 'hunter2', 'app.a': value }, { role: 'hunter2' }]) {
      const options: TransactionOptions = { settings: Object(settings) }
      const error = await errorOf(db.withTransaction((tx) => tx.query('select 1'), options))
      expect(error).toBeInstanceOf(InvalidOptionsError)
      const { stack } = error instanceof Error ? error : {}
      const told = [String(error), JSON.stringify(error), inspect(error, { depth: 9, showHidden: true }), stack]
      for (const text of told) expect(text).not.toMatch(/hunter2|NaN|707/)
    }
  })

  it('T5: statementTimeoutMs ends each of its statements that takes longer', async () => {
    const db = scene.open(orm, single)
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(
          async (tx) => {
            await tx.insert('undone')
            await tx.query('select pg_sleep(60)')
          },
          { statementTimeoutMs: 50 },
        ),
      ),
    )
    expect(error).toBeInstanceOf(StatementError)
    expect(error).toMatchObject({ code: '57014', message: expect.stringContaining('statement timeout') })
    expect(await scene.marks()).toEqual([])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, created: 1 })
  })

  it('T5: lockTimeoutMs ends the wait for a lock; what else it does takes the time it takes', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const [locked, end] = [gate(), gate()]
    const holder = db.withTransaction(async (tx) => {
      await tx.query('select id from locked for update')
      locked.open()
      await end.opened
    })
    await locked.opened
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(
          async (tx) => {
            await tx.query(`insert into marks select 'slow' from pg_sleep(0.2)`)
            await tx.query('select id from locked for update')
          },
          { lockTimeoutMs: 50 },
        ),
      ),
    )
    end.open()
    await holder
    expect(error).toBeInstanceOf(LockTimeoutError)
    expect(error).toMatchObject({ code: '55P03' })
    expect(await scene.marks()).toEqual([])
  })

  it('T5: idleTimeoutMs: the server ends what lies idle in between, and it is not run again to lie idle again', async () => {
    const db = scene.open(orm, { ...single, transaction: { retry: { initialDelayMs: 1 } } })
    let runs = 0
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(
          async (tx) => {
            runs++
            await tx.insert('undone')
            await until(() => db.pool.stats().lost === 1, { what: 'the server to end it' })
            await tx.insert('late')
          },
          { idleTimeoutMs: 50 },
        ),
      ),
    )
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ code: '25P03' })
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual([])
    expect(db.pool.stats()).toMatchObject({ leased: 0 })
  })
})

describe.each(byFunction)('$name', (orm: Orm) => {
  it('T5: what joins has them, too', async () => {
    const db = scene.open(orm, single)
    await db.withTransaction(
      async () => {
        expect(await look(db, 'current_user')).toBe(role)
        await db.insert('joined')
      },
      { role },
    )
    expect(await look(db, 'current_user')).not.toBe(role)
    expect(await scene.marks()).toEqual(['joined'])
  })
})
