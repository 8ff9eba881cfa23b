// What a breaker can be led astray by, opossum's own among them, as measured: a probe that hangs, calls from before, and
// listeners that throw.

import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { CircuitOpenError } from '../errors.js'
import { breaking, fail, halfOpen, succeed, underway, watched } from '../testing/breaking.js'
import { Breaker } from './breaker.js'

describe('F4: a probe that hangs', () => {
  it('F4: counts as failed at its limit, and does not keep the breaker half-open', async () => {
    const { breaker, clock } = await halfOpen({ probeTimeoutMs: 400 })
    const probe = underway(breaker)
    await clock.advance(399)
    expect(breaker.state).toBe('half-open')
    await clock.advance(1)
    expect([breaker.state, breaker.retryInMs]).toEqual(['open', 600])
    await clock.advance(600)
    await succeed(breaker)
    expect(breaker.state).toBe('closed')
    expect(probe.seen.state).toBe('pending')
  })

  it('F4: is followed by the next one at once, where it took longer than the pause', async () => {
    const { breaker, clock } = await halfOpen({ probeTimeoutMs: 5_000 })
    underway(breaker)
    await clock.advance(5_001)
    expect((await watched(breaker, () => 1)).state).toBe('resolved')
    expect(breaker.state).toBe('closed')
  })

  it('F4: closes the breaker when it succeeds after all, and its caller gets what it gave', async () => {
    const { breaker, clock } = await halfOpen({ probeTimeoutMs: 400 })
    const first = underway(breaker)
    await clock.advance(1_000)
    underway(breaker)
    await clock.advance(400)
    expect(breaker.state).toBe('open')
    await first.succeed()
    expect(breaker.state).toBe('closed')
    expect(first.seen.value).toBe('late')
  })

  it('F4: does not fail the next probe when it fails late', async () => {
    const { breaker, clock } = await halfOpen({ probeTimeoutMs: 400 })
    const first = underway(breaker)
    await clock.advance(1_000)
    const second = underway(breaker)
    await first.fail()
    expect(breaker.state).toBe('half-open')
    await second.succeed()
    expect(breaker.state).toBe('closed')
  })

  it('F4: is not held against the breaker when its limit and its end come in one moment', async () => {
    const { breaker, clock } = await halfOpen({ probeTimeoutMs: 400 })
    const probe = underway(breaker)
    // The process was busy: what came in meanwhile is looked at before anybody is told that nothing came.
    clock.stall(10_000)
    const ended = probe.succeed()
    await clock.advance(0)
    await ended
    expect(breaker.state).toBe('closed')
  })
})

describe('F4: a probe given up by its caller', () => {
  it('F4: says nothing: the next call is the probe', async () => {
    const { breaker, clock } = await halfOpen({ probeTimeoutMs: 400 })
    const probe = underway(breaker)
    await probe.fail(new DOMException('gave up', 'AbortError'))
    expect([breaker.state, breaker.retryInMs]).toEqual(['half-open', undefined])
    await clock.advance(10_000)
    expect([breaker.state, clock.pending]).toEqual(['half-open', 0])
    await succeed(breaker)
    expect(breaker.state).toBe('closed')
  })
})

describe('F4: a call from before', () => {
  it.each(['succeed', 'fail'] as const)(
    'F4: decides nothing when it ends while the breaker is open: %s',
    async (end) => {
      const { breaker } = breaking()
      const stale = underway(breaker)
      await fail(breaker, 5)
      await stale[end]()
      expect([breaker.state, breaker.retryInMs]).toEqual(['open', 1_000])
    },
  )

  it.each(['succeed', 'fail'] as const)('F4: decides nothing when it ends while half-open: %s', async (end) => {
    const { breaker, clock } = breaking()
    const [before, during] = [underway(breaker), underway(breaker)]
    await fail(breaker, 5)
    await clock.advance(1_000)
    await before[end]()
    expect(breaker.state).toBe('half-open')
    const probe = underway(breaker)
    await during[end]()
    expect(breaker.state).toBe('half-open')
    expect((await watched(breaker, () => 1)).error).toBeInstanceOf(CircuitOpenError)
    await probe.succeed()
    expect(breaker.state).toBe('closed')
  })

  it('F4: does not open it again when it fails after the breaker has closed', async () => {
    const { breaker, clock } = breaking()
    const stale = Array.from({ length: 20 }, () => underway(breaker))
    await fail(breaker, 5)
    await clock.advance(1_000)
    await succeed(breaker)
    for (const call of stale) await call.fail()
    expect(breaker.stats()).toMatchObject({ state: 'closed', failures: 25 })
  })
})

describe('F4: timers', () => {
  afterEach(() => {
    jest.useRealTimers()
  })

  it('F4: there is none while it is closed, one while it is not, and it keeps no process alive', async () => {
    const { breaker, clock } = breaking()
    await succeed(breaker, 3)
    await fail(breaker, 3)
    expect(clock.pending).toBe(0)
    await fail(breaker)
    expect([breaker.state, clock.pending, clock.holding]).toEqual(['open', 1, 0])
    await clock.advance(1_000)
    expect([breaker.state, clock.pending]).toEqual(['half-open', 0])
    underway(breaker)
    expect([clock.pending, clock.holding]).toEqual([1, 0])
  })

  it('F4: opossum has none of its own, in whichever state', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick'] })
    const { breaker, clock } = breaking()
    await succeed(breaker)
    await fail(breaker, 4)
    expect([breaker.state, jest.getTimerCount()]).toEqual(['open', 0])
    await clock.advance(1_000)
    await fail(breaker)
    expect([breaker.state, jest.getTimerCount()]).toEqual(['open', 0])
  })

  it('F4: without a clock of its owner it follows the system’s', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick'] })
    const breaker = new Breaker({ name: 'system', kind: 'external' })
    await succeed(breaker)
    expect(jest.getTimerCount()).toBe(0)
    await fail(breaker, 4)
    expect([breaker.state, jest.getTimerCount()]).toEqual(['open', 1])
    await jest.advanceTimersByTimeAsync(1_000)
    expect(breaker.state).toBe('half-open')
    await fail(breaker)
    expect(jest.getTimerCount()).toBe(1)
    breaker.shutdown()
    expect(jest.getTimerCount()).toBe(0)
  })
})
