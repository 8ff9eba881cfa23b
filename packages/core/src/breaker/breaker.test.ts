// When a breaker opens, what it does meanwhile, and when it closes: on a clock moved by hand.

import { describe, expect, it } from '@jest/globals'
import { CircuitOpenError, InvalidOptionsError } from '../errors.js'
import { breaking, broken, fail, halfOpen, refused, succeed, underway, watched } from '../testing/breaking.js'
import { Breaker } from './breaker.js'

describe('F4: a closed breaker', () => {
  it('F4: gives back what comes of a call as it is, be it a promise, a value or something thrown', async () => {
    const { breaker } = breaking()
    const value = { rows: [] }
    expect(await breaker.run(() => value)).toBe(value)
    expect(await breaker.run(async () => undefined)).toBeUndefined()
    await expect(breaker.run(() => Promise.reject(refused))).rejects.toBe(refused)
    const thrown = () => {
      throw refused
    }
    await expect(breaker.run(thrown)).rejects.toBe(refused)
    expect(breaker.stats()).toMatchObject({ fires: 4, successes: 2, failures: 2, rejected: 0, state: 'closed' })
  })

  it('F4: opens when more than the percentage of the calls failed, and not at the percentage', async () => {
    const { breaker } = breaking({ volumeThreshold: 1 })
    await succeed(breaker, 5)
    await fail(breaker, 5)
    expect(breaker.state).toBe('closed')
    await fail(breaker)
    expect(breaker.state).toBe('open')
  })

  it.each([
    [0, 99],
    [99, 0],
  ])('F4: opens above %d per cent after %d calls that went well', async (errorThresholdPercentage, successes) => {
    const { breaker } = breaking({ errorThresholdPercentage })
    await succeed(breaker, successes)
    await fail(breaker, successes === 0 ? 4 : 0)
    expect(breaker.state).toBe('closed')
    await fail(breaker)
    expect(breaker.state).toBe('open')
  })

  it('F4: stays closed below the volume, whatever the percentage', async () => {
    const { breaker } = breaking({ volumeThreshold: 20 })
    await fail(breaker, 19)
    expect(breaker.state).toBe('closed')
    await fail(breaker)
    expect(breaker.state).toBe('open')
  })

  it('F4: judges by the calls that have ended: those that hang neither make up the volume nor dilute the failures', async () => {
    const { breaker } = breaking()
    const hung = Array.from({ length: 100 }, () => underway(breaker))
    await fail(breaker, 4)
    expect(breaker.state).toBe('closed')
    await fail(breaker)
    expect(breaker.state).toBe('open')
    expect(breaker.stats().fires).toBe(105)
    for (const call of hung) await call.succeed()
    expect(breaker.state).toBe('open')
  })

  it('F4: forgets what is older than its window', async () => {
    const { breaker, clock } = breaking({ rollingWindowMs: 10_000 })
    await fail(breaker, 4)
    await clock.advance(9_000)
    expect(breaker.state).toBe('closed')
    await clock.advance(1_000)
    await fail(breaker, 4)
    expect(breaker.state).toBe('closed')
    await clock.advance(8_999)
    await fail(breaker)
    expect(breaker.state).toBe('open')
  })

  it('F4: remembers within its window, and has one of its own beside other breakers', async () => {
    const [brief, long] = [breaking({ rollingWindowMs: 100 }), breaking({ rollingWindowMs: 100_000 })]
    for (const { breaker, clock } of [brief, long]) {
      await fail(breaker, 4)
      await clock.advance(101)
      await fail(breaker)
    }
    expect([brief.breaker.state, long.breaker.state]).toEqual(['closed', 'open'])
  })

  it('F4: has forgotten everything after a long rest, and goes on as if new', async () => {
    const { breaker, clock } = breaking()
    await fail(breaker, 4)
    await clock.advance(7 * 24 * 3_600_000)
    await fail(breaker, 4)
    expect(breaker.state).toBe('closed')
    await fail(breaker)
    expect(breaker.state).toBe('open')
  })
})

describe('F4: which errors count', () => {
  it('F4: is what the caller says: an error that does not count is an answer', async () => {
    const { breaker } = breaking()
    const answer = new Error('duplicate key')
    for (let n = 0; n < 20; n++) {
      await expect(
        breaker.run(
          () => Promise.reject(answer),
          () => false,
        ),
      ).rejects.toBe(answer)
    }
    expect(breaker.stats()).toMatchObject({ successes: 20, failures: 0, state: 'closed', lastError: undefined })
  })

  it('F4: an error that says nothing is in no sum', async () => {
    const { breaker } = breaking()
    const given = new DOMException('gave up', 'AbortError')
    for (let n = 0; n < 20; n++) await watched(breaker, () => Promise.reject(given))
    expect(breaker.stats()).toMatchObject({ fires: 20, successes: 0, failures: 0 })
    await fail(breaker, 5)
    expect(breaker.state).toBe('open')
  })

  it('F4: a predicate that throws does not take the place of the error, which is then a failure', async () => {
    const { breaker } = breaking()
    const broken = () => {
      throw new TypeError('cannot read properties of undefined')
    }
    for (let n = 0; n < 5; n++) await expect(breaker.run(() => Promise.reject(refused), broken)).rejects.toBe(refused)
    expect(breaker.state).toBe('open')
  })

  it.each([['a word'], [undefined], [null], [{}]])('F4: whatever is thrown is a failure: %p', async (thrown) => {
    const { breaker } = breaking()
    await fail(breaker, 5, thrown)
    expect(breaker.state).toBe('open')
    await expect(breaker.run(() => 1)).rejects.toThrow(CircuitOpenError)
  })
})

describe('F4: an open breaker', () => {
  it('F4: refuses a call at once and does not run it', async () => {
    const { breaker, clock } = await broken()
    await clock.advance(400)
    let ran = false
    const error = await breaker
      .run(() => {
        ran = true
      })
      .catch((caught: unknown) => caught)
    expect(ran).toBe(false)
    expect(error).toBeInstanceOf(CircuitOpenError)
    expect(error).toMatchObject({ breaker: 'db.test:5432', sinceMs: 400, retryInMs: 600, cause: refused })
    expect(breaker.retryInMs).toBe(600)
  })

  it('F4: counts what it refuses, and does not open again for it', async () => {
    const { breaker } = await broken()
    for (let n = 0; n < 50; n++) await watched(breaker, () => n)
    expect(breaker.stats()).toMatchObject({ fires: 5, failures: 5, rejected: 50, openedCount: 1 })
  })

  it('F4: lets one call through after the pause, and no other until that has ended', async () => {
    const { breaker, clock } = await broken()
    await clock.advance(999)
    expect(breaker.state).toBe('open')
    await clock.advance(1)
    expect([breaker.state, breaker.retryInMs]).toEqual(['half-open', undefined])
    const probe = underway(breaker)
    expect((await watched(breaker, () => 1)).error).toBeInstanceOf(CircuitOpenError)
    expect([breaker.state, breaker.retryInMs]).toEqual(['half-open', 500])
    await probe.succeed()
    expect(breaker.state).toBe('closed')
    await succeed(breaker, 3)
    expect(breaker.stats()).toMatchObject({ fires: 9, successes: 4, rejected: 1, openedCount: 1 })
  })

  it('F4: stays open when the probe fails, and probes again, counted from the beginning of that probe', async () => {
    const { breaker, clock } = await halfOpen()
    const probe = underway(breaker)
    await clock.advance(300)
    await probe.fail()
    expect([breaker.state, breaker.retryInMs]).toEqual(['open', 700])
    await clock.advance(699)
    expect(breaker.state).toBe('open')
    await clock.advance(1)
    expect(breaker.state).toBe('half-open')
    await succeed(breaker)
    expect(breaker.state).toBe('closed')
  })

  it('F4: goes on probing for as long as the outage lasts, one probe a second', async () => {
    const { breaker, clock } = await broken()
    const began: number[] = []
    const start = clock.now()
    for (let ms = 0; ms < 10_000; ms += 50) {
      await watched(breaker, () => {
        began.push(clock.now() - start)
        throw refused
      })
      await clock.advance(50)
    }
    expect(began).toEqual([1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000])
    expect(breaker.stats()).toMatchObject({ openedCount: 1, sinceMs: 10_000, failures: 14 })
  })

  it('F4: closes by a probe that was answered by an error that does not count', async () => {
    const { breaker } = await halfOpen()
    await expect(
      breaker.run(
        () => Promise.reject(refused),
        () => false,
      ),
    ).rejects.toBe(refused)
    expect(breaker.state).toBe('closed')
  })

  it('F4: has forgotten, once closed, what had opened it', async () => {
    const { breaker } = await halfOpen()
    await succeed(breaker)
    await fail(breaker, 4)
    expect(breaker.state).toBe('closed')
    await fail(breaker)
    expect(breaker.stats()).toMatchObject({ state: 'open', openedCount: 2 })
  })
})

describe('F4: its statistics', () => {
  it('F4: are frozen, plain, and say of the last failure but name and code', async () => {
    const { breaker } = breaking()
    const secret = Object.assign(new RangeError('password=sesame'), { code: 'E42', detail: 'sesame' })
    await fail(breaker, 5, secret)
    const stats = breaker.stats()
    expect(Object.isFrozen(stats)).toBe(true)
    expect(JSON.parse(JSON.stringify(stats))).toEqual({
      name: 'db.test:5432',
      kind: 'database',
      state: 'open',
      fires: 5,
      successes: 0,
      failures: 5,
      rejected: 0,
      openedCount: 1,
      sinceMs: 0,
      retryInMs: 1_000,
      lastError: { name: 'RangeError', code: 'E42' },
    })
  })

  it('F4: say for how long it is as it is: the outage with all its probes, and the time since', async () => {
    const { breaker, clock } = breaking()
    await clock.advance(5_000)
    expect(breaker.stats().sinceMs).toBe(5_000)
    await fail(breaker, 5)
    await clock.advance(1_000)
    await fail(breaker)
    await clock.advance(1_000)
    expect(breaker.stats()).toMatchObject({ state: 'half-open', sinceMs: 2_000 })
    await succeed(breaker)
    await clock.advance(30)
    expect(breaker.stats()).toMatchObject({ state: 'closed', sinceMs: 30 })
  })
})

it('F4: options that cannot be used are refused, all at once', () => {
  const make = () => new Breaker({ name: 'x', kind: 'external', errorThresholdPercentage: 100, probeTimeoutMs: 0 })
  expect(make).toThrow(InvalidOptionsError)
  expect(make).toThrow(/breaker\.errorThresholdPercentage: given 100[\s\S]*breaker\.probeTimeoutMs: given 0/)
})
