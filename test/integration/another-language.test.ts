// E1-E4, E6 in a server that does not speak English: all that is told of violations and deadlocks is told there as
// well, and what cannot be read in its words is left out. The server is one that is installed on this machine, as those of
// the npm packages have no translations.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { violationIn } from '@moorings/drizzle'
import { startTranslatedCluster } from '../support/translated-cluster.js'
import { useDatabase } from '../support/use-database.js'
import { accounts, change, deadlock, filled } from './deadlocks.js'
import { seeded, textOf, variants, violating } from './kit-schemas.js'
import { drizzle1Orm, everyOrm, nesting, orms, transactional } from './orms.js'
import { errorOf, useScene } from './scene.js'
import { cases, partitions, raised, releaseOf, toldBy } from './violation-cases.js'
import { constrained, odd, taken, toldAll, violates, violationOf } from './violations.js'

const first = 'de'
const translated = await startTranslatedCluster(first)
if (typeof translated === 'string') {
  console.warn(`SKIPPED: nothing was shown of servers that speak another language: ${translated}`)
}
const here = typeof translated === 'string' ? describe.skip : describe
/** The ORMs take turns: what the server says, they do not look at. */
const others = (typeof translated === 'string' ? [] : translated.languages)
  .filter((language) => language !== first)
  .map((language, at) => ({ language, orm: orms[at % orms.length] ?? drizzle1Orm }))

const server = () => {
  if (typeof translated === 'string') throw new Error(translated)
  return translated
}

const english = /duplicate key|violates|violation|null value|already exists|invalid input|deadlock/

/** Two transactions that lock rows of one table in opposite order. */
const opposite = [
  [change('accounts', 1), change('accounts', 2)],
  [change('accounts', 2), change('accounts', 1)],
] as const

here('in a server that speaks German', () => {
  const scene = useScene(() => server().cluster.url)
  let release = 0

  beforeAll(async () => {
    await scene.admin.query(constrained)
    await scene.admin.query(accounts)
    release = await releaseOf(scene.admin)
  })

  describe.each(everyOrm)('E1: with $name', (orm) => {
    it.each([...cases, ...partitions])('a violation tells of %s', async (_what, sql, told) => {
      const violation = await violates(scene.open(orm), sql)
      expect(violation).toMatchObject(toldBy(release, told))
      expect(violation.message).not.toMatch(english)
    })

    it.each(raised)('what a trigger raises tells of %s', async (_what, sql, told) => {
      expect(await violates(scene.open(orm), sql)).toMatchObject(toldBy(release, told))
    })

    it('what the server says is read for the direction of a foreign key, and for nothing else', async () => {
      const db = scene.open(orm, { errors: { lookupTimeoutMs: 0, exposeValues: true } })
      expect(await violates(db, taken)).toMatchObject({ constraint: 'people_email_key', columns: undefined })
      for (const [, sql] of [...cases, ...partitions]) {
        const { columns, values, name } = await violates(db, sql)
        expect([columns === undefined || name === 'NotNullViolationError', values]).toEqual([true, undefined])
      }
      expect(await violates(db, 'insert into books values (9, 77)')).toMatchObject({ direction: 'missing-parent' })
      expect(await violates(db, 'delete from people where id = 1')).toMatchObject({ direction: 'still-referenced' })
      expect(await violates(db, 'delete from people where id = 2')).toMatchObject({ direction: 'still-referenced' })
      expect(await violates(db, 'delete from books where id = 3')).toMatchObject({ direction: 'still-referenced' })
    })

    it('E4: a value that its message quotes is not shown', async () => {
      const error = await errorOf(scene.open(orm).query("select 'c0nfid3ntial'::int"))
      expect(error).toMatchObject({
        name: 'StatementError',
        code: '22P02',
        message: expect.not.stringMatching(english),
      })
      expect(JSON.stringify(error) + String(error)).not.toContain('c0nfid3ntial')
    })

    it('E3: violations are counted as in any other', async () => {
      const db = scene.open(orm)
      await violates(db, taken)
      await violates(db, odd)
      await violates(db, taken)
      expect(db.pool.violationStats()).toMatchObject({
        total: 3,
        constraints: [{ constraint: 'people_email_key', count: 2 }, { constraint: 'people_lower_nick' }],
      })
    })
  })

  describe.each([...transactional, drizzle1Orm])('E1: in a transaction of $name', (orm) => {
    it('a deferred constraint is told whole at COMMIT', async () => {
      const db = scene.open(orm)
      const told = (sql: string) => violationOf(db.transaction((tx) => tx.query(sql)))
      expect(await told(taken)).toMatchObject(toldAll)
      expect(await told('insert into later values (1, 1)')).toMatchObject({ constraint: 'later_id', columns: ['id'] })
      expect(await told('insert into later values (2, 99)')).toMatchObject({
        ...{ direction: 'missing-parent', columns: ['person'] },
      })
      expect(await told('delete from people where id = 3')).toMatchObject({
        ...{ direction: 'still-referenced', constraint: 'later_person', columns: ['person'] },
      })
    })
  })

  describe.each([...nesting, drizzle1Orm])('E1: in a nested transaction of $name', (orm) => {
    it('a violation is told whole, and the one around it goes on', async () => {
      const db = scene.open(orm)
      await db.transaction(async (tx) => {
        const told = await violationOf(tx.nested((nested) => nested.query('insert into books values (9, 77)')))
        expect(told).toMatchObject({ direction: 'missing-parent', columns: ['author_id'] })
        await tx.insert('kept')
      })
      expect(await scene.marks()).toEqual(['kept'])
    })
  })

  describe.each(everyOrm)('E6: with $name', (orm) => {
    beforeEach(() => scene.admin.query(filled))

    it('a deadlock tells both sides, and where', async () => {
      const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
      const { error, victim, survivor } = await deadlock(scene.admin, db, ...opposite)
      expect(error.message).not.toMatch(english)
      const statement = 'update accounts set balance = balance + ? where id = ?'
      const wait = { statement, waitsFor: 'transaction', lockMode: 'ShareLock', objects: [] }
      expect(error.deadlock).toEqual({
        sides: [
          { ...wait, pid: victim, relation: 'accounts' },
          { ...wait, pid: survivor, relation: undefined },
        ],
        checked: [],
      })
      const { pairs } = await db.pool.deadlockReport()
      expect(pairs).toMatchObject([{ count: 1, tables: ['accounts'] }])
      expect(pairs[0]?.advice.map(({ kind }) => kind)).toEqual(['row-order', 'retry'])
    })

    it('a child inserted against a parent deleted: the foreign key without an index is found', async () => {
      const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
      const { error } = await deadlock(
        scene.admin,
        db,
        ['insert into children values (1, 1)', 'insert into children values (2, 2)'],
        ['delete from parents where id = 2', 'delete from parents where id = 1'],
      )
      expect(error.deadlock).toMatchObject({ checked: ['parents'], sides: [{ relation: 'parents' }, {}] })
      const report = await db.pool.deadlockReport()
      expect(report.unindexedForeignKeys).toMatchObject([{ name: 'children_parent_id_fkey', columns: ['parent_id'] }])
    })

    it('locks of whole tables, and a key inserted twice: their names are found', async () => {
      const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
      const lock = (table: string) => `do $$ begin lock table ${table}; end $$`
      const tables = [lock('accounts'), lock('savings')] as const
      const { error } = await deadlock(scene.admin, db, tables, [tables[1], tables[0]])
      expect(error.deadlock?.sides).toMatchObject([
        { waitsFor: 'relation', lockMode: 'AccessExclusiveLock' },
        { waitsFor: 'relation', lockMode: 'AccessExclusiveLock' },
      ])
      expect((await db.pool.deadlockReport()).pairs).toMatchObject([{ tables: ['accounts', 'savings'] }])
      const keys = ["insert into slots values ('a')", "insert into slots values ('b')"] as const
      const inserted = await deadlock(scene.admin, db, keys, [keys[1], keys[0]])
      expect(inserted.error.deadlock?.sides[0]?.relation).toBe('slots_pkey')
    })
  })
})

here.each(variants)('in a server that speaks German, a schema of drizzle-orm $name', ({ ddl, column, open }) => {
  const database = useDatabase(() => server().cluster.url)

  it('E2: names its keys without the catalogue, and without what the server says', async () => {
    await database.admin.query(ddl)
    await database.admin.query(textOf(seeded, column))
    const db = open(database.url, { errors: { lookupTimeoutMs: 0 }, pool: { min: 0 } })
    try {
      for (const [, statement, keys] of violating) {
        const violation = violationIn(await errorOf(db.execute(textOf(statement, column))))
        expect(violation).toMatchObject({ keys, columns: keys.map(column) })
        expect(violation?.message).not.toMatch(english)
      }
    } finally {
      await db.pool.close()
    }
  })
})

here('in a server that speaks any other language', () => {
  const scene = useScene(() => server().cluster.url)

  beforeAll(() => scene.admin.query(`${constrained}; ${accounts}; ${filled}`))

  for (const { language, orm } of others) {
    describe(`${language}, with ${orm.name},`, () => {
      beforeAll(() => server().speak(language))

      it('E1: violations are told as whole', async () => {
        const release = await releaseOf(scene.admin)
        const db = scene.open(orm)
        for (const [what, sql, told] of [...cases, ...partitions]) {
          expect([what, await violates(db, sql)]).toMatchObject([what, toldBy(release, told)])
        }
        const mute = scene.open(orm, { errors: { lookupTimeoutMs: 0, exposeValues: true } })
        const { columns, values, message } = await violates(mute, taken)
        expect([columns, values]).toEqual([undefined, undefined])
        expect(message).not.toMatch(english)
      })

      it('E4: a value that a message quotes is not shown', async () => {
        const error = await errorOf(scene.open(orm).query("select 'c0nfid3ntial'::int"))
        expect(error).toMatchObject({ name: 'StatementError', code: '22P02' })
        expect(JSON.stringify(error) + String(error)).not.toContain('c0nfid3ntial')
      })

      it('E6: a deadlock tells both sides, and where', async () => {
        const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
        const { error, victim, survivor } = await deadlock(scene.admin, db, ...opposite)
        const wait = { waitsFor: 'transaction', lockMode: 'ShareLock' }
        expect(error.deadlock).toMatchObject({
          sides: [
            { ...wait, pid: victim, relation: 'accounts' },
            { ...wait, pid: survivor },
          ],
        })
        expect((await db.pool.deadlockReport()).pairs).toMatchObject([{ count: 1, tables: ['accounts'] }])
      })
    })
  }
})

afterAll(async () => {
  if (typeof translated !== 'string') await translated.cluster.stop()
})
