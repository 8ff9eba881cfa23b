// E1, E2: where a Drizzle schema tells only a part of a constraint, or may tell of another one of the same name, the
// server's catalogue decides: a column that is told is one of the constraint's.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import {
  type ConstraintViolationError,
  isCheckViolation,
  isUniqueViolation,
  toIssues,
  violationIn,
} from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { sql } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { useDatabase } from '../support/use-database.js'
import type { ResilienceOptions } from './orms.js'

const users = pg.pgTable(
  'users',
  { id: pg.integer().primaryKey(), email: pg.text(), yearsOld: pg.integer('age'), kind: pg.text(), lower: pg.text() },
  (t) => [
    pg.check('old_enough', sql`age >= 18`),
    pg.check('kind_by_age', sql`${t.yearsOld} > 20 or "kind" = 'young'`),
    pg.check('known_kind', sql`lower(${t.kind}) in ('young', 'old', 'email')`),
    pg.uniqueIndex('one_email').on(sql`lower(email)`),
  ],
)

const ddl = `
create table users (id int primary key, email text, age int, kind text, lower text,
  constraint old_enough check (age >= 18), constraint kind_by_age check (age > 20 or "kind" = 'young'),
  constraint known_kind check (lower(kind) in ('young', 'old', 'email')));
create unique index one_email on users (lower(email));
insert into users values (1, 'ada', 36, 'old', null);
create schema history;
create table history.users (at int, id int, constraint users_pkey primary key (at));
insert into history.users values (1, 1);
create schema tenant;
create table tenant.users (id int primary key);
insert into tenant.users values (1);`

describe('E2: a violation of which a Drizzle schema tells too little', () => {
  const database = useDatabase()
  const pools: PostgresPool[] = []
  beforeAll(() => database.admin.query(ddl))
  afterAll(() => Promise.all(pools.map((pool) => pool.close())))

  const open = (errors: ResilienceOptions['errors'] = {}) => {
    const pool = createPool(database.url, { resilience: { pool: { min: 0 }, errors } })
    pools.push(pool)
    return drizzle({ client: pool, schema: { users } })
  }
  async function violationBy(statement: string, db = open()): Promise<ConstraintViolationError> {
    const error: unknown = await db.execute(statement).then(
      () => new Error('it was done'),
      (reason) => reason,
    )
    const violation = violationIn(error)
    if (violation === undefined) throw error
    return violation
  }

  it.each([
    ['a check of plain SQL', "insert into users values (2, 'b', 17, 'young')", ['yearsOld']],
    ['a check that is plain SQL in part', "insert into users values (2, 'b', 19, 'old')", ['yearsOld', 'kind']],
    ['an index over plain SQL', "insert into users values (2, 'ADA', 36, 'old')", ['email']],
    ['a check with a function and literals', "insert into users values (2, 'b', 36, 'x')", ['kind']],
  ])('%s has all of its columns', async (_, statement, keys) => {
    const violation = await violationBy(statement)
    expect(violation.keys).toEqual(keys)
    expect(toIssues(violation)).toHaveLength(keys.length)
    expect(isCheckViolation(violation, users.yearsOld)).toBe(keys.join() === 'yearsOld')
    expect(isUniqueViolation(violation, users.email)).toBe(keys.join() === 'email')
  })

  it('has no columns rather than some of them where the catalogue is not asked', async () => {
    const db = open({ lookupTimeoutMs: 0 })
    for (const statement of ["(2, 'b', 17, 'young')", "(2, 'b', 19, 'old')", "(2, 'ADA', 36, 'old')"]) {
      const violation = await violationBy(`insert into users values ${statement}`, db)
      expect(violation).toMatchObject({ columns: undefined, keys: undefined, table: 'users' })
    }
  })

  it('has the columns of its own table, not of one of that name in another schema', async () => {
    const violation = await violationBy('insert into history.users values (1, 2)')
    expect(violation).toMatchObject({ schema: 'history', columns: ['at'], keys: undefined })
    expect(isUniqueViolation(violation, users.id)).toBe(false)
  })

  it('has the keys of the schema in whichever schema of the database the same table is', async () => {
    for (const errors of [{}, { lookupTimeoutMs: 0 }]) {
      const violation = await violationBy('insert into tenant.users values (1)', open(errors))
      expect(violation).toMatchObject({ schema: 'tenant', columns: ['id'], keys: ['id'] })
      expect(isUniqueViolation(violation, users.id)).toBe(true)
    }
  })
})
