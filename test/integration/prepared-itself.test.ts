// Statements that are prepared though nobody has asked for it: which, where, and that nobody notices it but by the clock.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, StatementTimeoutError } from '@moorings/core'
import { ResilientPostgresDialect, withTransaction } from '@moorings/kysely'
import { createClient } from '@moorings/postgres'
import { CompiledQuery, Kysely } from 'kysely'
import { eventsOf } from './events.js'
import { byFunction, type Db, type Orm, orms, type ResilienceOptions, type Runner } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const one = { min: 1, max: 1, overflow: 0 }

const kept = async (runner: Runner): Promise<string[]> => {
  const rows = await runner.query(
    `select statement from pg_prepared_statements where statement not like '%pg_prepared%' order by prepare_time`,
  )
  return rows.map(({ statement }) => String(statement))
}

async function often(runner: Runner, text: string, times = 4): Promise<unknown[][]> {
  const answers: unknown[][] = []
  for (let i = 0; i < times; i++) answers.push(await runner.query(text))
  return answers
}

describe.each(orms)('$name', (orm: Orm) => {
  const open = (statement: ResilienceOptions['statement'] = {}): Db => scene.open(orm, { pool: one, statement })

  it('what comes for the third time is prepared, once, and answers the same', async () => {
    const db = open()
    expect(await often(db, 'select 1 as n', 2)).toEqual([[{ n: 1 }], [{ n: 1 }]])
    expect(await kept(db)).toEqual([])
    expect(await often(db, 'select 1 as n', 5)).toEqual(Array(5).fill([{ n: 1 }]))
    expect(await kept(db)).toEqual(['select 1 as n'])
  })

  it('the query builder’s statements with their parameters are prepared, also within transactions', async () => {
    const db = open()
    for (let i = 0; i < 4; i++) await db.insert(`a${i}`)
    await db.transaction(async (tx) => {
      for (let i = 0; i < 4; i++) await tx.insert(`b${i}`)
      expect(await kept(tx)).toEqual([expect.stringMatching(/^insert into "marks"/)])
    })
    expect(await scene.marks()).toEqual(['a0', 'a1', 'a2', 'a3', 'b0', 'b1', 'b2', 'b3'])
  })

  it('several statements in one text, and what is not about rows, are sent as they are', async () => {
    const db = open()
    await often(db, 'select 1; select 2', 5)
    await often(db, 'set statement_timeout = 1000', 5)
    expect(await kept(db)).toEqual([])
  })

  it("prepare: 'never' and maxPrepared: 0 leave it", async () => {
    for (const statement of [{ prepare: 'never' }, { maxPrepared: 0 }] as const) {
      const db = open(statement)
      await often(db, 'select 2 as n', 6)
      expect(await kept(db)).toEqual([])
    }
  })

  it('a connection keeps so many, and makes place for another when other statements come', async () => {
    const db = open({ maxPrepared: 3 })
    const closed = eventsOf(scene, db.pool, 'moorings:connection:closed')
    for (const n of [1, 2, 3, 4, 5]) await often(db, `select ${n} as n`)
    expect((await kept(db)).length).toBe(3)
    // None of the first three is asked for any more.
    for (let i = 0; i < 6; i++) for (const n of [4, 5]) await db.query(`select ${n} as n`)
    expect(closed.map(({ reason }) => reason)).toEqual(['worn'])
    for (let i = 0; i < 4; i++) for (const n of [4, 5]) expect(await db.query(`select ${n} as n`)).toEqual([{ n }])
    expect((await kept(db)).sort()).toEqual(['select 4 as n', 'select 5 as n'])
    expect(db.pool.stats()).toMatchObject({ lost: 0, closedBy: { worn: 1 } })
  })

  it('more statements than a connection may keep, asked for again and again, do not make it worn', async () => {
    const db = open({ maxPrepared: 3 })
    for (let i = 0; i < 30; i++) for (let n = 0; n < 8; n++) await db.query(`select ${n} as n`)
    expect(db.pool.stats()).toMatchObject({ created: 1, closedBy: { worn: 0 } })
    expect((await kept(db)).length).toBeLessThanOrEqual(3)
  })

  it('one that the server cannot even parse is not tried for ever', async () => {
    const db = open({ maxPrepared: 4 })
    for (let i = 0; i < 12; i++)
      await expect(db.query('select nothing_like_it')).rejects.toMatchObject({ code: '42703' })
    await often(db, 'select 6 as n')
    expect(await kept(db)).toEqual(['select 6 as n'])
  })

  it('one that failed in itself is prepared all the same', async () => {
    const db = open()
    for (let i = 0; i < 5; i++) await expect(db.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' })
    expect(await kept(db)).toEqual(['select 1 / 0'])
  })

  it('what somebody deallocates is prepared anew', async () => {
    const db = open()
    await often(db, 'select 7 as n')
    for (const gone of ['deallocate all', 'discard all']) {
      await db.query(gone)
      expect(await often(db, 'select 7 as n')).toEqual(Array(4).fill([{ n: 7 }]))
    }
  })
})

describe.each(orms)('$name: a table that changes', (orm: Orm) => {
  const open = (max: number): Db => scene.open(orm, { pool: { min: max, max, overflow: 0 } })
  const all = 'select * from changing'

  async function changing(db: Db): Promise<void> {
    await scene.admin.query(
      'drop table if exists changing; create table changing (a int); insert into changing values (1)',
    )
    for (let i = 0; i < 8; i++) await Promise.all(Array.from({ length: 3 }, () => db.query(all)))
  }
  const change = () => scene.admin.query('alter table changing add column b text')

  it('single statements find the new columns, and nobody hears of the old plan', async () => {
    const db = open(3)
    await changing(db)
    await change()
    for (let i = 0; i < 6; i++) {
      const answers = await Promise.all(Array.from({ length: 3 }, () => db.query(all)))
      expect(answers).toEqual(Array(3).fill([{ a: 1, b: null }]))
    }
    expect(db.pool.stats()).toMatchObject({ lost: 0 })
  })

  it('a transaction that is never run again does not fail either', async () => {
    const db = open(3)
    await changing(db)
    await change()
    await Promise.all(
      Array.from({ length: 3 }, () =>
        db.transaction(async (tx) => {
          await tx.insert('changed')
          expect(await tx.query(all)).toEqual([{ a: 1, b: null }])
        }),
      ),
    )
    expect(await scene.marks()).toEqual(['changed', 'changed', 'changed'])
  })

  it('after one plan was found out of date, no other one ends a transaction', async () => {
    const db = open(3)
    const texts = [1, 2, 3].map((n) => `select a, ${n} as n from changing`)
    await changing(db)
    for (const text of texts) for (let i = 0; i < 8; i++) await Promise.all([1, 2, 3].map(() => db.query(text)))
    await scene.admin.query('alter table changing alter column a type text')
    expect(await db.query(texts[0] ?? '')).toEqual([{ a: '1', n: 1 }])
    await Promise.all(
      Array.from({ length: 3 }, () =>
        db.transaction(async (tx) => {
          for (const [i, text] of texts.entries()) expect(await tx.query(text)).toEqual([{ a: '1', n: i + 1 }])
        }),
      ),
    )
    // They are prepared again in time.
    for (let i = 0; i < 8; i++) for (const text of texts) await db.query(text)
    expect(await kept(db)).toEqual(expect.arrayContaining(texts))
  })
})

describe.each(byFunction)('$name: a table that changes', (orm: Orm) => {
  it('a transaction whose plan is out of date is run again, once, and applied once', async () => {
    const db = scene.open(orm, { pool: { min: 3, max: 3, overflow: 0 }, transaction: {} })
    await scene.admin.query(
      'drop table if exists changing; create table changing (a int); insert into changing values (1)',
    )
    const text = 'select a from changing'
    for (let i = 0; i < 8; i++) await Promise.all(Array.from({ length: 3 }, () => db.query(text)))
    await scene.admin.query('alter table changing alter column a type text')
    let attempts = 0
    await db.withTransaction(
      async (tx) => {
        attempts++
        await tx.insert('once')
        expect(await tx.query(text)).toEqual([{ a: '1' }])
      },
      { retry: { initialDelayMs: 1 } },
    )
    expect(attempts).toBe(2)
    expect(await scene.marks()).toEqual(['once'])
  })
})

describe('parameters whose types change', () => {
  const text = 'select id from accounts where id = $1'
  const bigger = '5000000000'

  /** Through the client, as Drizzle does, and with text for values, as Kysely does. */
  async function accounts(max = 1, statement: ResilienceOptions['statement'] = {}) {
    await scene.admin.query(
      'drop table if exists accounts; create table accounts (id int); insert into accounts values (1)',
    )
    const db = scene.open(orms[1] as Orm, { pool: { min: max, max, overflow: 0 }, statement })
    const kysely = new Kysely<unknown>({ dialect: new ResilientPostgresDialect({ client: db.pool }) })
    const ask = async (id: unknown, on = kysely) =>
      (await on.executeQuery<{ id: unknown }>(CompiledQuery.raw(text, [id]))).rows
    for (let i = 0; i < 8; i++) await Promise.all(Array.from({ length: max }, () => ask(1)))
    return { db, kysely, ask }
  }
  const widen = () =>
    scene.admin.query(`alter table accounts alter column id type bigint; insert into accounts values (${bigger})`)

  it('a single statement finds what is only there since then', async () => {
    const { db, ask } = await accounts()
    await widen()
    for (let i = 0; i < 3; i++) expect(await ask(bigger)).toEqual([{ id: bigger }])
    expect(db.pool.stats()).toMatchObject({ lost: 0, created: 1 })
  })

  it('so it does when the type is another one altogether', async () => {
    const { ask } = await accounts()
    await scene.admin.query('alter table accounts alter column id type text')
    for (let i = 0; i < 3; i++) expect(await ask('1')).toEqual([{ id: '1' }])
  })

  it('a value that is wrong is refused as ever, and the statement stays prepared', async () => {
    const { db, ask } = await accounts()
    for (let i = 0; i < 3; i++) {
      await expect(ask('one')).rejects.toMatchObject({ code: '22P02' })
      expect(await ask(1)).toEqual([{ id: 1 }])
    }
    expect(await kept(db)).toEqual([text])
    const uses = async () => {
      const [row] = await db.query('select generic_plans + custom_plans as n from pg_prepared_statements')
      return Number(row?.n)
    }
    const before = await uses()
    await ask(1)
    expect(await uses()).toBe(before + 1)
  })

  it('within transactions it is refused once for all connections', async () => {
    const { kysely, ask } = await accounts(3)
    await widen()
    const inTransaction = () => kysely.transaction().execute((tx) => ask(bigger, tx))
    await expect(inTransaction()).rejects.toMatchObject({ code: '22003' })
    for (let i = 0; i < 3; i++) {
      expect(await Promise.all([1, 2, 3].map(inTransaction))).toEqual(Array(3).fill([{ id: bigger }]))
    }
  })

  it('within one that is run again nobody hears of it where it is sure', async () => {
    const { kysely, ask } = await accounts(3)
    await scene.admin.query('alter table accounts alter column id type text')
    let attempts = 0
    const answer = await withTransaction(
      kysely,
      (tx) => {
        attempts++
        return ask('1', tx)
      },
      { retry: { initialDelayMs: 1 } },
    )
    expect({ answer, attempts }).toEqual({ answer: [{ id: '1' }], attempts: 2 })
  })

  it.each([120, 250])('one whose time is over in the midst of it, with %d ms of delay', async (delayMs) => {
    const { db, ask } = await accounts(1, { timeoutMs: 400 })
    await widen()
    scene.proxy.delay(delayMs)
    expect(await within(10_000, errorOf(ask(bigger)))).toBeInstanceOf(StatementTimeoutError)
    scene.proxy.delay(0)
    expect(await within(10_000, ask(bigger))).toEqual([{ id: bigger }])
    expect(db.pool.stats().leased).toBe(0)
  })

  it.each([120, 250])('one whose connection is lost in the midst of it, with %d ms of delay', async (delayMs) => {
    const { ask } = await accounts()
    await widen()
    scene.proxy.delay(delayMs)
    const asked = errorOf(ask(bigger))
    await new Promise((resolve) => setTimeout(resolve, 350))
    scene.proxy.resetAll()
    scene.proxy.delay(0)
    expect(await within(10_000, asked)).toBeInstanceOf(ConnectionLostError)
    expect(await within(10_000, ask(bigger))).toEqual([{ id: bigger }])
  })
})

describe.each(orms)('$name: names that mean something else', (orm: Orm) => {
  const text = 'select state from jobs'
  const filtered = `select state from jobs where state = 'new'`

  /** The same table in two schemas, each with a type of its own. */
  async function opened(): Promise<Db> {
    await scene.admin.query(
      ['public', 'other']
        .map(
          (schema) => `create schema if not exists ${schema};
            drop table if exists ${schema}.jobs; drop type if exists ${schema}.state;
            create type ${schema}.state as enum ('new', '${schema}');
            create table ${schema}.jobs (state ${schema}.state); insert into ${schema}.jobs values ('${schema}'), ('new')`,
        )
        .join(';'),
    )
    const db = scene.open(orm, { pool: one })
    await often(db, text)
    await often(db, filtered)
    expect(await kept(db)).toEqual([text, filtered])
    return db
  }
  const here = [{ state: 'public' }, { state: 'new' }]
  const there = [{ state: 'other' }, { state: 'new' }]

  async function expectThere(tx: Runner): Promise<void> {
    for (let i = 0; i < 5; i++) {
      expect(await tx.query(text)).toEqual(there)
      expect(await tx.query(filtered)).toEqual([{ state: 'new' }])
    }
  }
  async function expectHere(db: Runner): Promise<void> {
    expect(await db.query(text)).toEqual(here)
    expect(await db.query(filtered)).toEqual([{ state: 'new' }])
  }

  it.each([
    'set local search_path = other',
    `SET LOCAL "search_path" TO other`,
    `select set_config('search_path', 'other', true)`,
    `select set_config('search' || '_path', 'other', true)`,
    `do $$ begin set local search_path = other; end $$`,
    `set local schema 'other'`,
  ])('for a transaction: %s', async (set) => {
    const db = await opened()
    await db.transaction(async (tx) => {
      await tx.query(set)
      await expectThere(tx)
    })
    await expectHere(db)
    expect(db.pool.stats()).toMatchObject({ created: 1, lost: 0 })
    expect((await kept(db)).length).toBe(2)
  })

  it('for a transaction that begins with it', async () => {
    const db = await opened()
    await db.withTransaction(expectThere, { settings: { search_path: 'other' } })
    await expectHere(db)
    expect((await kept(db)).length).toBe(2)
  })

  it('from a single statement on, which is nobody’s to undo', async () => {
    const db = await opened()
    const sql = createClient(db.pool)
    // Its parameter has the type of the one schema or of the other.
    const ask = () => sql.unsafe('select count(*)::int as n from jobs where state = $1', ['new'])
    for (let i = 0; i < 4; i++) await ask()
    await db.query('set search_path = other')
    await expectThere(db)
    for (let i = 0; i < 4; i++) expect(await ask()).toMatchObject([{ n: 1 }])
  })

  it('a temporary table in front of another one', async () => {
    const db = await opened()
    await db.transaction(async (tx) => {
      await tx.query(`create temporary table jobs (state text)`)
      await tx.query(`insert into jobs values ('temporary')`)
      for (let i = 0; i < 5; i++) expect(await tx.query(text)).toEqual([{ state: 'temporary' }])
    })
    await expectHere(db)
  })

  it('the settings of the application’s own leave it alone', async () => {
    const db = await opened()
    for (let i = 0; i < 4; i++) {
      await db.transaction(async (tx) => {
        await tx.query(`select set_config('app.tenant', '${i}', true)`)
        await tx.query('select 8 as n')
      })
    }
    expect(await kept(db)).toContain('select 8 as n')
  })
})

describe('the client', () => {
  it('unsafe() is prepared, whatever the types of its parameters', async () => {
    const db = scene.open(orms[0] as Orm, { pool: one })
    const sql = createClient(db.pool)
    for (let i = 0; i < 5; i++) {
      expect(await sql.unsafe('select $1::int + 1 as n', [i])).toMatchObject([{ n: i + 1 }])
      expect(await sql.unsafe('select $1::bool as yes', [i % 2 === 0])).toMatchObject([{ yes: i % 2 === 0 }])
      expect(await sql.unsafe('select $1::text as t', [i % 2 === 0 ? null : new Date(0)])).toHaveLength(1)
    }
    expect(await kept(db)).toEqual(
      expect.arrayContaining(['select $1::int + 1 as n', 'select $1::bool as yes', 'select $1::text as t']),
    )
  })

  it('cursors go as they always did', async () => {
    const db = scene.open(orms[0] as Orm, { pool: one })
    const sql = createClient(db.pool)
    for (let i = 0; i < 5; i++) {
      const rows: unknown[] = []
      for await (const chunk of sql.unsafe('select generate_series(1, $1::int) as n', [5]).cursor(2))
        rows.push(...chunk)
      expect(rows).toHaveLength(5)
    }
    expect(await kept(db)).toEqual([])
  })
})
