import { describe, expect, it } from '@jest/globals'
import {
  CheckViolationError,
  ConstraintViolationError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NotNullViolationError,
  UniqueViolationError,
} from '../errors.js'
import { ViolationAccounts } from './violation-stats.js'

const taken = (constraint = 'users_email_key', columns?: readonly string[]) =>
  new UniqueViolationError('duplicate key', { schema: 'public', table: 'users', constraint, columns })

/** Accounts on a clock of their own. */
function counting() {
  const clock = { now: 1_000 }
  return { clock, accounts: new ViolationAccounts(() => clock.now) }
}

describe('violations', () => {
  it('are counted by constraint, with the first and the last time, the most frequent first', () => {
    const { clock, accounts } = counting()
    accounts.noted(new CheckViolationError('', { table: 'users', constraint: 'users_age_check' }))
    clock.now = 2_000
    accounts.noted(taken())
    clock.now = 3_000
    accounts.noted(taken())
    expect(accounts.snapshot()).toMatchObject({
      since: 1_000,
      total: 3,
      byKind: { unique: 2, check: 1, 'foreign-key': 0 },
      constraints: [
        {
          kind: 'unique',
          schema: 'public',
          table: 'users',
          constraint: 'users_email_key',
          count: 2,
          firstSeenAt: 2_000,
          lastSeenAt: 3_000,
        },
        { kind: 'check', constraint: 'users_age_check', count: 1, firstSeenAt: 1_000, lastSeenAt: 1_000 },
      ],
      others: 0,
    })
  })

  it('are told apart by kind, schema, and the direction of a foreign key', () => {
    const { accounts } = counting()
    const site = { table: 'children', constraint: 'fk' }
    accounts.noted(new ForeignKeyViolationError('', { ...site, direction: 'missing-parent' }))
    accounts.noted(new ForeignKeyViolationError('', { ...site, direction: 'still-referenced' }))
    accounts.noted(new ExclusionViolationError('', { ...site, schema: 'a' }))
    accounts.noted(new ExclusionViolationError('', { ...site, schema: 'b' }))
    accounts.noted(new ConstraintViolationError('', site))
    const { constraints, byKind } = accounts.snapshot()
    expect(constraints.map(({ count }) => count)).toEqual([1, 1, 1, 1, 1])
    expect(byKind).toEqual({ unique: 0, 'foreign-key': 2, 'not-null': 0, check: 0, exclusion: 2, other: 1 })
  })

  it('of NOT NULL are told apart by their columns, which are all they have', () => {
    const { accounts } = counting()
    const missing = (column: string) => new NotNullViolationError('', { table: 'users', columns: [column] })
    for (const column of ['name', 'email', 'name']) accounts.noted(missing(column))
    expect(accounts.snapshot().constraints).toMatchObject([
      { kind: 'not-null', columns: ['name'], count: 2 },
      { kind: 'not-null', columns: ['email'], count: 1 },
    ])
  })

  it('of one constraint are one, whether or not its columns were known', () => {
    const { accounts } = counting()
    accounts.noted(taken())
    accounts.noted(taken('users_email_key', ['email']))
    expect(accounts.snapshot().constraints).toHaveLength(1)
  })

  it('of partitions are counted for the table that an application knows', () => {
    const { accounts } = counting()
    for (const partition of ['2025', '2026']) {
      const error = new UniqueViolationError('', {
        table: `orders_${partition}`,
        constraint: `orders_${partition}_key`,
      })
      accounts.noted(Object.assign(error, { partitionOf: { schema: 'shop', table: 'orders', name: 'orders_key' } }))
    }
    expect(accounts.snapshot().constraints).toMatchObject([
      { schema: 'shop', table: 'orders', constraint: 'orders_key', count: 2 },
    ])
  })

  it('of more constraints than are kept: the frequent ones stay, the others are summed', () => {
    const { accounts } = counting()
    for (let round = 0; round < 3; round++) accounts.noted(taken('frequent'))
    for (let name = 0; name < 2_000; name++) accounts.noted(taken(`rare ${name}`))
    const { constraints, others, total, byKind } = accounts.snapshot()
    expect(constraints).toHaveLength(500)
    expect(constraints[0]).toMatchObject({ constraint: 'frequent', count: 3 })
    expect(others).toBe(2_003 - 3 - 499)
    expect(total).toBe(2_003)
    expect(byKind.unique).toBe(2_003)
  })

  it('are counted from zero again after a reset, from that moment', () => {
    const { clock, accounts } = counting()
    accounts.noted(taken())
    clock.now = 9_000
    accounts.reset()
    expect(accounts.snapshot()).toMatchObject({ since: 9_000, total: 0, constraints: [], others: 0 })
  })

  it('are told in a copy', () => {
    const { accounts } = counting()
    accounts.noted(taken())
    const before = accounts.snapshot()
    accounts.noted(taken())
    expect(before).toMatchObject({ total: 1, byKind: { unique: 1 }, constraints: [{ count: 1 }] })
  })
})
