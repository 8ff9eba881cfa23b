// What a guard's types take for a constraint, from Kysely's database interface. Checked by the compiler; at run time nothing
// connects.

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
} from '@moorings/kysely'
import { expectTypeOf } from 'expect-type'
import type { Generated } from 'kysely'

interface Database {
  users: { id: Generated<number>; email: string | null; tenant: number }
  orders: { id: number; user_id: number; total: string }
  'audit.entries': { id: number; note: string }
  bookedSeats: { flightNumber: string; seat: string }
}

const site = { constraint: 'users_email_key', schema: 'public', table: 'users', columns: ['email'] }
const error: unknown = new UniqueViolationError('taken', site)
const entry: unknown = new UniqueViolationError('there', { schema: 'audit', table: 'entries', columns: ['id', 'note'] })
const seat: unknown = new UniqueViolationError('booked', { table: 'booked_seats', columns: ['flight_number', 'seat'] })

describe('types of the guards for Kysely', () => {
  it('makes an error with the fields of its kind of what was caught', () => {
    const told = (caught: unknown) => {
      if (isUniqueViolation(caught)) expectTypeOf(caught).toEqualTypeOf<Violated<UniqueViolationError>>()
      if (isForeignKeyViolation<Database>(caught, 'orders', 'user_id')) {
        expectTypeOf(caught).toEqualTypeOf<Violated<ForeignKeyViolationError>>()
      }
      if (isNotNullViolation<Database>(caught, 'orders'))
        expectTypeOf(caught).toEqualTypeOf<Violated<NotNullViolationError>>()
      if (isCheckViolation(caught)) expectTypeOf(caught).toEqualTypeOf<Violated<CheckViolationError>>()
      if (isExclusionViolation(caught)) expectTypeOf(caught).toEqualTypeOf<Violated<ExclusionViolationError>>()
      if (isConstraintViolation<Database>(caught, 'users')) {
        expectTypeOf(caught).toEqualTypeOf<Violated<ConstraintViolationError>>()
      }
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

  it('takes the tables of the interface and their columns', () => {
    expect(isUniqueViolation<Database>(error, 'users')).toBe(true)
    expect(isUniqueViolation<Database>(error, 'users', 'email')).toBe(true)
    expect(isUniqueViolation<Database>(error, 'users', ['email'])).toBe(true)
    expect(isUniqueViolation<Database>(error, 'users', ['email', 'tenant'])).toBe(false)
    expect(isUniqueViolation<Database>(entry, 'audit.entries', ['note', 'id'])).toBe(true)
    expect(isUniqueViolation<Database>(error, { constraint: 'users_email_key' })).toBe(true)
    expect(isUniqueViolation(error, { constraint: 'users_pkey' })).toBe(false)
  })

  it('refuses the column of another table', () => {
    // @ts-expect-error: of orders
    expect(isUniqueViolation<Database>(error, 'users', 'total')).toBe(false)
    // @ts-expect-error: one of them is of orders
    expect(isUniqueViolation<Database>(error, 'users', ['email', 'user_id'])).toBe(false)
    // @ts-expect-error: of users
    expect(isForeignKeyViolation<Database>(error, 'audit.entries', 'email')).toBe(false)
    // @ts-expect-error: no such table
    expect(isUniqueViolation<Database>(error, 'user', 'email')).toBe(false)
    // @ts-expect-error: of another schema
    expect(isUniqueViolation<Database>(entry, 'audits.entries')).toBe(false)
    // @ts-expect-error: no column
    expect(isUniqueViolation<Database>(error, 'users', [])).toBe(false)
  })

  it('takes no table without an interface that has it', () => {
    // @ts-expect-error: which database?
    expect(isUniqueViolation(error, 'users')).toBe(true)
    // @ts-expect-error: a constraint that is not there
    expect(isUniqueViolation(error, undefined)).toBe(false)
  })
})

describe('names in camel case', () => {
  interface Cased {
    bookedSeats: { flightNumber: string; seat: string }
    booked_seats: { flightnumber: string; seat: string }
  }

  it('are those that the CamelCasePlugin makes of the database’s', () => {
    expect(isUniqueViolation<Cased>(seat, 'bookedSeats', ['seat', 'flightNumber'])).toBe(true)
    expect(isUniqueViolation<Cased>(seat, 'bookedSeats', 'flightNumber')).toBe(false)
  })

  it('are not mixed up with what merely looks alike', () => {
    expect(isUniqueViolation<Cased>(seat, 'booked_seats', ['seat', 'flightnumber'])).toBe(false)
  })
})
