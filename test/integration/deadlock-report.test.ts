// E6: who blocked whom on which relation, counted per pair, with advice drawn from the pattern. The deadlocks are real, and
// which side is the victim is decided here: the one that comes last, and whose deadlock_timeout is the shorter.

import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { DeadlockError } from '@moorings/core'
import { deadlockReport as deadlocksOfDrizzle, violationStats as violationsOfDrizzle } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import {
  deadlockReport as deadlocksOfKysely,
  ResilientPostgresDialect,
  violationStats as violationsOfKysely,
} from '@moorings/kysely'
import { createPool } from '@moorings/postgres'
import { Kysely, sql } from 'kysely'
import { accounts, change, deadlock, filled, type Moves } from './deadlocks.js'
import { everyOrm, type Orm } from './orms.js'
import { errorOf, gate, useScene, within } from './scene.js'

const scene = useScene()
const soon = 10_000

beforeAll(() => scene.admin.query(accounts))
beforeEach(() => scene.admin.query(filled))

describe.each(everyOrm)('$name', (orm: Orm) => {
  it('E6: two accounts in opposite order: both statements, who they were, and where', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const { error, victim, survivor } = await deadlock(
      scene.admin,
      db,
      [change('accounts', 1), change('accounts', 2)],
      [change('accounts', 2), change('accounts', 1)],
    )
    const statement = 'update accounts set balance = balance + ? where id = ?'
    const wait = { statement, waitsFor: 'transaction', lockMode: 'ShareLock', objects: [] }
    expect(error.deadlock).toEqual({
      sides: [
        { ...wait, pid: victim, relation: 'accounts' },
        { ...wait, pid: survivor, relation: undefined },
      ],
      checked: [],
    })
    const report = await db.pool.deadlockReport()
    expect(report).toMatchObject({
      total: 1,
      others: 0,
      unindexedForeignKeys: [],
      pairs: [{ count: 1, tables: ['accounts'], severity: 'low', sides: [{ statement }, { statement }] }],
    })
    expect(report.pairs[0]?.advice.map(({ kind }) => kind)).toEqual(['row-order', 'retry'])
    for (const shown of [report, error]) expect(JSON.stringify(shown)).not.toMatch(/SECRET|90210/)
  })

  it('E6: two tables in opposite order: one pair, whichever side was the victim', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const one: Moves = [change('accounts', 1), change('savings', 1, 'one')]
    const other: Moves = [change('savings', 1), change('accounts', 1, 'other')]
    await deadlock(scene.admin, db, one, other)
    await deadlock(scene.admin, db, other, one)
    const { total, pairs } = await db.pool.deadlockReport({ reset: true })
    expect(total).toBe(2)
    expect(pairs).toMatchObject([{ count: 2, tables: ['accounts', 'savings'] }])
    expect(pairs[0]?.advice[0]).toMatchObject({
      kind: 'table-order',
      text: expect.stringContaining('accounts, savings'),
    })
    expect(await db.pool.deadlockReport()).toMatchObject({ total: 0, pairs: [] })
  })

  it('E6: a child inserted against a parent deleted: the foreign key without an index is found, until it has one', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const { error } = await deadlock(
      scene.admin,
      db,
      ['insert into children values (1, 1)', 'insert into children values (2, 2)'],
      ['delete from parents where id = 2', 'delete from parents where id = 1'],
    )
    expect(error.deadlock).toMatchObject({ checked: ['parents'], sides: [{ relation: 'parents' }, {}] })
    const remedy = 'CREATE INDEX CONCURRENTLY ON "public"."children" ("parent_id")'
    const found = await db.pool.deadlockReport()
    expect(found).toMatchObject({
      unindexedForeignKeys: [
        {
          name: 'children_parent_id_fkey',
          schema: 'public',
          table: 'children',
          columns: ['parent_id'],
          references: { schema: 'public', table: 'parents' },
          remedy,
        },
      ],
      pairs: [{ tables: ['children', 'parents'] }],
    })
    expect(found.pairs[0]?.advice.map(({ kind }) => kind)).toEqual([
      'foreign-key-index',
      'parent-first',
      'table-order',
      'retry',
    ])
    await scene.admin.query(remedy)
    const mended = await db.pool.deadlockReport()
    expect(mended.unindexedForeignKeys).toEqual([])
    expect(mended.pairs[0]?.advice[0]?.kind).toBe('parent-first')
  })

  it('E6: parents deleted, and children inserted for those of each other: the order of the parents', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    await deadlock(
      scene.admin,
      db,
      ['delete from parents where id = 1', 'insert into children values (1, 2)'],
      ['delete from parents where id = 2', 'insert into children values (2, 1)'],
    )
    const [pair] = (await db.pool.deadlockReport()).pairs
    const advice = pair?.advice.map(({ kind }) => kind)
    expect(advice).toEqual(['foreign-key-index', 'parent-first', 'row-order', 'retry'])
    expect(pair?.advice[2]?.text).toContain('Rows of parents ')
  })

  it('E6: children inserted, and parents of those of each other deleted: what the foreign key has locked', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    await deadlock(
      scene.admin,
      db,
      ['insert into children values (1, 1)', 'delete from parents where id = 2'],
      ['insert into children values (2, 2)', 'delete from parents where id = 1'],
    )
    const [pair] = (await db.pool.deadlockReport()).pairs
    expect(pair?.advice.map(({ kind }) => kind)).toEqual(['parent-first', 'row-order', 'retry'])
  })

  it('E6: keys inserted in opposite order: the index where they met is told as its table', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const insert = (name: string) => `insert into slots values ('${name}')`
    const { error } = await deadlock(scene.admin, db, [insert('a'), insert('b')], [insert('b'), insert('a')])
    expect(error.deadlock?.sides[0]?.relation).toBe('slots_pkey')
    const { pairs } = await db.pool.deadlockReport()
    expect(pairs).toMatchObject([{ tables: ['slots'] }])
    expect(pairs[0]?.advice[0]?.kind).toBe('insert-order')
  })

  it('E6: locks of whole tables: their names are found by their numbers', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const other = scene.open(orm)
    const lock = (table: string) => `do $$ begin lock table ${table}; end $$`
    const { error } = await deadlock(
      scene.admin,
      db,
      [lock('accounts'), lock('savings')],
      [lock('savings'), lock('accounts')],
      other,
    )
    expect(error.deadlock?.sides).toMatchObject([
      { waitsFor: 'relation', lockMode: 'AccessExclusiveLock', statement: 'do ?' },
      // Another pool's.
      { waitsFor: 'relation', lockMode: 'AccessExclusiveLock', statement: undefined },
    ])
    const { pairs } = await db.pool.deadlockReport()
    expect(pairs).toMatchObject([{ tables: ['accounts', 'savings'] }])
    expect(pairs[0]?.advice[0]?.kind).toBe('table-locks')
    expect((await other.pool.deadlockReport()).total).toBe(0)
  })

  it('E6: of what was run again, too; and after the pool was closed without the catalogue', async () => {
    const retry = { initialDelayMs: 1 }
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 }, transaction: { retry } })
    const held = gate()
    let there = 0
    const move = (from: number, to: number) =>
      db.withTransaction(async (tx) => {
        await tx.query("set local deadlock_timeout = '20ms'")
        await tx.query(change('accounts', from))
        if (++there === 2) held.open()
        await held.opened
        await tx.query(change('accounts', to))
      })
    await within(soon, Promise.all([move(1, 2), move(2, 1)]))
    await db.close()
    const report = await db.pool.deadlockReport()
    expect(report).toMatchObject({ total: 1, pairs: [{ tables: ['accounts'] }] })
    expect(report.unindexedForeignKeys).toBeUndefined()
  })

  it('E6: an error of that code that is no deadlock of the server is counted by its statement', async () => {
    const db = scene.open(orm)
    const raise = `do $$ begin raise exception 'made up' using errcode = '40P01', detail = 'SECRET'; end $$`
    const error = await errorOf(db.query(raise))
    expect(error).toBeInstanceOf(DeadlockError)
    expect(error).toMatchObject({ deadlock: { sides: [{ statement: 'do ?', waitsFor: undefined }], checked: [] } })
    expect(JSON.stringify(error)).not.toContain('SECRET')
    expect((await db.pool.deadlockReport()).pairs).toMatchObject([{ count: 1, tables: [] }])
  })
})

describe('deadlockReport() and violationStats()', () => {
  const raise = `do $$ begin raise exception 'made up' using errcode = '40P01'; end $$`

  it('E6: are asked of a Drizzle database, and refused to a transaction, which knows no pool', async () => {
    const db = drizzle({ client: scene.closing(createPool(scene.url)) })
    await errorOf(db.execute(raise))
    expect((await deadlocksOfDrizzle(db)).total).toBe(1)
    expect(await violationsOfDrizzle(db)).toMatchObject({ total: 0, constraints: [] })
    const ofTransaction = await db.transaction((tx) => errorOf(deadlocksOfDrizzle(tx)))
    expect(ofTransaction).toMatchObject({ problems: [{ path: 'db', allowed: 'the root database' }] })
    expect((await deadlocksOfDrizzle(db, { reset: true })).total).toBe(1)
    expect((await deadlocksOfDrizzle(db)).total).toBe(0)
  })

  it('E6: are asked of a Kysely database, and of a transaction of it', async () => {
    const client = scene.closing(createPool(scene.url))
    const db = new Kysely<object>({ dialect: new ResilientPostgresDialect({ client }) })
    await errorOf(sql.raw(raise).execute(db))
    expect((await deadlocksOfKysely(db)).total).toBe(1)
    expect(await db.transaction().execute((tx) => violationsOfKysely(tx))).toMatchObject({ total: 0, constraints: [] })
    expect((await db.transaction().execute((tx) => deadlocksOfKysely(tx, { reset: true }))).total).toBe(1)
    expect((await deadlocksOfKysely(db)).total).toBe(0)
  })
})
