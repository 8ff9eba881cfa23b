// E1, E2: every kind of constraint, by whatever name and wherever it is, through both ORMs: what is not in the error the
// server sent comes from its catalogue, before the caller hears of the violation.

import { beforeAll, describe, expect, it } from '@jest/globals'
import { everyOrm } from './orms.js'
import { errorOf, useScene } from './scene.js'
import { cases, partitions, raised, releaseOf, toldBy } from './violation-cases.js'
import { constrained, violates } from './violations.js'

const scene = useScene()
let release = 0

beforeAll(async () => {
  await scene.admin.query(constrained)
  release = await releaseOf(scene.admin)
})

describe.each(everyOrm)('E1: with $name', (orm) => {
  describe('a violation tells of', () => {
    it.each(cases)('%s', async (_what, sql, told) => {
      expect(await violates(scene.open(orm), sql)).toMatchObject(toldBy(release, told))
    })
  })

  describe('a violation in a partition tells the table that was partitioned, of', () => {
    it.each(partitions)('%s', async (_what, sql, told) => {
      expect(await violates(scene.open(orm), sql)).toMatchObject(toldBy(release, told))
    })
  })

  describe('what a trigger raises as a violation tells no more than it says, where it says', () => {
    it.each(raised)('%s', async (_what, sql, told) => {
      expect(await violates(scene.open(orm), sql)).toMatchObject(toldBy(release, told))
    })
  })

  it('a constraint is looked up once', async () => {
    const db = scene.open(orm)
    const sql = `insert into people (id, email) values (9, 'a@b')`
    await violates(db, sql)
    const { acquired } = db.pool.stats()
    expect(await violates(db, sql)).toMatchObject({ columns: ['email'] })
    expect(db.pool.stats().acquired).toBe(acquired + 1)
  })
})

describe('E1: what came with PostgreSQL 18', () => {
  const temporal = `create table bookings (room int4range, during int4range,
    constraint bookings_pk primary key (room, during without overlaps))`

  /** Where there is no such thing, that is what is shown. */
  async function made(sql: string): Promise<boolean> {
    if (release >= 18) {
      await scene.admin.query(sql)
      return true
    }
    expect(await errorOf(scene.admin.query(sql))).toMatchObject({ code: '42601' })
    return false
  }

  it('a key over time is violated as an exclusion, and referred to as any other', async () => {
    if (!(await made(temporal))) return
    await scene.admin.query(`create table guests (room int4range, during int4range, constraint guests_booking
        foreign key (room, period during) references bookings (room, period during));
      insert into bookings values ('[1,2)', '[1,5)'); insert into guests values ('[1,2)', '[2,3)')`)
    for (const orm of everyOrm) {
      const db = scene.open(orm)
      expect(await violates(db, `insert into bookings values ('[1,2)', '[4,7)')`)).toMatchObject({
        ...{ name: 'ExclusionViolationError', code: '23P01', table: 'bookings', constraint: 'bookings_pk' },
        columns: ['room', 'during'],
      })
      const guest = { name: 'ForeignKeyViolationError', constraint: 'guests_booking', columns: ['room', 'during'] }
      const references = { schema: 'public', table: 'bookings', columns: ['room', 'during'] }
      expect(await violates(db, `insert into guests values ('[1,2)', '[4,7)')`)).toMatchObject({
        ...{ ...guest, direction: 'missing-parent', references },
      })
      expect(await violates(db, 'delete from bookings')).toMatchObject({
        ...{ ...guest, direction: 'still-referenced', references },
      })
    }
  })

  it('a column that is computed when it is read has checks, and may not be null, as any other', async () => {
    const sql = `create table doubled (one int, two int generated always as (one * 2) virtual not null
      constraint is_small check (two < 10))`
    if (!(await made(sql))) return
    for (const orm of everyOrm) {
      const db = scene.open(orm)
      const columns = ['two']
      expect(await violates(db, 'insert into doubled values (7)')).toMatchObject({ constraint: 'is_small', columns })
      expect(await violates(db, 'insert into doubled values (null)')).toMatchObject({
        ...{ name: 'NotNullViolationError', columns },
      })
    }
  })

  it('NOT NULL is a constraint with a name in the catalogue, of which an error says nothing all the same', async () => {
    const named = await scene.admin.query("select conname from pg_constraint where conname = 'is_named'")
    expect(named).toHaveLength(release >= 18 ? 1 : 0)
  })
})
