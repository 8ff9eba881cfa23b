import { describe, expect, it } from '@jest/globals'
import type { z } from 'zod'
import {
  CheckViolationError,
  ConstraintViolationError,
  DeadlockError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NotNullViolationError,
  TransactionAbortedError,
  toIssues,
  UniqueViolationError,
} from '../errors.js'

/** As a schema library has them. */
type Validated = Awaited<ReturnType<z.ZodString['~standard']['validate']>>
type StandardIssue = NonNullable<Validated['issues']>[number]

const site = { schema: 'public', table: 'users', constraint: 'secret_constraint' }
const taken = (columns?: readonly string[]) => new UniqueViolationError('secret message', { ...site, columns })

describe('issues', () => {
  it('are at the columns, one for each', () => {
    const issues: readonly StandardIssue[] | undefined = toIssues(taken(['email']))
    expect(issues).toEqual([{ message: 'This is already taken', path: ['email'] }])
    expect(toIssues(taken(['tenant', 'email']))).toEqual([
      { message: 'This combination is already taken', path: ['tenant'] },
      { message: 'This combination is already taken', path: ['email'] },
    ])
  })

  it("are at the application's own names of the columns, where it has some", () => {
    const error = Object.assign(new NotNullViolationError('', { ...site, columns: ['first_name'] }), {
      keys: ['firstName'],
    })
    expect(toIssues(error)).toEqual([{ message: 'This is required', path: ['firstName'] }])
  })

  it('are at the path that the application has given, with its message', () => {
    const words = { keys: ['email'], userMessage: 'Somebody has this address', path: ['contacts', 0, 'email'] }
    expect(toIssues(Object.assign(taken(['email']), words))).toEqual([
      { message: 'Somebody has this address', path: ['contacts', 0, 'email'] },
    ])
  })

  it('are about the whole where nothing is known, or the application has said so', () => {
    expect(toIssues(taken())).toEqual([{ message: 'This is already taken' }])
    expect(toIssues(new CheckViolationError('', { ...site, columns: [] }))).toEqual([
      { message: 'This is not allowed' },
    ])
    expect(toIssues(Object.assign(taken(['email']), { path: [] }))).toEqual([{ message: 'This is already taken' }])
  })

  it('of a foreign key are at its columns when the parent is missing, and about the whole when children are there', () => {
    const columns = ['team_id']
    const broken = (direction?: 'missing-parent' | 'still-referenced') =>
      toIssues(new ForeignKeyViolationError('', { ...site, columns, direction }))
    expect(broken('missing-parent')).toEqual([{ message: 'What this refers to does not exist', path: ['team_id'] }])
    expect(broken('still-referenced')).toEqual([{ message: 'This is still in use' }])
    expect(broken()).toEqual([{ message: 'What this refers to does not exist, or this is still in use' }])
  })

  it('there are for every kind', () => {
    expect(toIssues(new ExclusionViolationError('', { ...site, columns: ['room', 'during'] }))).toHaveLength(2)
    expect(toIssues(new ConstraintViolationError('', site))).toEqual([{ message: 'This is not allowed' }])
  })

  it('are found in wrapped errors, and behind a transaction that was aborted for it', () => {
    const wrapped = new Error('Failed query', { cause: new Error('again', { cause: taken(['email']) }) })
    expect(toIssues(wrapped)).toHaveLength(1)
    expect(toIssues(new TransactionAbortedError('', { cause: wrapped }))).toHaveLength(1)
  })

  it('are those of all violations in an AggregateError, unless something else has gone wrong as well', () => {
    const both = [taken(['email']), new Error('again', { cause: taken(['name']) })]
    expect(toIssues(new AggregateError(both))?.map(({ path }) => path)).toEqual([['email'], ['name']])
    expect(toIssues(new AggregateError([...both, new Error('mail')]))).toHaveLength(2)
    expect(toIssues(new AggregateError([...both, new DeadlockError('')]))).toBeUndefined()
  })

  it('there are none of anything else, however hostile', () => {
    const circle: { cause?: unknown } = {}
    circle.cause = { cause: circle }
    const hostile = Object.defineProperty({}, 'cause', { get: () => Symbol('no error') })
    const throwing = new Proxy(new Error(), {
      get() {
        throw new Error('no')
      },
      has() {
        throw new Error('no')
      },
    })
    for (const other of [new DeadlockError(''), new Error(), undefined, null, 'text', circle, hostile, throwing]) {
      expect(toIssues(other)).toBeUndefined()
    }
  })

  it('show nothing of the server and no name of the constraint', () => {
    expect(JSON.stringify(toIssues(taken(['email'])))).not.toContain('secret')
  })
})
