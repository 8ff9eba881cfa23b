// E1-E4: when and where a violation is told with what is known of its constraint: in transactions and nested ones, at
// COMMIT, and however few connections there are.

import { beforeAll, describe, expect, it } from '@jest/globals'
import { until } from '../support/until.js'
import { drizzle1Orm, everyOrm, nesting, retried, transactional } from './orms.js'
import { errorOf, useScene, within } from './scene.js'
import { cases, partitions, raised, releaseOf, toldBy } from './violation-cases.js'
import { constrained, odd, one, taken, toldAll, two, violates, violationOf } from './violations.js'

const scene = useScene()

beforeAll(() => scene.admin.query(constrained))

describe.each([...transactional, drizzle1Orm])('E1: in a transaction of $name', (orm) => {
  it('a violation is told whole to who awaits the statement, and the transaction is undone', async () => {
    const db = scene.open(orm)
    let inside: unknown
    const outside = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        inside = await errorOf(tx.query(taken))
        throw inside
      }),
    )
    expect(inside).toMatchObject(toldAll)
    expect(outside).toBe(inside)
    expect(await scene.marks()).toEqual([])
  })

  it('a violation of its first statement is told whole', async () => {
    const db = scene.open(orm)
    expect(await violationOf(db.transaction((tx) => tx.query(taken)))).toMatchObject(toldAll)
  })

  it('a deferred constraint is told whole at COMMIT', async () => {
    const db = scene.open(orm)
    const unique = await violationOf(db.transaction((tx) => tx.query('insert into later values (1, 1)')))
    expect(unique).toMatchObject({ name: 'UniqueViolationError', constraint: 'later_id', columns: ['id'] })
    const parent = await violationOf(db.transaction((tx) => tx.query('insert into later values (2, 99)')))
    expect(parent).toMatchObject({
      ...{ name: 'ForeignKeyViolationError', columns: ['person'], direction: 'missing-parent' },
      references: { table: 'people', columns: ['id'] },
    })
    const child = await violationOf(db.transaction((tx) => tx.query('delete from people where id = 3')))
    expect(child).toMatchObject({ constraint: 'later_person', columns: ['person'], direction: 'still-referenced' })
    // What is checked first is the row that came first.
    const both = await violationOf(
      db.transaction(async (tx) => {
        await tx.query('insert into people (id) values (50)')
        await tx.query('insert into later values (3, 50)')
        await tx.query('delete from people where id = 50')
      }),
    )
    expect(both).toMatchObject({ constraint: 'later_person', columns: ['person'], direction: 'missing-parent' })
    const overlap = `insert into later values (9, 1, '[1,5)'), (10, 2, '[2,6)')`
    expect(await violationOf(db.transaction((tx) => tx.query(overlap)))).toMatchObject({
      ...{ name: 'ExclusionViolationError', constraint: 'later_span', columns: ['span'] },
    })
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  it('a deferred constraint is told whole at COMMIT in a pool of one connection', async () => {
    const db = scene.open(orm, one)
    const told = await within(900, violationOf(db.transaction((tx) => tx.query('insert into later values (1, 1)'))))
    expect(told).toMatchObject({ columns: ['id'] })
  })

  it('in a pool of one connection it is told at once what is known, and from the next time on all of that table', async () => {
    const db = scene.open(orm, { ...one, errors: { lookupTimeoutMs: 60_000 } })
    expect(await violationOf(db.transaction((tx) => tx.query(odd)))).toMatchObject({ columns: undefined })
    await until(() => db.pool.stats().leased === 0 && db.pool.stats().waiting === 0, {
      what: 'the catalogue to be read',
    })
    const { acquired } = db.pool.stats()
    expect(await violationOf(db.transaction((tx) => tx.query(odd)))).toMatchObject({ columns: ['nick'] })
    const living = `insert into people (id, "Odd, name") values (9, 'odd')`
    expect(await violationOf(db.transaction((tx) => tx.query(living)))).toMatchObject({ columns: ['Odd, name'] })
    expect(db.pool.stats().acquired).toBe(acquired + 2)
  })
})

describe.each([...nesting, drizzle1Orm])('E1: in a nested transaction of $name', (orm) => {
  it('a violation of each kind is told whole, and the one around it goes on', async () => {
    const release = await releaseOf(scene.admin)
    const db = scene.open(orm)
    await db.transaction(async (tx) => {
      await tx.insert('kept')
      for (const [what, sql, expected] of [...cases, ...partitions, ...raised]) {
        const told = await violationOf(
          tx.nested(async (nested) => {
            await nested.insert('undone')
            await nested.query(sql)
          }),
        )
        expect([what, told]).toMatchObject([what, toldBy(release, expected)])
      }
      await tx.insert('kept, too')
    })
    expect(await scene.marks()).toEqual(['kept', 'kept, too'])
  })
})

describe.each(retried)('E1: with transactions that are run again, of $name', (orm) => {
  it('a violation is not', async () => {
    const db = scene.open(orm, { transaction: {} })
    let attempts = 0
    const told = await violationOf(
      db.withTransaction(async (tx) => {
        attempts++
        await tx.query('insert into later values (1, 1)')
      }),
    )
    expect([attempts, told.columns]).toEqual([1, ['id']])
  })
})

describe.each(everyOrm)('with $name', (orm) => {
  it('E2: a statement by itself is told whole in a pool of one connection, which it does not hold meanwhile', async () => {
    const db = scene.open(orm, { ...one, errors: { lookupTimeoutMs: 60_000 } })
    expect(await within(5_000, violates(db, odd))).toMatchObject({ columns: ['nick'] })
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1 })
  })

  it('E2: nothing is told later than the limit, where no connection can be had to look it up', async () => {
    const db = scene.open(orm, { ...two, errors: { lookupTimeoutMs: 100 } })
    const other = await db.pool.acquire()
    const told = await within(5_000, violationOf(db.transaction((tx) => tx.query(odd))))
    expect(told).toMatchObject({ constraint: 'people_lower_nick', columns: undefined })
    other.release()
  })

  it('E2: a pool that is closing tells at once', async () => {
    const db = scene.open(orm, { ...two, errors: { lookupTimeoutMs: 60_000 } })
    const other = await db.pool.acquire()
    const told = violationOf(db.transaction((tx) => tx.query(odd)))
    await until(() => db.pool.stats().leased === 2 && db.pool.stats().waiting === 1, {
      what: 'a connection to be waited for',
    })
    const closed = db.pool.close({ timeoutMs: 10_000 })
    expect(await within(5_000, told)).toMatchObject({ constraint: 'people_lower_nick' })
    other.release()
    await within(5_000, closed)
  })

  it('E2: with a limit of 0 the catalogue is never asked, and the server’s words are the last resort', async () => {
    const db = scene.open(orm, { errors: { lookupTimeoutMs: 0 } })
    expect(await violates(db, taken)).toMatchObject(toldAll)
    expect(await violates(db, odd)).toMatchObject({
      columns: undefined,
    })
    expect(db.pool.stats().acquired).toBe(2)
  })

  it('E1: a table with more constraints than are read at once is told of whichever was violated', async () => {
    const columns = Array.from({ length: 310 }, (_, i) => `c${i} int default 1 check (c${i} > 0)`)
    await scene.admin.query(`drop table if exists wide; create table wide (${columns.join(', ')})`)
    const db = scene.open(orm)
    for (const column of ['c309', 'c0', 'c155', 'c309']) {
      expect(await violates(db, `insert into wide (${column}) values (0)`)).toMatchObject({ columns: [column] })
    }
  })

  it('E1: a search_path that leads elsewhere changes nothing', async () => {
    await scene.admin.query(`create schema if not exists astray;
      create or replace view astray.pg_constraint as select 1 as oid; create or replace view astray.pg_class as select 1 as oid`)
    const url = new URL(scene.url)
    url.searchParams.set('search_path', 'astray, public, pg_catalog')
    expect(
      await violates(scene.open(orm, {}, url.href), `insert into people (id, nick) values (9, 'ANNIE')`),
    ).toMatchObject({ columns: ['nick'] })
  })

  it('E3: the application’s words are on it, for a partition by the name it knows', async () => {
    const db = scene.open(orm, {
      errors: {
        constraints: {
          people_email_key: { message: 'Taken', path: 'email', code: 'EMAIL' },
          'events.events_pk': { message: 'Twice' },
          'events.note': { message: 'Needed' },
        },
        messages: { 'foreign-key': 'Not there', 'still-referenced': 'In use' },
      },
    })
    expect(await violates(db, taken)).toMatchObject({ userMessage: 'Taken', path: ['email'], userCode: 'EMAIL' })
    expect(await violates(db, `insert into events values (11, 'a')`)).toMatchObject({ userMessage: 'Twice' })
    const note = `insert into events values (2, 'a', null, null)`
    expect(await violates(db, note)).toMatchObject({ userMessage: 'Needed' })
    expect(await violates(db, `insert into books values (9, 77)`)).toMatchObject({ userMessage: 'Not there' })
    expect(await violates(db, `delete from people where id = 1`)).toMatchObject({ userMessage: 'In use' })
  })

  it('E4: its values are there only when asked for, and in no text', async () => {
    const hidden = await violates(scene.open(orm), taken)
    expect(hidden.values).toBeUndefined()
    const db = scene.open(orm, { errors: { exposeValues: true } })
    const error = await violates(db, taken)
    expect(error.values).toEqual({ email: 'a@b' })
    expect(JSON.stringify(error)).not.toContain('a@b')
    expect(await violates(db, `insert into stays values ('[1,2)', '[3,7)')`)).toMatchObject({
      columns: ['room', 'during'],
    })
    expect((await violates(db, `insert into names values ('Cy', 'Cliff')`)).values).toEqual({
      first_name: 'Cy',
      last_name: 'Cliff',
    })
    expect((await violates(db, `delete from people where id = 1`)).values).toEqual({ id: '1' })
  })
})
