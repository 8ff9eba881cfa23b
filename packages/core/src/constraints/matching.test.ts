// Guards of violations: what they find in whatever was caught, and which constraint they take for the one that is meant.

import { describe, expect, it } from '@jest/globals'
import {
  CheckViolationError,
  CommitOutcomeUnknownError,
  DeadlockError,
  ForeignKeyViolationError,
  HookError,
  NotNullViolationError,
  RetriesExhaustedError,
  TransactionAbortedError,
  TransactionCancelledError,
  UniqueViolationError,
} from '../errors.js'
import { complete } from './complete.js'
import {
  isCheckViolation,
  isConstraintViolation,
  isExclusionViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isUniqueViolation,
  matches,
  type ViolationTarget,
  violationIn,
} from './matching.js'

const guards = [
  isUniqueViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isCheckViolation,
  isExclusionViolation,
  isConstraintViolation,
]

const emails = { constraint: 'users_email_key', schema: 'public', table: 'users', columns: ['email'] }
const taken = new UniqueViolationError('taken', emails)
const places = new UniqueViolationError('booked', {
  constraint: 'places_pkey',
  schema: 'public',
  table: 'places',
  columns: ['flight', 'seat'],
})

function partitioned(): UniqueViolationError {
  const site = { constraint: 'events_2024_day_id_key', schema: 'parts', table: 'events_2024' }
  const error = new UniqueViolationError('there already', site)
  const partitionOf = { schema: 'public', table: 'events', name: 'events_day_id_key' }
  complete(error, { kind: 'unique', name: site.constraint, columns: ['day', 'id'], partitionOf })
  return error
}

describe('what a guard of violations takes', () => {
  it('tells the kinds apart, and any of them from other errors', () => {
    const missing = new ForeignKeyViolationError('no such user', {})
    expect(guards.map((guard) => guard(taken))).toEqual([true, false, false, false, false, true])
    expect(guards.map((guard) => guard(missing))).toEqual([false, true, false, false, false, true])
    expect(guards.map((guard) => guard(new NotNullViolationError('null', {})))[2]).toBe(true)
    expect(guards.map((guard) => guard(new CheckViolationError('odd', {})))[3]).toBe(true)
    expect(guards.map((guard) => guard(new DeadlockError('deadlock')))).toEqual(guards.map(() => false))
    for (const value of [undefined, null, 'taken', 23505, { code: '23505' }, new Error('23505')]) {
      expect(guards.map((guard) => guard(value))).toEqual(guards.map(() => false))
    }
  })

  it('finds a violation behind what was thrown because of it', () => {
    const wrappers = [
      new Error('Failed query', { cause: taken }),
      new Error('Sign-up failed', { cause: new Error('Failed query', { cause: taken }) }),
      new AggregateError([new Error('mail'), new Error('database', { cause: taken })]),
      new TransactionAbortedError('COMMIT was answered by ROLLBACK', { cause: taken }),
      new RetriesExhaustedError([new DeadlockError('deadlock'), taken], 'which is all it may'),
    ]
    for (const wrapper of wrappers) {
      expect(isUniqueViolation(wrapper, emails)).toBe(true)
      expect(violationIn(wrapper)).toBe(taken)
    }
  })

  it('looks past a violation of another constraint', () => {
    const both = new AggregateError([places, taken])
    expect(violationIn(both)).toBe(places)
    expect(isUniqueViolation(both, emails)).toBe(true)
    expect(violationIn(both, UniqueViolationError, (one) => matches(one, emails))).toBe(taken)
  })

  it('lets another error of ours speak for itself, whatever it was caused by', () => {
    const others = [
      new TransactionCancelledError('cancelled', { cause: taken }),
      new CommitOutcomeUnknownError('unknown', { cause: taken }),
      new HookError('beforeAcquire', 'threw', { cause: taken }),
    ]
    for (const other of others) {
      expect(isUniqueViolation(other)).toBe(false)
      expect(isUniqueViolation(new Error('Failed query', { cause: other }))).toBe(false)
    }
  })

  it('does not take an earlier attempt’s violation for the last one’s', () => {
    const deadlock = new DeadlockError('deadlock')
    expect(isUniqueViolation(new RetriesExhaustedError([taken, deadlock], 'which is all it may'))).toBe(false)
  })

  it('ends in a circle of causes, and in a chain without end', () => {
    const first = new Error('first')
    first.cause = new Error('second', { cause: first })
    expect(isConstraintViolation(first)).toBe(false)
    const endless = (): object => ({
      get cause() {
        return endless()
      },
    })
    expect(isConstraintViolation(endless())).toBe(false)
    expect(isConstraintViolation({ errors: Array.from({ length: 10_000 }, endless) })).toBe(false)
  })
})

describe('which constraint a guard takes for the one that is meant', () => {
  it.each<[string, ViolationTarget, boolean]>([
    ['nothing in particular', {}, true],
    ['the table', { table: 'users' }, true],
    ['the table in its schema', { schema: 'public', table: 'users' }, true],
    ['a table of that name in another schema', { schema: 'audit', table: 'users' }, false],
    ['another table', { table: 'orders' }, false],
    ['the column', { table: 'users', columns: 'email' }, true],
    ['a list of that column', { table: 'users', columns: ['email'] }, true],
    ['another column', { table: 'users', columns: 'name' }, false],
    ['that column and another', { table: 'users', columns: ['email', 'tenant'] }, false],
    ['no column', { table: 'users', columns: [] }, false],
    ['the constraint', { constraint: 'users_email_key' }, true],
    ['another constraint of the table', { table: 'users', constraint: 'users_pkey' }, false],
  ])('%s', (_, target, isMeant) => {
    expect(isUniqueViolation(taken, target)).toBe(isMeant)
  })

  it('takes several columns in any order, but neither one of them nor one more', () => {
    const on = (...columns: string[]) => isUniqueViolation(places, { table: 'places', columns })
    expect([on('flight', 'seat'), on('seat', 'flight'), on('seat', 'seat', 'flight')]).toEqual([true, true, true])
    expect([on('flight'), on('seat'), on('seat', 'flight', 'day'), on('seat', 'seat')]).toEqual([
      false,
      false,
      false,
      false,
    ])
  })

  it('takes a partition for itself and for the table it is a part of', () => {
    const error = partitioned()
    const is = (target: ViolationTarget) => isUniqueViolation(error, target)
    expect(is({ table: 'events' })).toBe(true)
    expect(is({ schema: 'public', table: 'events', columns: ['id', 'day'] })).toBe(true)
    expect(is({ constraint: 'events_day_id_key' })).toBe(true)
    expect(is({ schema: 'parts', table: 'events_2024', constraint: 'events_2024_day_id_key' })).toBe(true)
    expect(is({ schema: 'parts', table: 'events' })).toBe(false)
    expect(is({ table: 'events', columns: 'day' })).toBe(false)
  })

  it('takes for granted nothing that the violation does not know', () => {
    const bare = new UniqueViolationError('taken', {})
    for (const target of [{ table: 'users' }, { schema: 'public' }, { columns: 'email' }, { constraint: 'a' }]) {
      expect(isUniqueViolation(bare, target)).toBe(false)
    }
  })
})

function refuse(): never {
  throw new Error('not to be looked at')
}

describe('what does its worst when it is looked at', () => {
  const named = () => new UniqueViolationError('taken', emails)
  it.each<[string, () => unknown]>([
    ['a proxy', () => new Proxy({}, { get: refuse, has: refuse, getPrototypeOf: refuse, ownKeys: refuse })],
    [
      'a revoked proxy',
      () => {
        const { proxy, revoke } = Proxy.revocable([], {})
        revoke()
        return { errors: proxy, cause: proxy }
      },
    ],
    ['getters', () => Object.defineProperties({}, { cause: { get: refuse }, errors: { get: refuse } })],
    ['an endless list', () => ({ errors: new Proxy([], { get: () => Number.POSITIVE_INFINITY }) })],
    ['a violation with a getter', () => Object.defineProperty(named(), 'table', { get: refuse })],
    ['a violation whose columns are none', () => Object.defineProperty(named(), 'columns', { value: Symbol('all') })],
    ['our brand on a proxy', () => ({ [Symbol.for('moorings.error.lineage')]: new Proxy([], { get: refuse }) })],
  ])('is no violation, and no reason to throw: %s', (_, make) => {
    for (const error of [make(), new Error('around', { cause: make() }), new AggregateError([make()])]) {
      expect(guards.map((guard) => guard(error, emails))).toEqual(guards.map(() => false))
    }
  })
})
