// Connects that fail, hang or come too late, and the pauses between them.

import { describe, expect, it } from '@jest/globals'
import { AuthenticationError, CircuitOpenError, ConnectError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, counts, empty, type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { seeded } from '../testing/seeded.js'
import { watch } from '../testing/watch.js'

describe('a failed connect', () => {
  it('frees its place', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 })
    driver.connects = 'deaf'
    const [waiting] = await ask(pool, 1)
    driver.connects = 'ok'
    driver.attempt(1).fail()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
    await clock.advance(25)
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('is told to whoever listens, with the pause that follows', async () => {
    const { pool, driver } = fixture()
    driver.connects = refusal()
    const events = await eventsOf('moorings:connect:failed', async () => {
      await ask(pool, 1)
    })
    expect(events).toEqual([{ ...pool.identity, error: driver.connects, retryInMs: 12.5, again: false }])
  })

  it('is told as one more of the same until it fails for another reason, or one has been made', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 })
    driver.connects = refusal()
    const events = await eventsOf('moorings:connect:failed', async () => {
      const [waiting] = await ask(pool, 1)
      await clock.advance(50)
      // A breaker that is open in between says nothing new.
      const cause = new ConnectError('reset', { code: 'ECONNRESET' })
      driver.connects = new CircuitOpenError('db', { sinceMs: 1, retryInMs: 1, byHand: false, cause })
      await clock.advance(500)
      driver.connects = refusal()
      await clock.advance(500)
      driver.connects = new ConnectError('starting up', { code: '57P03' })
      await clock.advance(500)
      driver.connects = 'ok'
      await clock.advance(500)
      waiting?.value.invalidate()
      waiting?.value.release()
      driver.connects = refusal()
      await ask(pool, 1)
    })
    const told = events.filter(({ again }) => !again).map(({ error }) => error.code)
    expect(told).toEqual([refusal().code, '57P03', refusal().code])
    expect(events.length).toBeGreaterThan(told.length)
  })

  it('that the driver throws as an error of its own is classified', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0, acquireTimeoutMs: 10 })
    driver.connects = () => {
      throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
    }
    const [waiting] = await ask(pool, 1)
    await clock.advance(10)
    expect(waiting?.error).toMatchObject({ cause: { name: 'ConnectError', code: 'ENOTFOUND' } })
  })
})

describe('a hanging connect', () => {
  it('does not block others', async () => {
    const { pool, driver } = fixture({ max: 3, overflow: 0 })
    driver.connects = 'deaf'
    await ask(pool, 1)
    driver.connects = 'ok'
    const [second] = await ask(pool, 1)
    // The one that arrived goes to the one that came first; the next caller has a connect of its own.
    expect(counts(pool)).toEqual({ ...empty, leased: 1, connecting: 1, waiting: 1 })
    await ask(pool, 1)
    expect(second?.state).toBe('resolved')
    expect(driver.pending).toHaveLength(1)
  })

  it.each([
    [100, []],
    [1_500, ['ping']],
  ])('does not keep a caller from a connection that has rested for %d ms', async (ms, sent) => {
    const { pool, driver, clock } = fixture({ min: 2, max: 2, overflow: 0, validateAfterIdleMs: 1_000 })
    const lease = await takeOne(pool)
    await clock.advance(60_000)
    driver.connects = 'deaf'
    driver.connection(2).lose()
    await clock.advance(1)
    lease.release()
    await clock.advance(ms)
    expect(counts(pool)).toEqual({ ...empty, idle: 1, connecting: 1 })
    await takeOne(pool)
    expect(driver.connection(1).sent).toEqual(sent)
  })

  it('of a caller who has given up does not keep the next from what lies idle', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0, validateAfterIdleMs: 1_000 })
    const holder = await takeOne(pool)
    driver.connects = 'deaf'
    const gone = watch(pool.acquire({ timeoutMs: 5 }))
    await clock.advance(5)
    expect(gone.state).toBe('rejected')
    holder.release()
    await clock.advance(1_500)
    expect(counts(pool)).toEqual({ ...empty, idle: 1, connecting: 1 })
    await takeOne(pool)
  })

  it.each(['obedient', 'deaf'] as const)('ends by connectTimeoutMs with an %s driver', async (connects) => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0, connectTimeoutMs: 300 })
    driver.connects = connects
    const [waiting] = await ask(pool, 1)
    const { signal } = driver.attempt(1).request
    await clock.advance(299.9)
    expect(signal.aborted).toBe(false)
    expect(counts(pool)).toMatchObject({ connecting: 1 })
    driver.connects = 'ok'
    await clock.advance(0.1)
    expect(signal.reason).toBeInstanceOf(ConnectError)
    expect(counts(pool)).toMatchObject({ connecting: 0, waiting: 1 })
    await clock.advance(25)
    expect(waiting?.state).toBe('resolved')
  })

  it('is one failure, not two, when the driver reports it as well', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0, connectTimeoutMs: 300 })
    driver.connects = 'obedient'
    const events = await eventsOf('moorings:connect:failed', async () => {
      await ask(pool, 1)
      await clock.advance(300)
    })
    expect(events).toHaveLength(1)
    expect(events[0]?.error.message).toContain('within 300 ms')
  })

  it('that arrives after its deadline is destroyed, and never lent or counted', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0, connectTimeoutMs: 300 })
    driver.connects = 'deaf'
    const [waiting] = await ask(pool, 1)
    await clock.advance(300)
    const late = driver.attempt(1).succeed()
    await settled()
    expect(late.ended).toBe('destroyed')
    expect(waiting?.state).toBe('pending')
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0, created: 0 })
  })

  it('that fails after its deadline changes nothing more', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0, connectTimeoutMs: 300 })
    driver.connects = 'deaf'
    const events = await eventsOf('moorings:connect:failed', async () => {
      await ask(pool, 1)
      await clock.advance(300)
      driver.attempt(1).fail(new AuthenticationError('too late to matter'))
      await clock.advance(1)
    })
    expect(events).toHaveLength(1)
    expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
  })
})

/** How many connects `during` milliseconds bring, with somebody waiting all the time. */
async function attemptsWithin(ms: number, { pool, driver, clock }: Fixture): Promise<number> {
  await ask(pool, 1)
  await clock.advance(ms)
  return driver.attempts.length
}

const randoms: [string, () => number][] = [
  ['always 0', () => 0],
  ['always almost 1', () => 1 - Number.EPSILON],
  ...[1, 2, 3, 4, 5].map((seed): [string, () => number] => [`seed ${seed}`, seeded(seed)]),
]

describe.each(randoms)('the pause between failing connects, with randomness %s', (_, random) => {
  it('doubles up to half a second, at least half of it is kept', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0, acquireTimeoutMs: 60_000 }, random)
    driver.connects = refusal()
    const [waiting] = await ask(pool, 1)
    for (const longest of [25, 50, 100, 200, 400, 500, 500, 500]) {
      const before = driver.attempts.length
      const pause = await clock.advanceToNext()
      expect(driver.attempts).toHaveLength(before + 1)
      expect(pause).toBeGreaterThanOrEqual(longest / 2)
      // A timer takes whole milliseconds.
      expect(pause).toBeLessThanOrEqual(Math.ceil(longest))
    }
    expect(waiting?.state).toBe('pending')
  })

  it('is no hot loop on a refused connection', async () => {
    const setup = fixture({ max: 1, overflow: 0 }, random)
    setup.driver.connects = refusal()
    expect(await attemptsWithin(10_000, setup)).toBeLessThanOrEqual(50)
  })
})

describe('a database that is down', () => {
  it('sees a round of connects for a crowd as one failure, and from then on one connect at a time', async () => {
    const { pool, driver, clock } = fixture({ max: 4, overflow: 2 })
    driver.connects = refusal()
    await ask(pool, 100)
    expect(driver.attempts).toHaveLength(6)
    await clock.advance(13)
    expect(driver.attempts).toHaveLength(7)
    await clock.advance(26)
    expect(driver.attempts).toHaveLength(8)
  })

  it('is not asked again by each new caller while the pause lasts', async () => {
    const { pool, driver, clock } = fixture({ max: 10, overflow: 0 })
    driver.connects = refusal()
    await ask(pool, 1)
    for (let turn = 0; turn < 8; turn++) await ask(pool, 1)
    expect(driver.attempts).toHaveLength(1)
    await clock.advance(13)
    expect(driver.attempts).toHaveLength(2)
  })

  it('that hangs does not keep others waiting for the one connect that was to find out', async () => {
    const { pool, driver, clock } = fixture({ max: 10, overflow: 0 })
    driver.connects = refusal()
    await ask(pool, 3)
    driver.connects = 'deaf'
    await clock.advance(13)
    expect(driver.pending).toHaveLength(1)
    driver.connects = 'ok'
    await clock.advance(500)
    expect(counts(pool)).toMatchObject({ leased: 3, waiting: 0, connecting: 0 })
    expect(driver.pending.map(({ request }) => request.signal.aborted)).toEqual([true])
  })

  it('in a black hole does not fill all places with connects that hang: the oldest is kept, the others make room', async () => {
    const { pool, driver, clock } = fixture({ max: 3, overflow: 0, connectTimeoutMs: 60_000 }, () => 0, {
      breaker: false,
    })
    driver.connects = 'obedient'
    const [waiting] = await ask(pool, 1)
    await clock.advance(10_000)
    expect(driver.pending).toHaveLength(3)
    expect(driver.attempt(1).state).toBe('pending')
    driver.connects = 'ok'
    await clock.advance(501)
    expect(waiting?.state).toBe('resolved')
    await settled()
    expect(counts(pool)).toMatchObject({ connecting: 0, waiting: 0 })
  })

  it('is not thought to be so for a connect that fails late, when a later one has succeeded', async () => {
    const { pool, driver, clock } = fixture({ max: 10, overflow: 0 })
    driver.connects = 'deaf'
    await ask(pool, 1)
    driver.connects = 'ok'
    await clock.advance(10)
    // The first in line gets the second connection.
    await ask(pool, 1)
    driver.attempt(1).fail()
    await settled()
    driver.connects = 'deaf'
    await clock.advance(25)
    await ask(pool, 3)
    expect(driver.pending).toHaveLength(4)
  })

  it('refuses at once who comes after some seconds, lets wait who came before, and serves all when it is back', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0 })
    driver.connects = refusal()
    const [early] = await ask(pool, 1)
    await clock.advance(3_500)
    const [later] = await ask(pool, 1)
    await clock.advance(1_500)
    const [late] = await ask(pool, 1)
    expect(late?.error).toBeInstanceOf(CircuitOpenError)
    expect(late?.error).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') })
    expect([early?.state, later?.state]).toEqual(['pending', 'pending'])
    const patient = watch(pool.acquire({ patient: true }))
    driver.connects = 'ok'
    await clock.advance(501)
    expect([early?.state, later?.state]).toEqual(['resolved', 'resolved'])
    early?.value.release()
    await settled()
    expect(patient.state).toBe('resolved')
    patient.value.release()
    expect((await takeOne(pool)).lost).toBe(false)
  })

  it('refuses nobody while a connection lives that may come back', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0 })
    const lease = await takeOne(pool)
    driver.connects = refusal()
    await ask(pool, 1)
    await clock.advance(6_000)
    const [waiting] = await ask(pool, 1)
    expect(waiting?.state).toBe('pending')
    lease.release()
    await settled()
  })

  it('refuses nobody without a breaker', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0 }, () => 0, { breaker: false })
    driver.connects = refusal()
    await ask(pool, 1)
    await clock.advance(6_000)
    const [waiting] = await ask(pool, 1)
    expect(waiting?.state).toBe('pending')
  })

  it('is not asked in a hot loop when it accepts and closes at once', async () => {
    const setup = fixture({ max: 1, overflow: 0 })
    const { driver } = setup
    driver.connects = (attempt) => {
      // Bounded, or a pool that does loop would keep this test from ever ending.
      if (driver.attempts.length <= 500) attempt.succeed().lose()
    }
    expect(await attemptsWithin(10_000, setup)).toBeLessThanOrEqual(50)
  })

  it('is not asked in a hot loop to fill min either, when it accepts and closes at once', async () => {
    const { pool, driver, clock } = fixture({ min: 1, max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    lease.release()
    driver.connects = (attempt) => {
      if (driver.attempts.length <= 500) attempt.succeed().lose()
    }
    driver.connection(1).lose()
    await clock.advance(10_000)
    expect(driver.attempts.length).toBeLessThanOrEqual(50)
  })

  it('and back within the acquire timeout is found within half a second', async () => {
    const { pool, driver, clock } = fixture({ acquireTimeoutMs: 30_000 }, seeded(7))
    driver.connects = refusal()
    const [waiting] = await ask(pool, 1)
    await clock.advance(20_000)
    expect(waiting?.state).toBe('pending')
    driver.connects = 'ok'
    await clock.advance(501)
    expect(waiting?.state).toBe('resolved')
  })

  it('is tried again although its pause ends between two looks at the clock', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 })
    driver.connects = refusal()
    const [waiting] = await ask(pool, 1)
    driver.connects = 'ok'
    const now = clock.now.bind(clock)
    const end = now() + 12.5
    let looks = 0
    // Timers may fire a fraction of a millisecond early.
    clock.now = () => (now() >= end && looks++ === 0 ? end - 0.1 : now())
    await clock.advance(30)
    expect(waiting?.state).toBe('resolved')
  })

  it('and back again is forgiven: the next failure starts with the shortest pause', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 })
    driver.connects = refusal()
    await ask(pool, 1)
    await clock.advance(5_000)
    driver.connects = 'ok'
    await clock.advance(60_000)
    driver.connects = refusal()
    const events = await eventsOf('moorings:connect:failed', async () => {
      driver.connection(1).lose()
      await ask(pool, 1)
    })
    expect(events[0]?.retryInMs).toBe(12.5)
  })
})

describe('a failure that trying again cannot help', () => {
  const wrongPassword = new AuthenticationError('password authentication failed for user "app"', { code: '28P01' })

  it('reaches every waiter at once, as it is', async () => {
    const { pool, driver, clock } = fixture({ min: 2 })
    driver.connects = wrongPassword
    const before = clock.now()
    const asked = await ask(pool, 3)
    expect(asked.map(({ error }) => error)).toEqual([wrongPassword, wrongPassword, wrongPassword])
    expect(clock.now()).toBe(before)
  })

  it('is not tried again behind the back of everybody, though min is not filled', async () => {
    const { pool, driver, clock } = fixture({ min: 2 })
    driver.connects = wrongPassword
    await ask(pool, 1)
    const { length } = driver.attempts
    await clock.advance(3_600_000)
    expect(driver.attempts).toHaveLength(length)
    expect(clock.holding).toBe(0)
  })

  it('is tried again for the next caller, and forgotten once it works', async () => {
    const { pool, driver, clock } = fixture({ min: 2 })
    driver.connects = wrongPassword
    await ask(pool, 1)
    driver.connects = 'ok'
    const [next] = await ask(pool, 1)
    await clock.advance(25)
    expect(next?.state).toBe('resolved')
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 1 })
  })

  it('does not reject those who wait while a connection lives that may come back to them', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0 })
    const holder = await takeOne(pool)
    driver.connects = wrongPassword
    const [waiting] = await ask(pool, 1)
    await clock.advance(5_000)
    expect(waiting?.state).toBe('pending')
    expect(driver.attempts.length).toBeLessThanOrEqual(50)
    holder.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('makes start() fail at once', async () => {
    const { pool, driver } = fixture({ min: 2 })
    driver.connects = wrongPassword
    await expect(pool.start()).rejects.toBe(wrongPassword)
  })
})
