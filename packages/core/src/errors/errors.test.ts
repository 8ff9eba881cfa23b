// What every error of ours keeps: recognised across copies, and safe to print.

import { inspect } from 'node:util'
import { describe, expect, it, jest } from '@jest/globals'
import { addCallerFrames } from '../caller-frames.js'
import * as errors from '../errors.js'
import {
  AcquireAbortedError,
  AcquireTimeoutError,
  AuthenticationError,
  CommitOutcomeUnknownError,
  ConnectError,
  ConnectionLostError,
  ConstraintViolationError,
  DeadlockError,
  HookError,
  InvalidOptionsError,
  isMooringsError,
  MooringsError,
  PoolSuspendedError,
  SelfDeadlockError,
  StatementError,
  StatementTimeoutError,
  TransactionError,
  UniqueViolationError,
} from '../errors.js'

type ErrorClass = abstract new (...args: never[]) => MooringsError

const counts = { idle: 0, leased: 10, connecting: 1, waiting: 4, max: 10, overflow: 5 }

/** What PostgreSQL says about a row that was there already, as postgres.js hands it on. */
function driverError(): Error {
  return Object.assign(new Error('duplicate key value violates unique constraint "users_email_key"'), {
    name: 'PostgresError',
    code: '23505',
    detail: 'Key (email)=(ada@secret.test) already exists.',
    parameters: ['ada@secret.test'],
    query: 'insert into users (email) values ($1)',
  })
}

function violation(): UniqueViolationError {
  return new UniqueViolationError(
    'duplicate key value violates unique constraint "users_email_key"',
    { constraint: 'users_email_key', schema: 'public', table: 'users', columns: ['email'] },
    { code: '23505', cause: driverError() },
  )
}

describe('the tree of errors', () => {
  it('names every class, and puts it under its parents', () => {
    for (const [exported, value] of Object.entries(errors)) {
      if (typeof value !== 'function' || !exported.endsWith('Error') || exported === 'isMooringsError') continue
      expect(Object.getOwnPropertyDescriptor(value.prototype, 'name')?.value).toBe(exported)
      expect(Object.create(value.prototype)).toBeInstanceOf(MooringsError)
      expect(Object.create(value.prototype)).toBeInstanceOf(Error)
    }
  })

  it.each<[MooringsError, errors.ErrorKind, errors.RetryAdvice, ErrorClass[], ErrorClass[]]>([
    [new AcquireTimeoutError(5, counts), 'acquire', 'reconnect', [MooringsError], [ConnectError]],
    [new SelfDeadlockError(counts, []), 'acquire', 'never', [MooringsError], [AcquireTimeoutError, DeadlockError]],
    [new PoolSuspendedError(5), 'acquire', 'reconnect', [MooringsError], [errors.PoolClosedError]],
    [new HookError('beforeAcquire', 'threw'), 'acquire', 'never', [MooringsError], [ConnectError]],
    [new AuthenticationError('no'), 'connection', 'never', [ConnectError], [ConnectionLostError]],
    [new ConnectError('no'), 'connection', 'reconnect', [MooringsError], [AuthenticationError]],
    [new StatementTimeoutError('no'), 'statement', 'never', [StatementError], [TransactionError]],
    [new CommitOutcomeUnknownError('no'), 'transaction', 'unknown', [TransactionError], [DeadlockError]],
    [new errors.SessionExpiredError('no'), 'session', 'never', [errors.SessionEndedError], [TransactionError]],
    [
      new errors.PoolerError('no', { needs: 'locks' }),
      'session',
      'never',
      [errors.SessionError],
      [errors.SessionEndedError],
    ],
    [new errors.SessionBusyError('no'), 'session', 'never', [errors.SessionError], [errors.SessionEndedError]],
    [violation(), 'constraint', 'never', [ConstraintViolationError], [errors.NotNullViolationError]],
    [new InvalidOptionsError([]), 'config', 'never', [MooringsError], [StatementError]],
  ])('%s has its kind, its advice and its place', (error, kind, retry, is, isNot) => {
    expect(error).toMatchObject({ kind, retry })
    for (const parent of is) expect(error).toBeInstanceOf(parent)
    for (const other of isNot) expect(error).not.toBeInstanceOf(other)
    expect(String(error)).toMatch(new RegExp(`^${error.name}: `))
    expect(error.stack).toContain('errors.test')
  })

  it('keeps a class an application derives to itself', () => {
    class OutOfStock extends MooringsError {
      constructor() {
        super('statement', 'out of stock')
      }
    }
    const error = new OutOfStock()
    expect(error).toBeInstanceOf(OutOfStock)
    expect(error).toBeInstanceOf(MooringsError)
    expect(new StatementError('other') instanceof OutOfStock).toBe(false)
    expect(violation() instanceof OutOfStock).toBe(false)
  })

  it('claims nothing that is not ours', () => {
    const strangers = [undefined, null, 1, 'MooringsError', {}, [], new Error('x'), new TypeError('x'), () => {}]
    const alike = Object.assign(new Error('x'), { name: 'MooringsError', kind: 'acquire' })
    for (const stranger of [...strangers, alike]) {
      expect(isMooringsError(stranger)).toBe(false)
      expect(stranger).not.toBeInstanceOf(DeadlockError)
    }
  })
})

describe('two copies of the package', () => {
  async function anotherCopy(): Promise<typeof errors> {
    let copy: typeof errors | undefined
    await jest.isolateModulesAsync(async () => {
      copy = await import('../errors.js')
    })
    if (copy === undefined) throw new Error('the copy was not loaded')
    return copy
  }

  it('recognise each other’s errors by class', async () => {
    const copy = await anotherCopy()
    expect(copy.MooringsError).not.toBe(MooringsError)
    const theirs = new copy.DeadlockError('theirs', { code: '40P01' })
    expect(Object.getPrototypeOf(theirs)).not.toBe(DeadlockError.prototype)
    expect(theirs instanceof DeadlockError).toBe(true)
    expect(theirs instanceof TransactionError).toBe(true)
    expect(theirs instanceof MooringsError).toBe(true)
    expect(theirs instanceof StatementError).toBe(false)
    expect(isMooringsError(theirs)).toBe(true)
    expect(violation() instanceof copy.UniqueViolationError).toBe(true)
    expect(violation() instanceof copy.CheckViolationError).toBe(false)
    expect(copy.isMooringsError(violation())).toBe(true)
  })

  it.each([
    ['AcquireTimeoutError', () => new AcquireTimeoutError(5, counts)],
    ['SelfDeadlockError', () => new SelfDeadlockError(counts, [])],
    ['PoolSuspendedError', () => new PoolSuspendedError(5)],
    ['HookError', () => new HookError('afterRelease', 'threw')],
  ] as const)('recognise a %s, and take it for no other', async (name, make) => {
    const copy = await anotherCopy()
    const ours = make()
    expect(Object.getPrototypeOf(ours)).not.toBe(copy[name].prototype)
    const others = ['AcquireTimeoutError', 'SelfDeadlockError', 'PoolSuspendedError', 'HookError'] as const
    for (const other of others) expect(ours instanceof copy[other]).toBe(other === name)
  })
})

describe('toJSON', () => {
  it('says what is safe: no stack, no value, the cause by name and code', () => {
    const text = JSON.stringify(violation())
    expect(JSON.parse(text)).toEqual({
      name: 'UniqueViolationError',
      message: 'duplicate key value violates unique constraint "users_email_key"',
      kind: 'constraint',
      code: '23505',
      retry: 'never',
      constraint: 'users_email_key',
      schema: 'public',
      table: 'users',
      columns: ['email'],
      cause: { name: 'PostgresError', code: '23505' },
    })
    expect(text).not.toContain('secret')
  })

  it('leaves out what is not known', () => {
    expect(new ConnectError('no').toJSON()).toEqual({
      name: 'ConnectError',
      message: 'no',
      kind: 'connection',
      retry: 'reconnect',
    })
  })

  it('takes a cause that is no error as it can', () => {
    expect(new AcquireAbortedError('a secret string').toJSON()).not.toHaveProperty('cause')
    expect(new AcquireAbortedError({ secret: 1 }).toJSON()).toMatchObject({ cause: { name: 'Error' } })
    expect(new AcquireAbortedError(null).toJSON()).not.toHaveProperty('cause')
  })

  it('carries what the pool looked like', () => {
    expect(new AcquireTimeoutError(250, counts).toJSON()).toMatchObject({ waitedMs: 250, pool: counts })
  })
})

describe('inspect', () => {
  it('shows class, message, stack and fields, and nothing of the row', () => {
    const text = inspect(violation())
    expect(text).toContain('UniqueViolationError: duplicate key value')
    expect(text).toContain('errors.test')
    expect(text).toContain('users_email_key')
    expect(text).not.toContain('secret')
    expect(text).not.toContain('insert into')
  })

  it('shows no more when the error is inside something else', () => {
    const wrapped = new Error('saving failed', { cause: violation() })
    for (const holder of [wrapped, { error: violation() }, [violation()], new AggregateError([violation()])]) {
      expect(inspect(holder, { depth: 10 })).not.toContain('secret')
    }
  })

  it('copes with what others hang on an error: a request that refers to itself, a bigint', () => {
    const request: Record<string, unknown> = { id: 7n }
    request.self = request
    const error = Object.assign(violation(), { request })
    expect(inspect(error)).toContain('UniqueViolationError')
  })
})

describe('addCallerFrames', () => {
  function whereTheApplicationWaits(): Error {
    return new Error('only its frames matter')
  }

  it('leads an error that was made elsewhere to whoever waited, once', () => {
    const error = new StatementError('no')
    error.stack = 'StatementError: no\n    at Socket.data (node:net:1:1)'
    const caller = whereTheApplicationWaits()
    addCallerFrames(error, caller)
    const once = error.stack
    addCallerFrames(error, caller)
    expect(error.stack).toBe(once)
    const lines = error.stack.split('\n')
    expect(lines.slice(0, 2)).toEqual(['StatementError: no', '    at Socket.data (node:net:1:1)'])
    expect(lines.some((line) => line.includes('whereTheApplicationWaits'))).toBe(true)
  })

  it('leaves alone what is not ours', () => {
    const error = new Error('an application’s own')
    const { stack } = error
    addCallerFrames(error, whereTheApplicationWaits())
    addCallerFrames('a string', whereTheApplicationWaits())
    expect(error.stack).toBe(stack)
  })
})

describe('the cause', () => {
  it('is the driver’s own error, for code written for the stock driver', () => {
    const cause = driverError()
    const error = new StatementError('no', { code: '23505', cause })
    expect(error.cause).toBe(cause)
    expect(Object.keys(error)).not.toContain('cause')
  })

  it('is not there when there was none', () => {
    expect('cause' in new ConnectionLostError('no')).toBe(false)
  })

  it('has its message in an acquire timeout', () => {
    const error = new AcquireTimeoutError(30_000, counts, [], new ConnectError('connect ECONNREFUSED'))
    expect(error.message).toContain('10 leased, 0 idle, 1 connecting, 4 waiting; max 10, overflow 5')
    expect(error.message).toContain('the last connect failed: connect ECONNREFUSED')
  })
})
