// A function behind a breaker: what is kept of it, its limit, and what counts.

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import {
  AuthenticationError,
  CircuitOpenError,
  ConnectError,
  ConnectionLostError,
  GuardTimeoutError,
  InvalidOptionsError,
  PoolClosedError,
  StatementTimeoutError,
  UniqueViolationError,
} from '../errors.js'
import { problemsOfRefusal } from '../testing/problems-with.js'
import { breakers } from './breakers.js'
import { guard } from './guard.js'

const external = { name: 'rates', kind: 'external' } as const
const down = new Error('down')

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick'] })
})

afterEach(() => {
  jest.useRealTimers()
  Reflect.deleteProperty(globalThis, Symbol.for('moorings.breakers.1'))
})

describe('F4: guard()', () => {
  it('F4: keeps arguments, this and result, and makes a promise of whatever comes of it', async () => {
    const shop = {
      vat: 2,
      price: guard(function (this: { vat: number }, net: number) {
        return net * this.vat
      }, external),
    }
    expect(await shop.price(21)).toBe(42)
    const failing = guard((_: string) => {
      throw down
    }, external)
    await expect(failing('x')).rejects.toBe(down)
  })

  it('F4: refuses calls once too many have failed, and lets them through when the other side is back', async () => {
    let answer = () => Promise.reject<string>(down)
    const call = guard(() => answer(), { ...external, resetTimeoutMs: 200, volumeThreshold: 2 })
    await expect(call()).rejects.toBe(down)
    await expect(call()).rejects.toBe(down)
    const refusal: unknown = await call().catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(CircuitOpenError)
    expect(refusal).toMatchObject({ breaker: 'rates', retryInMs: 200, cause: down })
    answer = async () => 'back'
    await jest.advanceTimersByTimeAsync(200)
    expect(await call()).toBe('back')
    expect(call.breaker.state).toBe('closed')
  })

  it('F4: has a breaker of its own, which is in the list and can be shut down', () => {
    const call = guard(async () => 1, external)
    expect(breakers()).toEqual([call.breaker])
    expect(call.breaker).toMatchObject({ name: 'rates', kind: 'external' })
    call.breaker.shutdown()
    expect(breakers()).toEqual([])
  })

  it('F4: has its breaker do as its options say', async () => {
    const failing = guard(() => Promise.reject(down), {
      ...external,
      errorThresholdPercentage: 99,
      rollingWindowMs: 100,
    })
    const passes = async (times: number) => {
      for (let n = 0; n < times; n++) await expect(failing()).rejects.toBe(down)
      return failing.breaker.state
    }
    expect(await passes(4)).toBe('closed')
    await jest.advanceTimersByTimeAsync(100)
    expect(await passes(4)).toBe('closed')
    expect(await passes(1)).toBe('open')
    let fine = true
    const mixed = guard(
      async () => {
        if (!fine) throw down
      },
      { ...external, errorThresholdPercentage: 99 },
    )
    await mixed()
    fine = false
    for (let n = 0; n < 20; n++) await expect(mixed()).rejects.toBe(down)
    expect(mixed.breaker.state).toBe('closed')
  })

  it('F4: begins no work before its first call', () => {
    guard(async () => 1, { ...external, timeoutMs: 50 })
    expect(jest.getTimerCount()).toBe(0)
  })
})

describe('F4: a guard with timeoutMs', () => {
  it('F4: hands the function a signal before its arguments, also where some are left out', async () => {
    const fn = jest.fn(async (signal: AbortSignal, a: string, b?: string) => [signal.aborted, a, b])
    const call = guard(fn, { ...external, timeoutMs: 50 })
    expect(await call('a')).toEqual([false, 'a', undefined])
    expect(await call('a', 'b')).toEqual([false, 'a', 'b'])
    expect(fn.mock.calls.map((given) => given.length)).toEqual([2, 3])
  })

  it('F4: ends the call at its limit, fires the signal with the error, and counts it as a failure', async () => {
    const reasons: unknown[] = []
    const hangs = (signal: AbortSignal) =>
      new Promise<never>(() => signal.addEventListener('abort', () => reasons.push(signal.reason)))
    const call = guard(hangs, { ...external, timeoutMs: 50, volumeThreshold: 1, counts: () => false })
    const ended = expect(call()).rejects.toThrow(GuardTimeoutError)
    await jest.advanceTimersByTimeAsync(49)
    expect(reasons).toEqual([])
    await jest.advanceTimersByTimeAsync(1)
    await ended
    expect(reasons).toEqual([expect.objectContaining({ name: 'GuardTimeoutError', breaker: 'rates', timeoutMs: 50 })])
    expect(call.breaker.stats()).toMatchObject({ state: 'open', failures: 1, lastError: { name: 'GuardTimeoutError' } })
  })

  it('F4: takes that for the limit of its probe, too, where no other is given', async () => {
    const hangs = () => new Promise<never>(() => {})
    const options = { ...external, volumeThreshold: 1, resetTimeoutMs: 1_000, timeoutMs: 20_000 }
    const state = async (call: ReturnType<typeof guard<unknown, [], never>>) => {
      await Promise.all([call().catch(() => {}), jest.advanceTimersByTimeAsync(20_000)])
      await jest.advanceTimersByTimeAsync(1_000)
      void call().catch(() => {})
      await jest.advanceTimersByTimeAsync(10_000)
      return call.breaker.stats().failures === 1 && call.breaker.state
    }
    expect(await state(guard(hangs, options))).toBe('half-open')
    // Given up after three seconds, and due again.
    const call = guard(hangs, { ...options, probeTimeoutMs: 3_000 })
    expect(await state(call)).toBe('half-open')
    void call().catch(() => {})
    expect(call.breaker.stats().fires).toBe(3)
  })

  it('F4: leaves nothing that keeps the process alive once its calls have ended', async () => {
    const call = guard(async () => 1, { ...external, timeoutMs: 50 })
    await call()
    await jest.advanceTimersByTimeAsync(50)
    expect(jest.getTimerCount()).toBe(0)
  })
})

describe('F4: what counts', () => {
  const lost = new ConnectionLostError('')
  it.each([
    ['database', lost, 'failure'],
    ['database', new Error('wrapped', { cause: lost }), 'failure'],
    ['database', new ConnectError(''), 'failure'],
    ['database', new StatementTimeoutError(''), 'failure'],
    ['database', new Error('of another library'), 'failure'],
    ['database', new ConnectError('', { retry: 'never' }), 'answer'],
    ['database', new AuthenticationError(''), 'answer'],
    ['database', new UniqueViolationError('', {}), 'answer'],
    ['database', new PoolClosedError(), 'nothing'],
    ['database', new DOMException('', 'AbortError'), 'nothing'],
    ['external', new DOMException('', 'AbortError'), 'nothing'],
    ['external', new DOMException('', 'TimeoutError'), 'failure'],
    ['external', new UniqueViolationError('', {}), 'failure'],
    ['external', 'a word', 'failure'],
  ] as const)('F4: of kind %s: %p says: %s', async (kind, error, says) => {
    const call = guard(() => Promise.reject(error), { name: 'x', kind })
    await expect(call()).rejects.toBe(error)
    const { failures, successes } = call.breaker.stats()
    expect([failures, successes]).toEqual([says === 'failure' ? 1 : 0, says === 'answer' ? 1 : 0])
  })

  it('F4: is what the application says, where it says something', async () => {
    const missing = Object.assign(new Error('Not Found'), { status: 404 })
    const call = guard(() => Promise.reject(missing), { ...external, counts: (error) => error !== missing })
    await expect(call()).rejects.toBe(missing)
    expect(call.breaker.stats()).toMatchObject({ successes: 1, failures: 0 })
  })

  it('F4: an error that cannot be looked at is a failure', async () => {
    const hostile = new Proxy(
      {},
      {
        has() {
          throw new Error('no')
        },
      },
    )
    for (const kind of ['database', 'external'] as const) {
      const call = guard(() => Promise.reject(hostile), { name: 'x', kind })
      // Not `rejects`, which looks at it.
      const same = await call().catch((error: unknown) => error === hostile)
      expect(same).toBe(true)
      expect(call.breaker.stats().failures).toBe(1)
    }
  })
})

describe('F4: options of guard()', () => {
  it('F4: are told, if wrong, all at once and by their names', () => {
    const wrong: object = { name: ' ', kind: 'http', timeoutMs: 0, counts: 5, volumeTreshold: 2 }
    const problems = problemsOfRefusal(() => Reflect.apply(guard, undefined, [async () => 1, wrong]))
    expect(Object.fromEntries(problems.map(({ path, allowed }) => [path, allowed]))).toEqual({
      'options.name': 'a name',
      'options.kind': "'database' or 'external'",
      'options.timeoutMs': expect.stringContaining('>= 1'),
      'options.counts': 'a function',
      'options.volumeTreshold': 'nothing by this name; did you mean volumeThreshold?',
    })
  })

  it('F4: ask for a function', () => {
    expect(() => Reflect.apply(guard, undefined, ['rates', external])).toThrow(InvalidOptionsError)
  })
})
