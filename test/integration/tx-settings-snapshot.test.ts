// T5: settings take no snapshot. What comes first in a transaction may still be a lock, to read what was committed while
// it was waited for, or choose the isolation; as it may where nothing is set.

import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { TransactionOptions } from '@moorings/core'
import { until } from '../support/until.js'
import { type Orm, retried } from './orms.js'
import { gate, useScene } from './scene.js'

const scene = useScene()
beforeAll(() =>
  scene.admin.query(`
    create table ledger (n int); create table other (n int);
    create schema one; create table one.here (n int); insert into one.here values (1);
    create schema "the other"; create table "the other".there (n int); insert into "the other".there values (2)`),
)
beforeEach(() => scene.admin.query('truncate ledger; insert into ledger values (1)'))

const settings = { 'app.tenant': 7, work_mem: '5MB', 'app.name': `o'neill`, timezone: 'Asia/Tokyo' }
const set: [string, TransactionOptions][] = [
  ['nothing', {}],
  ['settings', { settings }],
  ['limits', { statementTimeoutMs: 60_000, lockTimeoutMs: 60_000, idleTimeoutMs: 60_000 }],
]

const waiting = () =>
  scene.admin.query(`select 1 from pg_locks where not granted and pid in
    (select pid from pg_stat_activity where datname = current_database())`)

describe.each(retried)('$name', (orm: Orm) => {
  it.each(
    set.flatMap(([what, options]) => [
      [what, options, ['lock table ledger in exclusive mode']] as const,
      [what, options, ['lock table other in share mode', 'lock table ledger in share mode']] as const,
    ]),
  )(
    'T5: a lock under repeatable read, with %s: what was committed while it waited is read',
    async (_, options, locks) => {
      const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
      const [locked, end] = [gate(), gate()]
      const holder = db.withTransaction(async (tx) => {
        await tx.query('lock table ledger in exclusive mode')
        locked.open()
        await end.opened
        await tx.query('update ledger set n = 2')
      })
      await locked.opened
      const reader = db.withTransaction(
        async (tx) => {
          for (const lock of locks) await tx.query(lock)
          return tx.query('select n from ledger')
        },
        { ...options, isolationLevel: 'repeatable read' },
      )
      await until(async () => (await waiting()).length > 0, { what: 'the other one to wait' })
      end.open()
      await holder
      expect(await reader).toEqual([{ n: 2 }])
    },
  )

  it.each(
    set.flatMap(([what, options]) =>
      [[], ['set constraints all deferred'], ['lock table ledger in share mode']].map(
        (before) => [what, before, options] as const,
      ),
    ),
  )('T5: with %s the isolation level may be chosen first, or behind %j', async (_, before, options) => {
    const db = scene.open(orm)
    const seen = await db.withTransaction(async (tx) => {
      for (const text of before) await tx.query(text)
      await tx.query('set transaction isolation level serializable')
      return tx.query(`select current_setting('transaction_isolation') as level, current_setting('timezone') as zone`)
    }, options)
    expect(seen).toEqual([{ level: 'serializable', zone: zoneOf(options) }])
  })

  it.each([
    ['one, "the other"', 3],
    ['"the other",one', 3],
  ])('T5: a search_path of two schemas: %s', async (path, sum) => {
    const db = scene.open(orm)
    const look = 'select (select n from here) + (select n from there) as sum'
    expect(await db.withTransaction((tx) => tx.query(look), { settings: { search_path: path } })).toEqual([{ sum }])
    await expect(db.query(look)).rejects.toMatchObject({ code: '42P01' })
  })

  it('T5: a name is what it says, however long it is', async () => {
    const db = scene.open(orm)
    for (const name of [
      `app.${'x'.repeat(63)}`,
      `app.${'x'.repeat(64)}`,
      `${'y'.repeat(200)}.z`,
      'a.b.c',
      'App.Tenant',
    ]) {
      const seen = await db.withTransaction((tx) => tx.query(`select current_setting('${name}', true) as value`), {
        settings: { [name]: 'set' },
      })
      expect(seen).toEqual([{ value: 'set' }])
    }
  })

  it('T5: a value is what it says, whatever is in it', async () => {
    const db = scene.open(orm)
    for (const value of [
      '',
      ' ',
      'a, b',
      `'; drop table marks; --`,
      '\\',
      'default',
      '"',
      '$1',
      'ü🔒',
      'x'.repeat(9_000),
    ]) {
      const seen = await db.withTransaction((tx) => tx.query(`select current_setting('app.a') as value`), {
        settings: { 'app.a': value },
      })
      expect(seen).toEqual([{ value }])
    }
  })
})

const zoneOf = ({ settings: given }: TransactionOptions) => (given === undefined ? expect.any(String) : 'Asia/Tokyo')
