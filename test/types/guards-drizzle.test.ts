// What a guard's types take for a constraint, and what they make of an error. Checked by the compiler, with tables of both
// releases of Drizzle; at run time nothing connects.

import { describe, expect, it } from '@jest/globals'
import {
  type CheckViolationError,
  type ConstraintViolationError,
  type ExclusionViolationError,
  type ForeignKeyViolationError,
  isCheckViolation,
  isConstraintViolation,
  isExclusionViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isUniqueViolation,
  type NotNullViolationError,
  UniqueViolationError,
  type Violated,
  violationIn,
} from '@moorings/drizzle'
import { sql } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { sql as sql1 } from 'drizzle-orm-1'
import * as pg1 from 'drizzle-orm-1/pg-core'
import { expectTypeOf } from 'expect-type'

const users = pg.pgTable('users', { id: pg.integer().primaryKey(), emailAddress: pg.text('email'), name: pg.text() })
const orders = pg.pgTable('orders', { id: pg.integer(), userId: pg.integer('user_id'), email: pg.text('email') })
const audits = pg.pgSchema('audit').table('audits', { id: pg.integer(), note: pg.text() })

const users1 = pg1.pgTable('users', {
  id: pg1.integer().primaryKey(),
  emailAddress: pg1.text('email'),
  name: pg1.text(),
})
const orders1 = pg1.snakeCase.table('orders', { id: pg1.integer(), userId: pg1.integer(), email: pg1.text() })
const audits1 = pg1.pgSchema('audit').table('audits', { id: pg1.integer(), note: pg1.text() })

const error: unknown = new UniqueViolationError('taken', { schema: 'public', table: 'users', columns: ['email'] })

describe('types of the guards for Drizzle', () => {
  it('makes an error with the fields of its kind of what was caught', () => {
    const told = (caught: unknown) => {
      if (isUniqueViolation(caught)) expectTypeOf(caught).toEqualTypeOf<Violated<UniqueViolationError>>()
      if (isForeignKeyViolation(caught)) {
        expectTypeOf(caught).toEqualTypeOf<Violated<ForeignKeyViolationError>>()
        expectTypeOf(caught.direction).toEqualTypeOf<'missing-parent' | 'still-referenced' | undefined>()
      }
      if (isNotNullViolation(caught)) expectTypeOf(caught).toEqualTypeOf<Violated<NotNullViolationError>>()
      if (isCheckViolation(caught)) expectTypeOf(caught).toEqualTypeOf<Violated<CheckViolationError>>()
      if (isExclusionViolation(caught)) expectTypeOf(caught).toEqualTypeOf<Violated<ExclusionViolationError>>()
      if (isConstraintViolation(caught)) expectTypeOf(caught).toEqualTypeOf<Violated<ConstraintViolationError>>()
      if (isUniqueViolation(caught, users.emailAddress))
        expectTypeOf(caught.constraint).toEqualTypeOf<string | undefined>()
    }
    told(undefined)
    expect(isUniqueViolation(error)).toBe(true)
  })

  it('promises nothing that an error around a violation does not have', () => {
    const wrapped: Error = new Error('Sign-up failed', { cause: error })
    if (!isUniqueViolation(wrapped)) {
      // Still there for who asks on.
      expectTypeOf(wrapped).toEqualTypeOf<Error>()
      throw wrapped
    }
    expectTypeOf(wrapped.message).toEqualTypeOf<string>()
    expectTypeOf(wrapped.code).toEqualTypeOf<string | undefined>()
    // @ts-expect-error: it has none
    expect(wrapped.toJSON).toBeUndefined()
    // @ts-expect-error: it is none of ours
    expect(wrapped.retry).toBeUndefined()
    expect(violationIn(wrapped)?.retry).toBe('never')
  })

  it('knows the keys of the table it was asked for', () => {
    const told = (caught: unknown) => {
      if (isUniqueViolation(caught, users)) {
        expectTypeOf(caught.keys).toEqualTypeOf<readonly ('id' | 'emailAddress' | 'name')[] | undefined>()
        // @ts-expect-error: the database's name of a column is no key
        caught.keys?.includes('email')
      }
      if (isForeignKeyViolation(caught, orders)) {
        expectTypeOf(caught).toEqualTypeOf<Violated<ForeignKeyViolationError<'id' | 'userId' | 'email'>>>()
      }
      if (isConstraintViolation(caught, audits)) {
        expectTypeOf(caught.keys).toEqualTypeOf<readonly ('id' | 'note')[] | undefined>()
      }
      if (isUniqueViolation(caught, users1)) {
        expectTypeOf(caught.keys).toEqualTypeOf<readonly ('id' | 'emailAddress' | 'name')[] | undefined>()
      }
      if (isCheckViolation(caught, orders1)) {
        expectTypeOf(caught).toEqualTypeOf<Violated<CheckViolationError<'id' | 'userId' | 'email'>>>()
      }
      if (isNotNullViolation(caught, audits1)) {
        expectTypeOf(caught.keys).toEqualTypeOf<readonly ('id' | 'note')[] | undefined>()
      }
    }
    told(undefined)
    expect(isUniqueViolation(error, users) && isUniqueViolation(error, users1)).toBe(true)
  })

  it('takes columns of one table, of one release', () => {
    expect(isUniqueViolation(error, users.emailAddress)).toBe(true)
    expect(isUniqueViolation(error, [users.emailAddress, users.name])).toBe(false)
    expect(isUniqueViolation(error, users1.emailAddress)).toBe(true)
    expect(isUniqueViolation(error, [users1.emailAddress, users1.name])).toBe(false)
    // @ts-expect-error: of two tables, though both have such a column
    expect(isUniqueViolation(error, [users.emailAddress, orders.email])).toBe(false)
    // @ts-expect-error: of two tables
    expect(isForeignKeyViolation(error, [orders.userId, orders.id, users.id])).toBe(false)
    // @ts-expect-error: of two tables
    expect(isUniqueViolation(error, [users1.emailAddress, orders1.email])).toBe(false)
    // @ts-expect-error: of two tables
    expect(isConstraintViolation(error, [audits1.note, orders1.userId, audits1.id])).toBe(false)
    // @ts-expect-error: no column
    expect(isUniqueViolation(error, [])).toBe(false)
    // @ts-expect-error: two tables
    expect(isUniqueViolation(error, [users, orders])).toBe(false)
  })

  it('takes the name of a constraint, and whatever Drizzle makes for one', () => {
    const constraints = [
      isUniqueViolation(error, 'users_email_key'),
      isUniqueViolation(error, pg.unique('u').on(users.name)),
      isUniqueViolation(error, pg.primaryKey({ columns: [users.id, users.name] })),
      isForeignKeyViolation(error, pg.foreignKey({ columns: [orders.userId], foreignColumns: [users.id] })),
      isCheckViolation(error, pg.check('c', sql`${users.id} > 0`)),
      isUniqueViolation(error, pg1.unique('u').on(users1.name)),
      isUniqueViolation(error, pg1.uniqueIndex('i').on(users1.name)),
      isUniqueViolation(error, pg1.primaryKey({ columns: [users1.id, users1.name] })),
      isForeignKeyViolation(error, pg1.foreignKey({ columns: [orders1.userId], foreignColumns: [users1.id] })),
      isCheckViolation(error, pg1.check('c', sql1`${users1.id} > 0`)),
    ]
    const config = pg.getTableConfig(users)
    const config1 = pg1.getTableConfig(users1)
    for (const one of [...config.uniqueConstraints, ...config.primaryKeys, ...config.indexes]) {
      constraints.push(isUniqueViolation(error, one))
    }
    for (const one of [...config1.foreignKeys, ...config1.checks]) constraints.push(isConstraintViolation(error, one))
    expect(constraints).toEqual(constraints.map(() => false))
  })

  it('takes nothing else', () => {
    // @ts-expect-error: a number
    expect(isUniqueViolation(error, 23505)).toBe(false)
    // @ts-expect-error: in the words of the core
    expect(isUniqueViolation(error, { table: 'users' })).toBe(false)
    // @ts-expect-error: SQL
    expect(isUniqueViolation(error, sql`lower(${users.name})`)).toBe(false)
    // @ts-expect-error: a constraint that is not there yet
    expect(isUniqueViolation(error, undefined)).toBe(false)
  })
})
