// Guards without a pool: what they take for the constraint of a table when only the table is there to ask.

import { describe, expect, it } from '@jest/globals'
import { CheckViolationError, NotNullViolationError, UniqueViolationError } from '@moorings/core'
import { sql } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { factsOf } from './constraint-facts.js'
import { isCheckViolation, isConstraintViolation, isUniqueViolation } from './guards.js'

let byHandle: pg.IndexBuilder | undefined
const users = pg.pgTable(
  'users',
  {
    id: pg.integer().primaryKey(),
    emailAddress: pg.text().unique(),
    handle: pg.text(),
    other: pg.text().unique('own'),
  },
  (t) => {
    byHandle = pg.uniqueIndex().on(t.handle)
    return [byHandle]
  },
)
const tenantUsers = pg.pgSchema('tenant').table('users', { emailAddress: pg.text().unique(), handle: pg.text() })

/** As the server tells it: without columns. */
const violated = (constraint: string, schema = 'public') =>
  new UniqueViolationError('there already', { constraint, schema, table: 'users' })

describe('a guard that has a table to ask', () => {
  it('knows the columns of a constraint by its name', () => {
    for (const name of ['users_emailAddress_unique', 'users_email_address_key', 'users_emailAddress_key']) {
      expect(isUniqueViolation(violated(name), users.emailAddress)).toBe(true)
      expect(isUniqueViolation(violated(name), users.handle)).toBe(false)
    }
    expect(isUniqueViolation(violated('unheard_of'), users.emailAddress)).toBe(false)
    expect(isUniqueViolation(violated('unheard_of'), users)).toBe(true)
  })

  it('takes an alias for its table', () => {
    const alias = pg.alias(users, 'u')
    expect(isUniqueViolation(violated('own'), alias)).toBe(true)
    expect(isUniqueViolation(violated('own'), alias.other)).toBe(true)
  })

  it('takes a table without a schema for the one in any, and one with a schema for that', () => {
    expect(isUniqueViolation(violated('own', 'tenant'), users)).toBe(true)
    expect(isUniqueViolation(violated('own'), tenantUsers)).toBe(false)
  })

  it('takes columns of tables in two schemas for none, though their types do not tell', () => {
    const site = { schema: 'public', table: 'users', columns: ['emailAddress', 'handle'] }
    const both = new UniqueViolationError('there already', site)
    expect(isUniqueViolation(both, [users.emailAddress, users.handle])).toBe(true)
    expect(isUniqueViolation(both, [users.emailAddress, tenantUsers.handle])).toBe(false)
  })
})

describe('a guard that has a constraint to ask', () => {
  it('goes by the name it was given, cut as the server does', () => {
    const long = 'n'.repeat(70)
    const own = pg.unique('own').on(users.other)
    expect(isUniqueViolation(violated('own'), own)).toBe(true)
    expect(isUniqueViolation(violated('users_other_key'), own)).toBe(false)
    expect(isUniqueViolation(violated('n'.repeat(63)), pg.unique(long).on(users.other))).toBe(true)
    expect(isUniqueViolation(violated('n'.repeat(63)), long)).toBe(true)
  })

  it('goes by its columns if it has no name', () => {
    const unnamed = pg.unique().on(users.emailAddress)
    expect(isUniqueViolation(violated('users_email_address_key'), unnamed)).toBe(true)
    expect(isUniqueViolation(violated('own'), unnamed)).toBe(false)
    const built = pg.getTableConfig(pg.pgTable('users', { handle: pg.text() }, (t) => [pg.unique().on(t.handle)]))
    expect(built.uniqueConstraints.map((one) => isUniqueViolation(violated('users_handle_key'), one))).toEqual([true])
  })

  it('knows an index without a name by the table that has it', () => {
    factsOf(users)
    if (byHandle === undefined) throw new Error('the table was not looked at')
    expect(isUniqueViolation(violated('users_handle_index'), byHandle)).toBe(true)
    expect(isUniqueViolation(violated('own'), byHandle)).toBe(false)
  })

  it('does not take another kind’s violation of the same columns', () => {
    const site = { schema: 'public', table: 'users', columns: ['emailAddress'] }
    const missing = new NotNullViolationError('null', site)
    expect(isConstraintViolation(missing, users.emailAddress)).toBe(true)
    expect(isConstraintViolation(missing, pg.unique().on(users.emailAddress))).toBe(false)
  })

  it('has no answer but no for one that is not there, not unique, or of a domain', () => {
    const ask: (...args: unknown[]) => boolean = isUniqueViolation
    expect(ask(violated('own'), undefined)).toBe(false)
    expect(ask(violated('own'), {})).toBe(false)
    expect(ask(violated('own'), [])).toBe(false)
    expect(ask(violated('own'), pg.index('own').on(sql`${users.other}`))).toBe(false)
    const domain = new CheckViolationError('odd', { schema: 'public', constraint: 'odd', domain: 'zip' })
    expect(isCheckViolation(domain, 'odd')).toBe(true)
    expect(isCheckViolation(domain, users)).toBe(false)
  })
})
