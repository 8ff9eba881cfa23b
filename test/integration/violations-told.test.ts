// When and where a violation is told with what is known of its constraint: in transactions and nested ones, at COMMIT, to
// a role that may see nothing, in whatever language, and however few connections there are.

import { beforeAll, describe, expect, it } from '@jest/globals'
import { connectAdmin } from '../support/admin.js'
import { until } from '../support/until.js'
import { nesting, orms, retried, transactional } from './orms.js'
import { errorOf, useScene, within } from './scene.js'
import { constrained, odd, one, taken, toldAll, two, violates, violationOf } from './violations.js'

const scene = useScene()

beforeAll(() => scene.admin.query(constrained))

describe.each(transactional)('in a transaction of $name', (orm) => {
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
    const child = await violationOf(
      db.transaction(async (tx) => {
        await tx.query('insert into people (id) values (50)')
        await tx.query('insert into later values (3, 50)')
        await tx.query('delete from people where id = 50')
      }),
    )
    expect(child).toMatchObject({ constraint: 'later_person', columns: ['person'] })
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  it('a deferred constraint is told whole at COMMIT in a pool of one connection', async () => {
    const db = scene.open(orm, one)
    const told = await within(900, violationOf(db.transaction((tx) => tx.query('insert into later values (1, 1)'))))
    expect(told).toMatchObject({ columns: ['id'] })
  })

  it('in a pool of one connection it is told at once what is known, and the next time all', async () => {
    const db = scene.open(orm, { ...one, errors: { lookupTimeoutMs: 60_000 } })
    const first = await violationOf(db.transaction((tx) => tx.query(taken)))
    // The server's own words, as there is nothing better.
    expect(first).toMatchObject(toldAll)
    await until(() => db.pool.stats().leased === 0 && db.pool.stats().waiting === 0, {
      what: 'the catalogue to be read',
    })
    expect(await violationOf(db.transaction((tx) => tx.query(odd)))).toMatchObject({ columns: undefined })
    await until(() => db.pool.stats().leased === 0 && db.pool.stats().waiting === 0, {
      what: 'the catalogue to be read',
    })
    expect(await violationOf(db.transaction((tx) => tx.query(odd)))).toMatchObject({ columns: ['nick'] })
  })
})

describe.each(nesting)('in a nested transaction of $name', (orm) => {
  it('a violation is told whole, and the one around it goes on', async () => {
    const db = scene.open(orm)
    let told: unknown
    await db.transaction(async (tx) => {
      await tx.insert('kept')
      told = await errorOf(
        tx.nested(async (nested) => {
          await nested.insert('undone')
          await nested.query(`insert into books values (9, 77)`)
        }),
      )
      await tx.insert('kept, too')
    })
    expect(told).toMatchObject({ direction: 'missing-parent', columns: ['author_id'] })
    expect(await scene.marks()).toEqual(['kept', 'kept, too'])
  })
})

describe.each(retried)('with transactions that are run again, of $name', (orm) => {
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

describe.each(orms)('with $name', (orm) => {
  it('a statement by itself is told whole in a pool of one connection, which it does not hold meanwhile', async () => {
    const db = scene.open(orm, { ...one, errors: { lookupTimeoutMs: 60_000 } })
    expect(await within(5_000, violates(db, odd))).toMatchObject({ columns: ['nick'] })
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1 })
  })

  it('nothing is told later than the limit, where no connection can be had to look it up', async () => {
    const db = scene.open(orm, { ...two, errors: { lookupTimeoutMs: 100 } })
    const other = await db.pool.acquire()
    const told = await within(5_000, violationOf(db.transaction((tx) => tx.query(odd))))
    expect(told).toMatchObject({ constraint: 'people_lower_nick', columns: undefined })
    other.release()
  })

  it('a pool that is closing tells at once', async () => {
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

  it('with a limit of 0 the catalogue is never asked, and the server’s words are the last resort', async () => {
    const db = scene.open(orm, { errors: { lookupTimeoutMs: 0 } })
    expect(await violates(db, taken)).toMatchObject(toldAll)
    expect(await violates(db, odd)).toMatchObject({
      columns: undefined,
    })
    expect(db.pool.stats().acquired).toBe(2)
  })

  it('a role that may not read the table is told whole, under row security as well', async () => {
    const role = `onlooker_${process.pid}`
    await scene.admin.query(`create role ${role} login password '${role}';
      grant insert on guarded, people to ${role}; grant select on guarded to ${role}`)
    const url = new URL(scene.url)
    url.username = url.password = role
    const db = scene.open(orm, {}, url.href)
    try {
      const people = await violates(db, taken)
      expect(people).toMatchObject(toldAll)
      expect(people.cause).not.toHaveProperty('detail')
      const hidden = await violates(db, `insert into guarded values (2, 'me')`)
      expect(hidden).toMatchObject({ table: 'guarded', columns: ['owner'] })
      expect(hidden.cause).not.toHaveProperty('detail')
    } finally {
      await db.close()
      await scene.admin.query(`drop owned by ${role}; drop role ${role}`)
    }
  })

  it('a search_path that leads elsewhere changes nothing', async () => {
    await scene.admin.query(`create schema if not exists astray;
      create or replace view astray.pg_constraint as select 1 as oid; create or replace view astray.pg_class as select 1 as oid`)
    const url = new URL(scene.url)
    url.searchParams.set('search_path', 'astray, public, pg_catalog')
    expect(
      await violates(scene.open(orm, {}, url.href), `insert into people (id, nick) values (9, 'ANNIE')`),
    ).toMatchObject({ columns: ['nick'] })
  })

  it('the application’s words are on it, for a partition by the name it knows', async () => {
    const db = scene.open(orm, {
      errors: {
        constraints: {
          people_email_key: { message: 'Taken', path: 'email', code: 'EMAIL' },
          'events.events_pk': { message: 'Twice' },
          'events.note': { message: 'Needed' },
        },
        messages: { 'foreign-key': 'In use' },
      },
    })
    expect(await violates(db, taken)).toMatchObject({ userMessage: 'Taken', path: ['email'], userCode: 'EMAIL' })
    expect(await violates(db, `insert into events values (11, 'a')`)).toMatchObject({ userMessage: 'Twice' })
    const note = `insert into events values (2, 'a', null, null)`
    expect(await violates(db, note)).toMatchObject({ userMessage: 'Needed' })
    expect(await violates(db, `delete from people where id = 1`)).toMatchObject({ userMessage: 'In use' })
  })

  it('its values are there only when asked for, and in no text', async () => {
    const hidden = await violates(scene.open(orm), taken)
    expect(hidden.values).toBeUndefined()
    const db = scene.open(orm, { errors: { exposeValues: true } })
    const error = await violates(db, taken)
    expect(error.values).toEqual({ email: 'a@b' })
    expect(JSON.stringify(error)).not.toContain('a@b')
    expect(await violates(db, `insert into stays values (1, '[3,7)')`)).toMatchObject({ columns: ['room', 'during'] })
    expect((await violates(db, `insert into names values ('Cy', 'Cliff')`)).values).toEqual({
      first_name: 'Cy',
      last_name: 'Cliff',
    })
    expect((await violates(db, `delete from people where id = 1`)).values).toEqual({ id: '1' })
  })

  // The translations are the server's; not every one has them, and it must know a locale of the language.
  it('in another language it is told as whole', async () => {
    const other = await languageOfTheServer()
    if (other === undefined) {
      console.warn(
        'SKIPPED: this server speaks English only (no lc_messages of another language), so nothing was shown of others',
      )
      return
    }
    const url = new URL(scene.url)
    url.searchParams.set('lc_messages', other)
    const db = scene.open(orm, {}, url.href)
    expect((await violates(db, taken)).message).not.toMatch(/duplicate key/)
    expect(await violates(db, taken)).toMatchObject(toldAll)
    expect(await violates(db, `insert into books values (9, 77)`)).toMatchObject({
      ...{ direction: 'missing-parent', columns: ['author_id'] },
    })
    expect(await violates(db, `delete from people where id = 1`)).toMatchObject({ direction: 'still-referenced' })
    expect(await violates(db, `delete from books where id = 3`)).toMatchObject({ direction: 'still-referenced' })
    // What is said in it is not read.
    const mute = scene.open(orm, { errors: { lookupTimeoutMs: 0, exposeValues: true } }, url.href)
    const unread = await violates(mute, taken)
    expect([unread.columns, unread.values]).toEqual([undefined, undefined])
  })
})

async function languageOfTheServer(): Promise<string | undefined> {
  const locales = ['de_DE', 'fr_FR', 'es_ES', 'ja_JP', 'ru_RU'].flatMap((one) => [`${one}.utf8`, `${one}.UTF-8`])
  // With LANGUAGE in its environment the server speaks that.
  for (const locale of [...locales, 'C.UTF-8']) {
    const session = connectAdmin(scene.directUrl)
    try {
      await session.query(`set lc_messages = '${locale}'`)
      const error = await errorOf(session.query('select 1/0'))
      if (error instanceof Error && !error.message.includes('division by zero')) return locale
    } catch {
      // Not a locale of its system.
    } finally {
      await session.end()
    }
  }
  return undefined
}
