// E5: errors are what they were after a way through JSON.

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { isConstraintViolation, isUniqueViolation } from '../constraints/matching.js'
import * as errors from '../errors.js'

const { errorFromJSON, toIssues, toProblem } = errors

const site = { constraint: 'users_email_key', schema: 'public', table: 'users', columns: ['email'] }
const driversOwn = Object.assign(new Error('secret'), { name: 'PostgresError', code: '23505', detail: 'secret' })
const taken = Object.assign(new errors.UniqueViolationError('taken', site, { code: '23505', cause: driversOwn }), {
  keys: ['mail'],
  path: ['address', 0],
  userMessage: 'Somebody has it',
  userCode: 'TAKEN',
})
const counts = { idle: 0, leased: 10, connecting: 1, waiting: 4, max: 10, overflow: 5 }
const some = [
  taken,
  new errors.ForeignKeyViolationError('', { ...site, direction: 'missing-parent' }),
  new errors.NotNullViolationError('null', { table: 'users', columns: ['name'] }),
  new errors.DeadlockError('deadlock', { code: '40P01', retry: 'transaction' }),
  new errors.AcquireTimeoutError(5, counts),
  new errors.ConnectionLostError('lost', { sent: false, code: 'ECONNRESET' }),
  new errors.CommitOutcomeUnknownError('unknown'),
  new errors.InvalidOptionsError([{ path: 'a', given: 'b', allowed: 'c' }]),
  new errors.MooringsError('config', 'odd'),
]
const through = (error: unknown) => errorFromJSON(JSON.parse(JSON.stringify(error)))

describe('an error from its JSON', () => {
  it.each(some.map((error) => [error.name, error] as const))('E5: %s is what it was', (_, error) => {
    const back = through(error)
    expect(back).toBeInstanceOf(Object.getPrototypeOf(error).constructor)
    expect(Object.prototype.toString.call(back)).toBe('[object Error]')
    expect(back?.message).toBe(error.message)
    expect(back?.toJSON()).toEqual(error.toJSON())
    expect(toProblem(back)).toEqual(toProblem(error))
    expect(toIssues(back)).toEqual(toIssues(error))
    expect(isUniqueViolation(back, site)).toBe(error === taken)
    expect(back?.stack).toContain(`${error.name}: ${error.message}`.trimEnd())
  })

  it('E5: every class of ours can come back', () => {
    for (const [name, value] of Object.entries(errors)) {
      if (!(value.prototype instanceof Error)) continue
      expect(errorFromJSON({ name, message: '', kind: 'config', retry: 'never' })?.name).toBe(name)
    }
  })

  it('E5: of an application’s own class is one of ours, which it is no more than that of', () => {
    class Late extends errors.StatementTimeoutError {
      override readonly name = 'Late'
    }
    const back = through(new Late('late'))
    expect(back).toBeInstanceOf(errors.MooringsError)
    expect(back).toMatchObject({ name: 'MooringsError', kind: 'statement', message: 'late' })
  })

  it('E5: has no field that could not be one', () => {
    const json = {
      ...taken.toJSON(),
      columns: 'email',
      keys: [1],
      path: { 0: 'a' },
      table: 7,
      direction: 'up',
      cause: 1,
    }
    const back = errorFromJSON({ ...json, stack: 'secret', toJSON: 'secret', __proto__: { constraint: 'x' } })
    expect(isConstraintViolation(back)).toBe(true)
    expect(isUniqueViolation(back, { table: 'users' })).toBe(false)
    expect(toIssues(back)).toEqual([{ message: 'Somebody has it' }])
    expect(back?.stack).not.toContain('secret')
    expect(JSON.stringify(back)).not.toContain('secret')
  })

  it('E5: of anything else there is none, and nothing throws', () => {
    expect(errorFromJSON({ ...taken.toJSON(), kind: 'other' })).toBeUndefined()
    expect(errorFromJSON({ ...taken.toJSON(), retry: undefined })).toBeUndefined()
    const hostile = Object.defineProperty({}, 'name', {
      enumerable: true,
      get() {
        throw new Error('no')
      },
    })
    for (const other of [hostile, undefined, null, 7, 'UniqueViolationError', [], new Error('x')]) {
      expect(errorFromJSON(other)).toBeUndefined()
    }
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('columns', 'keys', 'path', 'code', 'cause', 'constructor', 'x'), fc.anything()),
        (odd) => {
          const back = errorFromJSON({ ...taken.toJSON(), ...odd })
          expect(isUniqueViolation(back)).toBe(true)
          expect(toProblem(back)?.status).toBe(409)
          expect(toIssues(back)).toBeDefined()
        },
      ),
    )
  })
})
