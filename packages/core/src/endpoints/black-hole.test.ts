// Servers that refuse, or do not answer at all: the breaker opens on both, and none of them holds up the end of the pool.

import { describe, expect, it } from '@jest/globals'
import { CircuitOpenError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const [a, b] = [
  { host: 'a', port: 5432 },
  { host: 'b', port: 5432 },
]

describe('a server that refuses', () => {
  it('F4: is tried twice a second while its breaker is open, and a connect that failed is told for each time it was', async () => {
    const { pool, driver, clock } = fixture(
      { max: 15, acquireTimeoutMs: 120_000 },
      () => 0.5,
      {},
      (made) => {
        made.connects = refusal()
      },
    )
    watch(pool.acquire())
    await clock.advance(10_000)
    const [before, failed] = [driver.attempts.length, pool.stats().connectFailures]
    const told = await eventsOf('moorings:connect:failed', () => clock.advance(20_000))
    const tries = driver.attempts.length - before
    expect(tries).toBeGreaterThan(35)
    expect(tries).toBeLessThanOrEqual(41)
    expect(told.map(({ error }) => error.name)).toEqual(told.map(() => 'ConnectError'))
    expect([told.length, pool.stats().connectFailures - failed]).toEqual([tries, tries])
  })
})

describe('a black hole', () => {
  it.each([
    ['one server', [a], 1, 15],
    ['one server', [a], 40, 15],
    ['one server and a small pool', [a], 3, 3],
    ['two servers', [a, b], 3, 15],
  ])(
    'F4: %s, %#: opens the breaker within twenty seconds, and who waits is served at its end',
    async (_, endpoints, callers, max) => {
      const { pool, driver, clock } = fixture(
        { max, overflow: 0, acquireTimeoutMs: 120_000 },
        () => 0.5,
        {},
        (made) => {
          made.endpoints = endpoints
          made.connects = 'obedient'
        },
      )
      const waiting = Array.from({ length: callers }, () => watch(pool.lease(() => {})))
      await clock.advance(20_000)
      const breakers = () => Object.values(pool.stats().endpoints).map(({ breaker }) => breaker)
      let refused = 0
      for (let second = 0; second < 20; second++) {
        expect(breakers()).not.toContain('closed')
        const anew = watch(pool.acquire({ timeoutMs: 100 }))
        await settled()
        if (anew.state === 'rejected' && anew.error instanceof CircuitOpenError) refused++
        // At another moment between two probes each time.
        await clock.advance(1_013)
      }
      // Between two probes somebody may get in line.
      expect(refused).toBeGreaterThan(14)
      driver.connects = 'ok'
      await clock.advance(1_100)
      expect(new Set(waiting.map(({ state }) => state))).toEqual(new Set(['resolved']))
      expect(breakers()).toContain('closed')
    },
  )

  it('F3: of all servers: the first that answers again is found soon, whichever it is and however long that took', async () => {
    for (let silentMs = 500; silentMs < 12_000; silentMs += 1_487) {
      const { pool, clock, answering } = silent()
      const waiting = watch(pool.acquire({ timeoutMs: 60_000 }))
      await clock.advance(silentMs)
      answering.add('b')
      await clock.advance(1_000)
      expect([silentMs, waiting.state]).toEqual([silentMs, 'resolved'])
    }
  })

  it('F3: of one server: the others are asked soon, also when the last connect there took long', async () => {
    const { pool, driver, clock, answering } = silent()
    const slow = watch(pool.acquire())
    await clock.advance(2_900)
    driver.attempt(1).succeed()
    await settled()
    slow.value.invalidate()
    slow.value.release()
    // What was begun beside it is over by then.
    await clock.advance(11_000)
    answering.add('b')
    const waiting = watch(pool.acquire())
    await clock.advance(2_000)
    expect(waiting.value.connection.endpoint).toEqual(b)
  })

  it('F2: a server that does not answer the goodbye of a connection nobody needs does not outlive the pool', async () => {
    const { pool, driver, clock } = standbyFirst()
    const lease = await takeOne(pool)
    lease.release()
    expect(driver.open).toHaveLength(2)
    driver.connection(2).always('close', 'ok')
    const closed = watch(pool.close({ timeoutMs: 100 }))
    await settled()
    expect(closed.state).toBe('resolved')
    expect(driver.open).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('F2: nor one that is left a second later', async () => {
    const { pool, driver, clock } = standbyFirst()
    await takeOne(pool)
    await clock.advance(999)
    expect(driver.connection(1).open).toBe(true)
    await clock.advance(1)
    expect(driver.connection(1).ended).toBe('destroyed')
  })
})

/** And no goodbye is answered. */
function standbyFirst(): Fixture {
  return fixture(
    {},
    () => 0.5,
    {},
    (driver) => {
      driver.endpoints = [a, b]
      driver.target = 'read-write'
      driver.roles.set('a', 'standby')
      driver.always('close', 'held')
    },
  )
}

/** Two servers: what is asked of them from now on is answered by those that are told to. */
function silent(): Fixture & { readonly answering: Set<string> } {
  const answering = new Set<string>()
  const scene = fixture(
    { max: 15, overflow: 0 },
    () => 0.5,
    {},
    (driver) => {
      driver.endpoints = [a, b]
      driver.connects = (attempt) => {
        const { signal, endpoint } = attempt.request
        if (answering.has(endpoint.host)) attempt.succeed()
        else signal.addEventListener('abort', () => attempt.fail(), { once: true })
      }
    },
  )
  return { ...scene, answering }
}
