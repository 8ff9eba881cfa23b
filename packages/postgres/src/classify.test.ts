import { inspect } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import {
  AuthenticationError,
  CheckViolationError,
  CommitOutcomeUnknownError,
  ConnectError,
  ConnectionLostError,
  ConstraintViolationError,
  DeadlockError,
  type ErrorSite,
  ExclusionViolationError,
  ForeignKeyViolationError,
  LockTimeoutError,
  type MooringsError,
  NotNullViolationError,
  ReadOnlyEndpointError,
  type RetryAdvice,
  SerializationError,
  StatementCancelledError,
  StatementError,
  TransactionAbortedError,
  UniqueViolationError,
} from '@moorings/core'
import { classify, messageOf } from './classify.js'

const fail = (code: string, fields: Record<string, unknown> = {}) =>
  Object.assign(new Error(`message of ${code}`), { code, severity: 'ERROR', ...fields })

type ErrorClass = abstract new (...args: never[]) => MooringsError

const table: [ErrorSite, string, ErrorClass, RetryAdvice][] = [
  ['statement', '23505', UniqueViolationError, 'never'],
  ['statement', '23503', ForeignKeyViolationError, 'never'],
  ['statement', '23001', ForeignKeyViolationError, 'never'],
  ['statement', '23502', NotNullViolationError, 'never'],
  ['statement', '23514', CheckViolationError, 'never'],
  ['statement', '23P01', ExclusionViolationError, 'never'],
  ['statement', '40P01', DeadlockError, 'transaction'],
  ['statement', '40001', SerializationError, 'transaction'],
  ['statement', '40003', StatementError, 'unknown'],
  ['statement', '55P03', LockTimeoutError, 'never'],
  ['statement', '57014', StatementCancelledError, 'never'],
  ['statement', '25006', ReadOnlyEndpointError, 'transaction'],
  ['statement', '25P02', TransactionAbortedError, 'never'],
  ['statement', '28P01', AuthenticationError, 'never'],
  ['statement', '08000', ConnectionLostError, 'reconnect'],
  ['statement', '08006', ConnectionLostError, 'reconnect'],
  ['statement', '08007', ConnectionLostError, 'unknown'],
  ['statement', '57P01', ConnectionLostError, 'reconnect'],
  ['statement', '57P02', ConnectionLostError, 'reconnect'],
  ['statement', '57P03', ConnectionLostError, 'reconnect'],
  ['statement', '57P04', ConnectionLostError, 'never'],
  ['statement', '57P05', ConnectionLostError, 'reconnect'],
  ['statement', '25P03', ConnectionLostError, 'reconnect'],
  ['statement', '25P04', ConnectionLostError, 'reconnect'],
  ['statement', 'ECONNRESET', ConnectionLostError, 'reconnect'],
  ['statement', 'ECONNABORTED', ConnectionLostError, 'reconnect'],
  ['statement', 'EPIPE', ConnectionLostError, 'reconnect'],
  ['statement', 'ETIMEDOUT', ConnectionLostError, 'reconnect'],
  ['statement', 'ENETUNREACH', ConnectionLostError, 'reconnect'],
  ['statement', 'ERR_STREAM_DESTROYED', ConnectionLostError, 'reconnect'],
  ['statement', 'CONNECTION_CLOSED', ConnectionLostError, 'reconnect'],
  ['statement', 'CONNECTION_DESTROYED', ConnectionLostError, 'reconnect'],
  ['statement', 'CONNECTION_ENDED', ConnectionLostError, 'reconnect'],
  ['statement', 'CONNECT_TIMEOUT', ConnectionLostError, 'reconnect'],
  ['statement', '23000', ConstraintViolationError, 'never'],
  ['statement', '44000', ConstraintViolationError, 'never'],
  ['statement', '42601', StatementError, 'never'],
  ['statement', '53100', StatementError, 'never'],
  ['statement', '3D000', StatementError, 'never'],
  ['statement', '0A000', StatementError, 'never'],
  ['statement', 'P0001', StatementError, 'never'],
  ['statement', 'UNDEFINED_VALUE', StatementError, 'never'],
  ['statement', 'ERR_STREAM_PREMATURE_CLOSE', StatementError, 'never'],
  ['commit', '40001', SerializationError, 'transaction'],
  ['commit', '40P01', DeadlockError, 'transaction'],
  ['commit', '23503', ForeignKeyViolationError, 'never'],
  ['commit', '40003', CommitOutcomeUnknownError, 'unknown'],
  ['commit', '08007', CommitOutcomeUnknownError, 'unknown'],
  ['commit', '08006', CommitOutcomeUnknownError, 'unknown'],
  ['commit', '57P01', CommitOutcomeUnknownError, 'unknown'],
  ['commit', 'ECONNRESET', CommitOutcomeUnknownError, 'unknown'],
  ['commit', 'CONNECTION_CLOSED', CommitOutcomeUnknownError, 'unknown'],
  ['commit', '57014', StatementCancelledError, 'never'],
  ['connect', '28000', AuthenticationError, 'never'],
  ['connect', '28P01', AuthenticationError, 'never'],
  ['connect', 'SASL_SIGNATURE_MISMATCH', AuthenticationError, 'never'],
  ['connect', '3D000', ConnectError, 'never'],
  ['connect', '42501', ConnectError, 'never'],
  ['connect', '42704', ConnectError, 'never'],
  ['connect', '22023', ConnectError, 'never'],
  ['connect', '0A000', ConnectError, 'never'],
  ['connect', '53300', ConnectError, 'reconnect'],
  ['connect', '57P03', ConnectError, 'reconnect'],
  ['connect', '08006', ConnectError, 'reconnect'],
  ['connect', '57P01', ConnectError, 'reconnect'],
  ['connect', '25006', ConnectError, 'reconnect'],
  ['connect', 'ECONNREFUSED', ConnectError, 'reconnect'],
  ['connect', 'ENOTFOUND', ConnectError, 'reconnect'],
  ['connect', 'ENOENT', ConnectError, 'reconnect'],
  ['connect', 'CONNECT_TIMEOUT', ConnectError, 'reconnect'],
  ['connect', 'CERT_HAS_EXPIRED', ConnectError, 'reconnect'],
  ['connect', 'XX000', ConnectError, 'reconnect'],
]

describe('classify', () => {
  it.each(table)('at %s: %s is %p, retry %s', (at, code, errorClass, retry) => {
    const cause = fail(code)
    const error = classify(cause, at)
    expect(error.constructor).toBe(errorClass)
    expect(error).toMatchObject({ code, retry })
    expect(error.cause).toBe(cause)
    if (!code.startsWith('22')) expect(error.message).toBe(`message of ${code}`)
  })

  it.each(['statement', 'connect', 'commit'] as const)('hands one of ours through unchanged (%s)', (at) => {
    const error = new StatementError('x')
    expect(classify(error, at)).toBe(error)
  })

  it.each(['FATAL', 'PANIC'])('takes %s for the end of the connection, whatever the code', (severity) => {
    expect(classify(fail('XX000', { severity }), 'statement')).toBeInstanceOf(ConnectionLostError)
    expect(classify(fail('XX000', { severity: undefined, severity_local: severity }), 'commit')).toBeInstanceOf(
      CommitOutcomeUnknownError,
    )
  })

  it('advises to run the transaction again after a stale plan', () => {
    const stale = fail('0A000', { routine: 'RevalidateCachedQuery' })
    expect(classify(stale, 'statement')).toMatchObject({ kind: 'statement', retry: 'transaction' })
    expect(classify(fail('26000', { routine: 'FetchPreparedStatement' }), 'statement').retry).toBe('transaction')
    expect(classify(fail('26000', { routine: 'other' }), 'statement').retry).toBe('never')
  })

  it('names the place of a constraint in the words of the database', () => {
    const fields = {
      constraint_name: 'users_email_key',
      schema_name: 'public',
      table_name: 'users',
      detail: 'Key (email)=(a@b.c) already exists.',
    }
    const error = classify(fail('23505', fields), 'statement')
    expect(error).toMatchObject({ constraint: 'users_email_key', schema: 'public', table: 'users', columns: undefined })
  })

  it('knows the column of a NOT NULL, and no column where the server names none', () => {
    const fields = { schema_name: 's', table_name: 't', column_name: 'c' }
    expect(classify(fail('23502', fields), 'statement')).toMatchObject({ table: 't', columns: ['c'] })
    const error = classify(fail('23502'), 'statement')
    expect(error instanceof ConstraintViolationError && error.columns).toBeUndefined()
    expect(error).toMatchObject({ constraint: undefined, table: undefined })
  })

  it('never shows the detail, a hint or the query', () => {
    const leaky = fail('23505', { detail: 'secret-d', hint: 'secret-h', where: 'secret-w', query: 'secret-q' })
    const error = classify(leaky, 'statement')
    expect(JSON.stringify(error) + inspect(error) + error.message).not.toContain('secret')
  })

  it('says where a connect failed', () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED', address: '10.0.0.1', port: 5432 })
    expect(classify(refused, 'connect')).toMatchObject({ endpoint: '10.0.0.1:5432' })
    expect(classify(Object.assign(new Error('x'), { address: '/tmp/s' }), 'connect')).toMatchObject({
      endpoint: '/tmp/s',
    })
    // Whatever else a port may be, it is not looked at.
    const odd = Object.assign(new Error('x'), { address: 'db', port: Object.create(null) })
    expect(classify(odd, 'connect')).toMatchObject({ endpoint: 'db' })
  })
})

describe('the message', () => {
  it.each([
    ['22P02', 'invalid input syntax for type integer: "secret"', 'invalid input syntax for type integer: "…"'],
    ['22P02', 'malformed array literal: "a"secret"b"', 'malformed array literal: "…"'],
    ['22P02', 'cut off: "secret', 'cut off: "…"'],
    ['22007', 'ungültige Syntax: »secret«', 'ungültige Syntax: "…"'],
    ['22007', 'syntaxe invalide : « secret »', 'syntaxe invalide : "…"'],
    ['22003', 'value "secret" is out of range for type "x"', 'value "…"'],
    ['22001', 'value too long for type character varying(5)', 'value too long for type character varying(5)'],
    ['22021', 'invalid byte sequence for encoding "UTF8": 0x73 0x65', 'invalid byte sequence for encoding "…": …'],
    [
      '22P05',
      'character with byte sequence 0xc3 0xa9 in encoding "UTF8"',
      'character with byte sequence … in encoding "…"',
    ],
    ['22P02', 'line\n"sec\nret"', 'line\n"…"'],
    ['42703', 'column "nme" does not exist', 'column "nme" does not exist'],
  ])('of %s: %s', (code, message, shown) => {
    expect(classify(Object.assign(new Error(message), { code }), 'statement').message).toBe(shown)
  })

  it('of a parser that quotes the value is not taken over', () => {
    let thrown: unknown
    try {
      JSON.parse('secret')
    } catch (error) {
      thrown = error
    }
    expect(classify(thrown, 'statement').message).not.toContain('secret')
  })

  it('of several failed addresses is made of theirs', () => {
    const errors = [new Error('connect ::1'), new Error('connect 127.0.0.1'), new Error('connect ::1')]
    expect(messageOf(new AggregateError(errors))).toBe('connect ::1; connect 127.0.0.1')
  })
})

describe('classify, given anything', () => {
  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error('get')
      },
      has: () => {
        throw new Error('has')
      },
      getPrototypeOf: () => {
        throw new Error('proto')
      },
    },
  )
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const getter = {
    get code(): string {
      throw new Error('no')
    },
    message: 5,
  }

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a string', 'boom'],
    ['a number', 5],
    ['a symbol', Symbol('x')],
    ['a function', () => {}],
    ['an object without prototype', Object.create(null)],
    ['a numeric code', Object.assign(new Error('x'), { code: 20 })],
    ['a frozen error', Object.freeze(new Error('x'))],
    ['an empty aggregate', new AggregateError([])],
    ['an aggregate of nothings', new AggregateError([null, undefined, hostile])],
    ['a throwing getter', getter],
    ['a hostile proxy', hostile],
    ['a revoked proxy', revoked.proxy],
  ])('%s: gives an error of ours and does not throw', (_what, thrown) => {
    expect(classify(thrown, 'statement').name).toBe('StatementError')
    expect(classify(thrown, 'commit').name).toBe('StatementError')
    expect(classify(thrown, 'connect').name).toBe('ConnectError')
    expect(classify(thrown, 'statement').message).not.toBe('')
    expect(Object.is(classify(thrown, 'statement').cause, thrown)).toBe(true)
  })
})

describe('what PgBouncer refuses a connection for, by the code of a protocol violation', () => {
  it.each<[string, ErrorClass, RetryAdvice]>([
    ['unsupported startup parameter: statement_timeout', ConnectError, 'never'],
    ['unsupported startup parameter in options: search_path', ConnectError, 'never'],
    ['SASL authentication failed', AuthenticationError, 'never'],
    ['password authentication failed', AuthenticationError, 'never'],
    ['no such user: nobody', AuthenticationError, 'never'],
    ['no such database: nowhere', ConnectError, 'never'],
    ['database "nowhere" does not exist', ConnectError, 'never'],
    ['pgbouncer cannot connect to server', ConnectError, 'reconnect'],
    ['no more connections allowed (max_client_conn)', ConnectError, 'reconnect'],
    ['query_wait_timeout', ConnectError, 'reconnect'],
  ])('F6: %s', (message, expected, retry) => {
    const cause = fail('08P01', { message })
    const error = classify(cause, 'connect')
    expect(error).toBeInstanceOf(expected)
    expect(error).toMatchObject({ retry, code: '08P01', cause })
    expect(error.message.startsWith(message)).toBe(true)
  })

  it('F6: a setting is named with what to do about it', () => {
    for (const where of ['', ' in options']) {
      const { message } = classify(fail('08P01', { message: `unsupported startup parameter${where}: jit` }), 'connect')
      expect(message).toMatch(/Leave `jit` out of .* ignore_startup_parameters = jit,/)
    }
  })
})
