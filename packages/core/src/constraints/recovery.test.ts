import { describe, expect, it } from '@jest/globals'
import {
  CheckViolationError,
  ConnectError,
  ConstraintViolationError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NotNullViolationError,
  UniqueViolationError,
} from '../errors.js'
import { suggestRecovery } from './recovery.js'

const site = { table: 'orders', constraint: 'orders_place', columns: ['place', 'day'] }

describe('E3: a suggestion for recovery', () => {
  it.each<[string, Error, RegExp]>([
    [
      'unique',
      new UniqueViolationError('no', site),
      /this place, day is in orders already: .*ON CONFLICT \(place, day\) DO UPDATE/,
    ],
    [
      'unique, columns unknown',
      new UniqueViolationError('no', {}),
      /this key is in the table already: .*\(ON CONFLICT DO UPDATE\)/,
    ],
    [
      'a parent that is missing',
      new ForeignKeyViolationError('no', { ...site, direction: 'missing-parent' }),
      /^place, day of orders refers to what is not in .* \(orders_place\): insert that first/,
    ],
    [
      'a row that others refer to',
      new ForeignKeyViolationError('no', { ...site, direction: 'still-referenced' }),
      /^Rows of orders still refer to this one \(orders_place\): delete or change those first/,
    ],
    ['a foreign key, direction unknown', new ForeignKeyViolationError('no', site), /insert what is referred to first/],
    ['not null', new NotNullViolationError('no', { table: 'orders', columns: ['day'] }), /^orders\.day needs a value/],
    ['check', new CheckViolationError('no', site), /not allowed in orders \(orders_place\)/],
    [
      'a domain’s check',
      new CheckViolationError('no', { domain: 'email', constraint: 'c' }),
      /not allowed in email \(c\)/,
    ],
    [
      'exclusion',
      new ExclusionViolationError('no', site),
      /conflicts with one that is in orders already \(orders_place\)/,
    ],
    ['any other', new ConstraintViolationError('no', site), /breaks a constraint \(orders_place\)/],
    [
      'wrapped',
      new Error('sign-up', { cause: new NotNullViolationError('no', { columns: ['a'] }) }),
      /^the table\.a needs/,
    ],
  ])('%s', (_, error, expected) => {
    expect(suggestRecovery(error)).toMatch(expected)
  })

  it('is not there for anything else', () => {
    expect([suggestRecovery(new ConnectError('no')), suggestRecovery(undefined), suggestRecovery('23505')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })
})
