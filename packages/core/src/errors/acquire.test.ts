// What the errors of an acquire say: who holds the connections, since when the pool is suspended, which hook failed.

import { inspect } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import {
  AcquireTimeoutError,
  CircuitOpenError,
  ConnectError,
  HookError,
  type LeaseHolder,
  PoolSuspendedError,
  SelfDeadlockError,
} from '../errors.js'

const counts = { idle: 0, leased: 10, connecting: 1, waiting: 4, max: 10, overflow: 5 }
const holders: readonly LeaseHolder[] = [
  { id: 7, heldMs: 61_234.5, takenAt: '/app/src/orders.ts:12:30' },
  { id: 3, heldMs: 4.2, takenAt: undefined },
]

describe('who holds the connections', () => {
  it('is said by an acquire timeout: who has held one for longest, and where it was taken', () => {
    const error = new AcquireTimeoutError(250.4, counts, holders)
    expect(error.message).toBe(
      'No connection within 250 ms (10 leased, 0 idle, 1 connecting, 4 waiting; max 10, overflow 5); the longest held for 61235 ms, taken at /app/src/orders.ts:12:30',
    )
    expect(error.holders).toBe(holders)
  })

  it('is said without a place where none was noted, and not at all where nobody holds one', () => {
    const [, unplaced] = holders
    expect(new AcquireTimeoutError(5, counts, unplaced && [unplaced]).message).toMatch(/; the longest held for 4 ms$/)
    const none = new AcquireTimeoutError(5, counts)
    expect(none.message).toMatch(/overflow 5\)$/)
    expect(none.holders).toEqual([])
  })

  it('stands before the last failure to connect', () => {
    const cause = new ConnectError('connect ECONNREFUSED')
    const error = new AcquireTimeoutError(5, counts, holders, cause)
    expect(error.message).toMatch(/orders\.ts:12:30; the last connect failed: connect ECONNREFUSED$/)
    expect(error.cause).toBe(cause)
  })

  it('is in the JSON of a timeout and of a self-deadlock', () => {
    for (const error of [new AcquireTimeoutError(5, counts, holders), new SelfDeadlockError(counts, holders)]) {
      expect(JSON.parse(JSON.stringify(error))).toMatchObject({
        name: error.name,
        kind: 'acquire',
        pool: counts,
        holders: [
          { id: 7, heldMs: 61_234.5, takenAt: '/app/src/orders.ts:12:30' },
          { id: 3, heldMs: 4.2 },
        ],
      })
    }
  })
})

describe('a self-deadlock', () => {
  it('says what happened, who holds what, and what to do about it', () => {
    const { message } = new SelfDeadlockError(counts, holders)
    expect(message).toContain('holds a connection and waits for another one')
    expect(message).toContain('10 leased, 0 idle')
    expect(message).toContain('taken at /app/src/orders.ts:12:30')
    expect(message).toContain("use the transaction's own handle; or raise resilience.pool.max")
  })
})

describe('a suspended pool', () => {
  it('says for how long it has been, in whole milliseconds', () => {
    const error = new PoolSuspendedError(1_500.4)
    expect(error.toJSON()).toEqual({
      name: 'PoolSuspendedError',
      message: 'The pool was suspended 1500 ms ago and was not resumed',
      kind: 'acquire',
      retry: 'reconnect',
    })
  })
})

describe('F4: an open breaker', () => {
  const open = { sinceMs: 12_034, retryInMs: 412, byHand: false }

  it('F4: says since when it is open, for what, and when it is tried again', () => {
    const cause = new ConnectError('connect ECONNREFUSED', { code: 'ECONNREFUSED' })
    const error = new CircuitOpenError('db.internal:5432', { ...open, cause })
    expect(error.message).toBe(
      'db.internal:5432 is not called: its breaker opened 12034 ms ago, because too many calls had failed, the last with: connect ECONNREFUSED; it is tried again in 412 ms',
    )
    expect(error.cause).toBe(cause)
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      name: 'CircuitOpenError',
      message: error.message,
      kind: 'acquire',
      retry: 'reconnect',
      breaker: 'db.internal:5432',
      sinceMs: 12_034,
      retryInMs: 412,
      cause: { name: 'ConnectError', code: 'ECONNREFUSED' },
    })
  })

  it('F4: says of somebody else’s error but name and code, and nothing of what is no error', () => {
    const cause = Object.assign(new RangeError('password=sesame'), { code: 'E42' })
    expect(new CircuitOpenError('mail', { ...open, cause }).message).toContain('the last with RangeError (E42); it is')
    expect(inspect(new CircuitOpenError('mail', { ...open, cause }))).not.toContain('sesame')
    expect(new CircuitOpenError('mail', { ...open, cause: 'sesame' }).message).toContain('had failed; it is')
  })

  it('F4: says who keeps it open, and how that ends', () => {
    const { message } = new CircuitOpenError('mail', {
      sinceMs: 9,
      retryInMs: undefined,
      byHand: true,
      cause: undefined,
    })
    expect(message).toBe(
      'mail is not called: its breaker was opened by hand 9 ms ago, and stays open until forceClose() or reset()',
    )
  })
})

describe('a failed hook', () => {
  it('names the hook, and keeps what it threw as the cause, of which it shows but name and code', () => {
    const cause = Object.assign(new Error('no'), { name: 'PostgresError', code: '23505', detail: 'a secret' })
    const error = new HookError('beforeAcquire', 'threw', { cause })
    expect(error.cause).toBe(cause)
    expect(error.toJSON()).toEqual({
      name: 'HookError',
      message: 'The beforeAcquire hook threw',
      kind: 'acquire',
      retry: 'never',
      hook: 'beforeAcquire',
      cause: { name: 'PostgresError', code: '23505' },
    })
    expect(inspect(error)).not.toContain('secret')
  })

  it('takes another advice, and a code', () => {
    const error = new HookError('afterRelease', 'took longer than 5000 ms', { retry: 'reconnect', code: 'ETIMEDOUT' })
    expect(error).toMatchObject({ retry: 'reconnect', code: 'ETIMEDOUT' })
    expect('cause' in error).toBe(false)
  })
})
