// How opossum is used: what it is asked for, and what it must not keep.

import { afterEach, describe, expect, it, jest } from '@jest/globals'
import Opossum from 'opossum'
import { FakeClock } from '../testing/fake-clock.js'
import { Circuit } from './circuit.js'

const options = {
  volumeThreshold: 5,
  errorThresholdPercentage: 50,
  resetTimeoutMs: 1_000,
  rollingWindowMs: 10_000,
  probeTimeoutMs: 1_000,
}

afterEach(() => {
  jest.restoreAllMocks()
})

/** A circuit, and the opossum inside of it, which is met when it is first asked for something. */
function circuit() {
  const fire = jest.spyOn(Opossum.prototype, 'fire')
  const clock = new FakeClock()
  const made = new Circuit(options, clock)
  made.succeeded()
  const [inner] = fire.mock.contexts
  if (!(inner instanceof Opossum)) throw new Error('opossum was not asked')
  return { made, clock, inner }
}

const latencies = (inner: Opossum) => inner.status.window.flatMap(({ latencyTimes }) => latencyTimes)

describe('F4: opossum', () => {
  it('F4: keeps its window by the clock, and none of the times that calls took for longer than a tenth of it', async () => {
    const { made, clock, inner } = circuit()
    for (let n = 0; n < 99; n++) made.succeeded()
    made.failed()
    // It hears of what went well a few turns later.
    await clock.advance(1_000)
    expect([inner.stats.fires, inner.stats.failures, latencies(inner).length]).toEqual([101, 1, 101])
    made.failed()
    expect([inner.stats.fires, inner.stats.failures, latencies(inner).length]).toEqual([102, 2, 1])
    await clock.advance(8_999)
    made.failed()
    expect(inner.stats.fires).toBe(103)
    await clock.advance(1)
    made.failed()
    expect([inner.stats.fires, inner.stats.failures]).toEqual([3, 3])
  })

  it('F4: works out no percentiles and has no limit of its own', () => {
    const { inner } = circuit()
    expect(inner.stats.latencyMean).toBe(-1)
    expect(inner.toJSON()).not.toHaveProperty('options')
    expect(inner).toMatchObject({ options: { timeout: false, enableSnapshots: false } })
  })

  it('F4: is closed and empty again once it has said that it was too much', () => {
    const { made, inner } = circuit()
    expect([1, 2, 3, 4].map(() => made.failed())).toEqual([false, false, false, true])
    expect([inner.closed, inner.stats.fires]).toEqual([true, 0])
    expect(made.failed()).toBe(false)
  })

  it('F4: has no listener left once it is shut down', () => {
    const { made, inner } = circuit()
    made.shutdown()
    expect(inner.eventNames()).toEqual([])
    expect(inner.isShutdown).toBe(true)
  })
})
