import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  AcquireAbortedError,
  AcquireTimeoutError,
  AuthenticationError,
  CommitOutcomeUnknownError,
  ConnectError,
  ConnectionLostError,
  DeadlockError,
  LeaseReleasedError,
  LockTimeoutError,
  MooringsError,
  PoolClosedError,
  type PoolCounts,
  QueueFullError,
  ReadOnlyEndpointError,
  SerializationError,
  StatementCancelledError,
  StatementError,
  StatementTimeoutError,
  TransactionAbortedError,
  TransactionEndedError,
  UniqueViolationError,
} from '../errors.js'
import { usualRetry } from './retry-options.js'
import { delayBeforeRetry, type RetryReason, reasonToRetry } from './retry-policy.js'

const again = { retry: 'transaction' } as const
const counts: PoolCounts = { idle: 0, leased: 1, connecting: 0, waiting: 0, max: 1, overflow: 0 }
const deadlock = new DeadlockError('deadlock detected', { ...again, code: '40P01' })
const lost = new ConnectionLostError('gone')
const reasonOf = (error: unknown) => reasonToRetry(error, usualRetry)
const wrap = (cause: unknown) => new Error('could not place the order', { cause })
const around = (cause: unknown) => ({ retry: 'never', cause }) as const

describe('reasonToRetry', () => {
  it.each<[MooringsError, RetryReason]>([
    [deadlock, 'conflict'],
    [new SerializationError('could not serialize access', { ...again, code: '40001' }), 'conflict'],
    [lost, 'lost'],
    [new ReadOnlyEndpointError('cannot execute INSERT in a read-only transaction', { code: '25006' }), 'lost'],
    [new StatementError('cached plan must not change result type', { ...again, code: '0A000' }), 'stale'],
  ])('finds one in %s', (error, reason) => {
    expect(reasonOf(error)).toBe(reason)
  })

  it.each([
    [new CommitOutcomeUnknownError('lost at COMMIT', { cause: lost })],
    [new ConnectionLostError('the body still runs', { retry: 'never' })],
    [new AcquireTimeoutError(30_000, counts, [], new ConnectError('refused'))],
    [new AcquireAbortedError(deadlock)],
    [new QueueFullError(1, counts)],
    [new PoolClosedError()],
    [new ConnectError('refused')],
    [new AuthenticationError('wrong password')],
    [new LeaseReleasedError()],
    [new StatementTimeoutError('too slow', { cause: deadlock })],
    [new StatementCancelledError('cancelled')],
    [new StatementError('whether it was done is not known', { code: '40003', retry: 'unknown' })],
    [new TransactionEndedError('has ended', { cause: deadlock })],
    [new UniqueViolationError('duplicate', {}, { code: '23505' })],
    [new LockTimeoutError('lock not available', { code: '55P03' })],
  ])('finds none in %s', (error) => {
    expect(reasonOf(error)).toBeUndefined()
    expect(reasonOf(wrap(error))).toBeUndefined()
  })

  it('takes a lock not had in time for a conflict, when asked to', () => {
    const error = new LockTimeoutError('lock not available', { code: '55P03' })
    expect(reasonToRetry(error, { retryLockTimeouts: true })).toBe('conflict')
    expect(reasonToRetry(wrap(error), { retryLockTimeouts: true })).toBe('conflict')
  })

  it('does not blame the server for a write in a transaction that asked for read only', () => {
    const error = new ReadOnlyEndpointError('cannot execute INSERT in a read-only transaction', { code: '25006' })
    expect(reasonToRetry(error, usualRetry, { accessMode: 'read only' })).toBeUndefined()
    expect(reasonToRetry(error, usualRetry, { accessMode: 'read write' })).toBe('lost')
    expect(reasonToRetry(deadlock, usualRetry, { accessMode: 'read only' })).toBe('conflict')
  })

  it('finds it in what the application wrapped, however often', () => {
    expect(reasonOf(wrap(wrap(deadlock)))).toBe('conflict')
    expect(reasonOf({ cause: { cause: lost } })).toBe('lost')
    expect(reasonOf(new AggregateError([], 'several', { cause: deadlock }))).toBe('conflict')
  })

  it('believes the outermost of our own errors, not what that was caused by', () => {
    expect(reasonOf(new StatementError('refused', around(deadlock)))).toBeUndefined()
    expect(reasonOf(wrap(new UniqueViolationError('duplicate', {}, around(deadlock))))).toBeUndefined()
    expect(reasonOf(new DeadlockError('victim', { ...again, cause: new PoolClosedError() }))).toBe('conflict')
  })

  it('asks of an aborted transaction which error it began with', () => {
    const aborted = (cause?: unknown) => new TransactionAbortedError('aborted', { code: '25P02', cause })
    expect(reasonOf(aborted(deadlock))).toBe('conflict')
    expect(reasonOf(wrap(aborted(wrap(lost))))).toBe('lost')
    expect(reasonOf(aborted(new UniqueViolationError('duplicate', {}, around(deadlock))))).toBeUndefined()
    expect(reasonOf(aborted(Object.assign(new Error('aborted'), { code: '25P02' })))).toBeUndefined()
    expect(reasonOf(aborted())).toBeUndefined()
  })

  it('is not led astray by a bare SQLSTATE, which may have come from another database', () => {
    expect(reasonOf(Object.assign(new Error('deadlock detected'), { code: '40P01', retry: 'transaction' }))).toBe(
      undefined,
    )
  })

  it('looks at a hundred errors, and comes to an end in a circle', () => {
    const nested = (times: number): unknown => (times === 0 ? deadlock : wrap(nested(times - 1)))
    expect(reasonOf(nested(99))).toBe('conflict')
    expect(reasonOf(nested(100))).toBeUndefined()
    const [one, other] = [new Error('one'), new Error('other')]
    Object.assign(one, { cause: other })
    Object.assign(other, { cause: one })
    expect(reasonOf(one)).toBeUndefined()
    expect(reasonOf(new AggregateError([new Error('mail'), wrap(deadlock)]))).toBe('conflict')
    const itself = new TransactionAbortedError('aborted')
    Object.assign(itself, { cause: itself })
    expect(reasonOf(itself)).toBeUndefined()
    let looks = 0
    const deeper = () => {
      looks++
      return Object.create(endless)
    }
    const endless: object = Object.defineProperty({}, 'cause', { get: deeper })
    expect(reasonOf(endless)).toBeUndefined()
    expect(looks).toBe(100)
  })

  it('never throws, whatever was thrown', () => {
    const refusing = new Proxy(
      {},
      {
        get: () => fail(),
        has: () => fail(),
        getPrototypeOf: () => fail(),
        getOwnPropertyDescriptor: () => fail(),
      },
    )
    const gone = Proxy.revocable([], {})
    gone.revoke()
    const brand = Object.getOwnPropertySymbols(MooringsError.prototype).find((one) => String(one).includes('lineage'))
    if (brand === undefined) throw new Error('errors have no brand')
    const branded = (of: object) =>
      Object.defineProperty(of, brand, { value: ['MooringsError', 'ConnectionLostError'] })
    const hostile = [
      refusing,
      gone.proxy,
      Object.defineProperty({}, 'cause', { get: () => fail() }),
      Object.defineProperty(branded({}), 'retry', { get: () => fail() }),
      Object.defineProperty({}, brand, { get: () => fail() }),
      Object.defineProperty({}, brand, { value: gone.proxy }),
    ]
    const plain = [undefined, null, 0, 'deadlock', Symbol('40P01'), 1n, () => deadlock, Object.create(null), [], NaN]
    for (const thrown of [...hostile, ...plain]) {
      for (const error of [thrown, wrap(thrown), new TransactionAbortedError('aborted', { cause: thrown })]) {
        expect(reasonOf(error)).toBeUndefined()
      }
    }
  })

  it('knows the errors of another copy of this package', () => {
    const { prototype } = ConnectionLostError
    const foreign = Object.create(Object.create(Error.prototype, Object.getOwnPropertyDescriptors(prototype)))
    expect(reasonOf(Object.assign(foreign, { retry: 'reconnect' }))).toBe('lost')
  })

  it('goes by the first of our errors within a hundred, in any chain', () => {
    const ours = fc.constantFrom<[MooringsError, RetryReason | undefined]>(
      [deadlock, 'conflict'],
      [lost, 'lost'],
      [new StatementError('stale', again), 'stale'],
      [new PoolClosedError(), undefined],
      [new CommitOutcomeUnknownError('unknown'), undefined],
    )
    const covers = fc.array(fc.constantFrom('application', 'object', 'aborted'), { maxLength: 120 })
    fc.assert(
      fc.property(covers, ours, (wrappings, [inmost, reason]) => {
        const chain = wrappings.reduce<unknown>((cause, by) => {
          if (by === 'object') return { cause }
          return by === 'aborted' ? new TransactionAbortedError('aborted', { cause }) : wrap(cause)
        }, inmost)
        expect(reasonOf(chain)).toBe(wrappings.length < 100 ? reason : undefined)
      }),
    )
  })
})

function fail(): never {
  throw new Error('not to be touched')
}

const ms = fc.integer({ min: 0, max: 2 ** 31 - 1 })
const fractions = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const pauses = fc.record({
  initialDelayMs: ms,
  maxDelayMs: ms,
  factor: fc.oneof(fc.double({ min: 1, max: 10, noNaN: true }), fc.constant(Number.MAX_VALUE)),
})
const turns = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }))

describe('delayBeforeRetry', () => {
  const delaysOf = (jitter: 'full' | 'equal' | 'none', drawn: number) =>
    [1, 2, 3, 4, 5, 6, 7, 8].map((retry) =>
      delayBeforeRetry({ retry, options: { ...usualRetry, jitter }, previousDelayMs: undefined, random: () => drawn }),
    )

  it('doubles from the first pause up to the longest', () => {
    expect(delaysOf('none', 0.5)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
  })

  it('draws from nothing to the whole with full jitter, from half of it with equal', () => {
    expect(delaysOf('full', 0)).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
    expect(delaysOf('full', 0.5)).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500])
    expect(delaysOf('equal', 0)).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500])
    expect(delaysOf('equal', 0.5)).toEqual([75, 150, 300, 600, 1_200, 2_400, 3_750, 3_750])
  })

  it('draws up to three times the pause before with decorrelated jitter', () => {
    const options = { ...usualRetry, jitter: 'decorrelated' } as const
    const next = (previousDelayMs: number | undefined, drawn: number) =>
      delayBeforeRetry({ retry: 1, options, previousDelayMs, random: () => drawn })
    expect([next(undefined, 0), next(undefined, 0.5), next(undefined, 0.999_999)]).toEqual([100, 200, 300])
    expect([next(1_000, 0), next(1_000, 0.5), next(1_000, 0.999_999)]).toEqual([100, 1_550, 3_000])
    expect(next(4_000, 0.999_999)).toBe(5_000)
    expect(next(0, 0.999_999)).toBe(300)
  })

  it('keeps within the bounds of its jitter, in whole milliseconds, whatever the options and the dice', () => {
    fc.assert(
      fc.property(pauses, turns, fractions, (options, retry, drawn) => {
        const random = () => drawn
        const of = (jitter: 'full' | 'equal' | 'none') =>
          delayBeforeRetry({ retry, options: { ...options, jitter }, previousDelayMs: undefined, random })
        const [full, equal, whole] = [of('full'), of('equal'), of('none')]
        for (const delay of [full, equal, whole]) {
          expect(Number.isInteger(delay)).toBe(true)
          expect(delay).toBeLessThanOrEqual(whole)
          expect(delay).toBeGreaterThanOrEqual(0)
        }
        expect(whole).toBeLessThanOrEqual(options.maxDelayMs)
        // Drawn from the whole before it was rounded.
        expect(equal).toBeGreaterThanOrEqual(Math.floor((whole - 0.5) / 2))
      }),
    )
  })

  it('never becomes shorter from one retry to the next, until it stays at the longest', () => {
    fc.assert(
      fc.property(pauses, turns, (options, retry) => {
        const of = (turn: number) =>
          delayBeforeRetry({
            retry: turn,
            options: { ...options, jitter: 'none' },
            previousDelayMs: undefined,
            random: fail,
          })
        expect(of(retry + 1)).toBeGreaterThanOrEqual(of(retry))
        if (of(retry) === options.maxDelayMs) expect(of(retry + 1)).toBe(options.maxDelayMs)
      }),
    )
  })

  it('stays between the first pause and three times the one before with decorrelated jitter, over any run of retries', () => {
    const options = fc.tuple(ms, ms, fractions).map(([one, other]) => ({
      ...usualRetry,
      initialDelayMs: Math.min(one, other),
      maxDelayMs: Math.max(one, other),
    }))
    fc.assert(
      fc.property(options, fc.array(fractions, { maxLength: 30 }), (pause, dice) => {
        let before: number | undefined
        dice.forEach((drawn, index) => {
          const delay = delayBeforeRetry({
            retry: index + 1,
            options: { ...pause, jitter: 'decorrelated' },
            previousDelayMs: before,
            random: () => drawn,
          })
          expect(Number.isInteger(delay)).toBe(true)
          expect(delay).toBeGreaterThanOrEqual(pause.initialDelayMs)
          expect(delay).toBeLessThanOrEqual(Math.min(pause.maxDelayMs, 3 * (before ?? pause.initialDelayMs)))
          before = delay
        })
      }),
    )
  })

  it('never pauses for longer than the longest, also where the first is set above it', () => {
    fc.assert(
      fc.property(pauses, fc.option(ms, { nil: undefined }), fractions, (options, previousDelayMs, drawn) => {
        const delay = delayBeforeRetry({
          retry: 1,
          options: { ...options, jitter: 'decorrelated' },
          previousDelayMs,
          random: () => drawn,
        })
        expect(delay).toBeGreaterThanOrEqual(0)
        expect(delay).toBeLessThanOrEqual(options.maxDelayMs)
      }),
    )
  })
})
