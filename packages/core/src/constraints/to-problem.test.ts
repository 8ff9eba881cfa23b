import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import * as errors from '../errors.js'

const {
  AcquireTimeoutError,
  CheckViolationError,
  ConnectionLostError,
  ForeignKeyViolationError,
  HookError,
  MooringsError,
  StatementError,
  TransactionAbortedError,
  toProblem,
  UniqueViolationError,
} = errors

const counts = { idle: 0, leased: 10, connecting: 1, waiting: 4, max: 10, overflow: 5 }
const site = { schema: 'secret_schema', table: 'secret_table', constraint: 'secret_key', columns: ['email'] }
const taken = () =>
  new UniqueViolationError('secret message', site, { code: '23505', cause: new Error('secret cause') })

/** One of each class, and what is to be answered: status, code, seconds. */
const answers: Record<string, readonly [InstanceType<typeof MooringsError>, number, string, number?]> = {
  UniqueViolationError: [taken(), 409, 'unique-violation'],
  ExclusionViolationError: [new errors.ExclusionViolationError('', site), 409, 'exclusion-violation'],
  ForeignKeyViolationError: [new ForeignKeyViolationError('', site), 409, 'foreign-key-violation'],
  NotNullViolationError: [new errors.NotNullViolationError('', site), 422, 'not-null-violation'],
  CheckViolationError: [new CheckViolationError('', site), 422, 'check-violation'],
  ConstraintViolationError: [new errors.ConstraintViolationError('', site), 422, 'constraint-violation'],

  DeadlockError: [new errors.DeadlockError(''), 503, 'conflict', 1],
  SerializationError: [new errors.SerializationError(''), 503, 'conflict', 1],
  RetriesExhaustedError: [new errors.RetriesExhaustedError([new Error('secret')], 'so'), 503, 'conflict', 1],
  LockTimeoutError: [new errors.LockTimeoutError(''), 503, 'conflict', 1],

  AcquireTimeoutError: [new AcquireTimeoutError(5, counts), 503, 'overloaded', 2],
  QueueFullError: [new errors.QueueFullError(5, counts), 503, 'overloaded', 2],
  SelfDeadlockError: [new errors.SelfDeadlockError(counts, []), 503, 'overloaded', 2],
  PoolerError: [new errors.PoolerError('', { needs: 'session' }), 500, 'internal-error'],
  SessionBusyError: [new errors.SessionBusyError(''), 503, 'overloaded', 2],

  PoolClosedError: [new errors.PoolClosedError(), 503, 'unavailable', 5],
  PoolSuspendedError: [new errors.PoolSuspendedError(5), 503, 'unavailable', 5],
  ConnectError: [new errors.ConnectError('connect secret:5432'), 503, 'unavailable', 5],
  CircuitOpenError: [
    new errors.CircuitOpenError('secret', { sinceMs: 9, retryInMs: undefined, byHand: true, cause: undefined }),
    503,
    'unavailable',
    5,
  ],
  ReadOnlyEndpointError: [new errors.ReadOnlyEndpointError(''), 503, 'unavailable', 5],
  ConnectionLostError: [new ConnectionLostError(''), 503, 'interrupted'],
  CommitOutcomeUnknownError: [new errors.CommitOutcomeUnknownError(''), 500, 'outcome-unknown'],

  StatementTimeoutError: [new errors.StatementTimeoutError(''), 504, 'timeout'],
  StatementCancelledError: [new errors.StatementCancelledError(''), 504, 'timeout'],
  TransactionTimeoutError: [new errors.TransactionTimeoutError(''), 504, 'timeout'],
  TransactionCancelledError: [new errors.TransactionCancelledError(''), 504, 'timeout'],
  SessionExpiredError: [new errors.SessionExpiredError(''), 504, 'timeout'],
  GuardTimeoutError: [new errors.GuardTimeoutError('secret', 5), 504, 'timeout'],
  AcquireAbortedError: [new errors.AcquireAbortedError(undefined), 504, 'timeout'],

  MooringsError: [new MooringsError('statement', ''), 500, 'internal-error'],
  StatementError: [new StatementError('', { code: '42P01' }), 500, 'internal-error'],
  AuthenticationError: [new errors.AuthenticationError(''), 500, 'internal-error'],
  HookError: [new HookError('beforeAcquire', 'threw'), 500, 'internal-error'],
  LeaseReleasedError: [new errors.LeaseReleasedError(), 500, 'internal-error'],
  InvalidOptionsError: [new errors.InvalidOptionsError([]), 500, 'internal-error'],
  TransactionError: [new errors.TransactionError(''), 500, 'internal-error'],
  TransactionEndedError: [new errors.TransactionEndedError(''), 500, 'internal-error'],
  TransactionAbortedError: [new TransactionAbortedError(''), 500, 'internal-error'],
  NestedTransactionOpenError: [new errors.NestedTransactionOpenError(''), 500, 'internal-error'],
  PropagationError: [new errors.PropagationError(''), 500, 'internal-error'],
  RootUseError: [new errors.RootUseError(''), 500, 'internal-error'],
  SessionError: [new errors.SessionError(''), 500, 'internal-error'],
  SessionEndedError: [new errors.SessionEndedError(''), 500, 'internal-error'],
}

describe('problem details', () => {
  it('are told of every class of error', () => {
    const classes = Object.entries(errors).filter(([, value]) => value.prototype instanceof Error)
    expect(classes.map(([name]) => name).sort()).toEqual(Object.keys(answers).sort())
  })

  it('are those that the documentation lists for every class', () => {
    const text = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8')
    const rows = [...text.matchAll(/^\| `(\w+Error)` \|[^|]*\|[^|]*\| ([^|]+?) \| ([^|]*?) *\|/gm)]
    expect(rows.map(([, name]) => name).sort()).toEqual(Object.keys(answers).sort())
    for (const [, name = '', statuses = '', again = ''] of rows) {
      const [, status, , retryAfterS] = answers[name] ?? []
      expect([name, statuses]).toEqual([name, expect.stringContaining(String(status))])
      expect([name, again]).toEqual([name, again.includes(' if ') ? again : String(retryAfterS ?? '')])
    }
  })

  it.each(Object.entries(answers))('%s', (_name, [error, status, code, retryAfterS]) => {
    const problem = toProblem(error)
    expect({ ...problem, errors: undefined }).toMatchObject({ type: 'about:blank', status, code })
    expect(problem?.retryAfterS).toBe(retryAfterS)
    expect(problem?.title).toMatch(/^[A-Z][a-z]/)
    expect(problem?.detail).toMatch(/^[A-Z][^.]+$/)
    expect(JSON.stringify(problem)).not.toContain('secret')
  })

  it('say where the request is wrong, as pointers into it', () => {
    expect(toProblem(taken())).toEqual({
      type: 'about:blank',
      title: 'Conflict',
      status: 409,
      detail: 'This is already taken',
      code: 'unique-violation',
      errors: [{ detail: 'This is already taken', pointer: '#/email' }],
    })
    const odd = Object.assign(taken(), { path: ['a/b', 0, 'm~n', 'ü "x"'] })
    expect(toProblem(odd)?.errors).toEqual([
      { detail: 'This is already taken', pointer: '#/a~1b/0/m~0n/%C3%BC%20%22x%22' },
    ])
    expect(toProblem(new CheckViolationError('', {}))).not.toHaveProperty('errors')
  })

  it("are in the application's own words where it has some", () => {
    const error = Object.assign(taken(), {
      userMessage: 'Somebody has this address',
      userCode: 'email/taken',
      path: ['mail'],
    })
    expect(toProblem(error, { typeBase: 'https://shop.example/problems/', instance: '/orders/7' })).toEqual({
      type: 'https://shop.example/problems/email%2Ftaken',
      title: 'Conflict',
      status: 409,
      detail: 'Somebody has this address',
      instance: '/orders/7',
      code: 'email/taken',
      errors: [{ detail: 'Somebody has this address', pointer: '#/mail' }],
    })
  })

  it('tell a missing parent from children that are still there', () => {
    const broken = (direction: 'missing-parent' | 'still-referenced') =>
      toProblem(new ForeignKeyViolationError('', { ...site, direction }))
    expect(broken('missing-parent')).toMatchObject({ status: 422, errors: [{ pointer: '#/email' }] })
    expect(broken('still-referenced')).toMatchObject({ status: 409, detail: 'This is still in use' })
    expect(broken('still-referenced')).not.toHaveProperty('errors')
  })

  it('ask to come again only where the request was certainly not carried out', () => {
    expect(toProblem(new ConnectionLostError('', { sent: false }))).toMatchObject({
      code: 'unavailable',
      retryAfterS: 5,
    })
    expect(toProblem(new ConnectionLostError(''))).not.toHaveProperty('retryAfterS')
    expect(toProblem(new errors.CommitOutcomeUnknownError(''))).not.toHaveProperty('retryAfterS')
  })

  it('ask to come again after as long as the application says, where they ask for it at all', () => {
    expect(toProblem(new AcquireTimeoutError(5, counts), { retryAfterS: 30 })?.retryAfterS).toBe(30)
    expect(toProblem(taken(), { retryAfterS: 30 })).not.toHaveProperty('retryAfterS')
  })

  it('F4: ask to come again when a breaker lets the next call through, in whole seconds', () => {
    const after = (retryInMs: number | undefined) =>
      toProblem(new errors.CircuitOpenError('secret', { sinceMs: 9, retryInMs, byHand: false, cause: taken() }))
    expect([0, 1, 1_000, 1_001, 29_500].map((ms) => after(ms)?.retryAfterS)).toEqual([1, 1, 1, 2, 30])
    expect(after(1_000)).toMatchObject({
      status: 503,
      code: 'unavailable',
      detail: 'What the request needs cannot be reached',
    })
    expect(JSON.stringify(after(1_000))).not.toContain('secret')
  })

  it('tell what passes from what has to be mended', () => {
    expect(toProblem(new errors.ConnectError('', { retry: 'never' }))?.status).toBe(500)
    expect(toProblem(new HookError('beforeAcquire', 'took long', { retry: 'reconnect' }))?.status).toBe(503)
    expect(toProblem(new StatementError('', { code: '53100' }))?.status).toBe(503)
  })

  it('of a value that does not fit are about the request, of what may as well be the program are not', () => {
    for (const code of ['22001', '22003', '22P02']) {
      expect(toProblem(new StatementError('secret', { code }))).toEqual({
        type: 'about:blank',
        title: 'Unprocessable Content',
        status: 422,
        detail: 'A value in the request cannot be taken',
        code: 'invalid-value',
      })
    }
    for (const code of ['22012', '22023', '2201B', '220011', 'x22001', 'UNDEFINED_VALUE']) {
      expect(toProblem(new StatementError('', { code }))?.status).toBe(500)
    }
    const refused = new TransactionAbortedError('', { cause: new StatementError('', { code: '22003' }), code: '22003' })
    expect(toProblem(refused)?.status).toBe(422)
    expect(toProblem(new errors.ConnectError('', { code: '22023', retry: 'never' }))?.status).toBe(500)
  })

  it('of a transaction that was run too often tell what was in its way', () => {
    const exhausted = (last: unknown) => toProblem(new errors.RetriesExhaustedError([last], 'so'))
    expect(exhausted(new errors.DeadlockError(''))).toMatchObject({ code: 'conflict', retryAfterS: 1 })
    expect(exhausted(new ConnectionLostError(''))).toMatchObject({ code: 'unavailable', retryAfterS: 5 })
    expect(exhausted(new Error('', { cause: new errors.ReadOnlyEndpointError('') }))).toMatchObject({
      code: 'unavailable',
    })
  })

  it('are of our error in whatever it is wrapped, and of what a transaction was aborted for', () => {
    const wrapped = new Error('Failed query: secret', { cause: new Error('again', { cause: taken() }) })
    expect(toProblem(wrapped)?.status).toBe(409)
    expect(toProblem(new TransactionAbortedError('', { cause: wrapped }))?.status).toBe(409)
    expect(toProblem(new TransactionAbortedError('', { cause: new Error('of the application') }))?.status).toBe(500)
  })

  it('are of our outermost error, not of what some other one was caused by', () => {
    expect(toProblem(new HookError('beforeAcquire', 'threw', { cause: taken() }))?.status).toBe(500)
  })

  it('of several in an AggregateError are of what the client has to know first', () => {
    const lost = new ConnectionLostError('')
    const unknown = new errors.CommitOutcomeUnknownError('')
    const some = (...all: Error[]) => toProblem(new AggregateError(all))
    expect(some(taken(), taken())).toMatchObject({ status: 409, errors: [{ pointer: '#/email' }, {}] })
    expect(some(taken(), lost)).toMatchObject({ code: 'interrupted' })
    expect(some(taken(), lost)).not.toHaveProperty('errors')
    expect(some(taken(), lost, unknown)).toMatchObject({ code: 'outcome-unknown' })
    expect(some(new Error('mail'), new Error('again', { cause: taken() }))?.status).toBe(409)
  })

  it('of issues have all of them, with pointers, whichever validator has found them', () => {
    const issues = [
      { message: 'Too short', path: ['users', 0, 'na/me'] },
      { message: 'Too long', path: [{ key: 'mail', type: 'object' }] },
      { message: 'Odd', path: ['\ud800'] },
      { message: 'Not all of it', path: [] },
      { message: 'Too late' },
    ]
    expect(errors.issuesToProblem(issues, { instance: '/users', typeBase: 'https://shop.example/' })).toEqual({
      type: 'https://shop.example/invalid-input',
      title: 'Unprocessable Content',
      status: 422,
      detail: 'Some of the request cannot be taken',
      instance: '/users',
      code: 'invalid-input',
      errors: [
        { detail: 'Too short', pointer: '#/users/0/na~1me' },
        { detail: 'Too long', pointer: '#/mail' },
        { detail: 'Odd', pointer: '#/%EF%BF%BD' },
        { detail: 'Not all of it', pointer: '#' },
        { detail: 'Too late', pointer: '#' },
      ],
    })
    const own = { code: 'NO', detail: 'No' }
    expect(errors.issuesToProblem([], own)).toEqual({
      type: 'about:blank',
      title: 'Unprocessable Content',
      status: 422,
      ...own,
    })
    expect(errors.issuesToProblem(errors.toIssues(taken()) ?? []).errors).toEqual(toProblem(taken())?.errors)
  })

  it('never throw, and quote nothing, whatever they are made of', () => {
    const hostile = new Proxy(new Error('secret'), {
      get: () => {
        throw new Error('secret')
      },
      has: () => {
        throw new Error('secret')
      },
    })
    // Not fc.constant(hostile), which looks at it.
    const made = [() => hostile, () => new Error('secret', { cause: hostile })]
    const causes = fc.oneof(
      fc.anything().map((value) => () => value),
      fc.constantFrom(...made),
    )
    fc.assert(
      fc.property(causes, fc.nat(3), (make, wraps) => {
        const cause = make()
        let error: unknown = new StatementError('secret', { cause, code: '42601' })
        for (let wrap = 0; wrap < wraps; wrap++) error = new Error('secret', { cause: error })
        expect(JSON.stringify(toProblem(error))).not.toContain('secret')
        expect(toProblem(error)?.status).toBe(500)
        expect(toProblem(cause)).toBeUndefined()
        expect(errors.toIssues(error)).toBeUndefined()
      }),
    )
  })

  it('there are none of what is not ours', () => {
    const circle: { cause?: unknown } = {}
    circle.cause = { cause: circle }
    for (const other of [new Error('x'), undefined, null, 7, 'text', {}, circle])
      expect(toProblem(other)).toBeUndefined()
  })
})
