// The beginning: by start(), by itself, and while somebody ends it.

import { afterEach, describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, AuthenticationError, ConnectError, PoolClosedError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, counts, empty, fixture, takeOne } from '../testing/fixture.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { watch } from '../testing/watch.js'

const wrongPassword = new AuthenticationError('password authentication failed', { code: '28P01' })

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('start', () => {
  it('resolves once min is there, and opens no more', async () => {
    const { pool, driver } = fixture({ min: 3, max: 5 })
    driver.connects = 'deaf'
    const started = watch(pool.start())
    await settled()
    expect(driver.pending).toHaveLength(3)
    driver.attempt(1).succeed()
    driver.attempt(3).succeed()
    await settled()
    expect(started.state).toBe('pending')
    driver.attempt(2).succeed()
    await settled()
    expect(started.state).toBe('resolved')
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
  })

  it('with a min of 0 makes one, to know that the database answers', async () => {
    const { pool, driver } = fixture({ min: 0 })
    driver.connects = 'deaf'
    const started = watch(pool.start())
    await settled()
    expect(started.state).toBe('pending')
    driver.attempt(1).succeed()
    await settled()
    expect(started.state).toBe('resolved')
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(driver.attempts).toHaveLength(1)
  })

  it('of a pool in use is content with what there is', async () => {
    const { pool, driver } = fixture({ min: 1 })
    await takeOne(pool)
    await pool.start()
    expect(driver.attempts).toHaveLength(1)
  })

  it('tells the start once, also when it is called twice at once', async () => {
    const { pool, driver } = fixture({ min: 2, max: 4, overflow: 1 })
    const events = await eventsOf('moorings:pool:started', async () => {
      const both = [watch(pool.start()), watch(pool.start())]
      await settled()
      expect(both.map(({ state }) => state)).toEqual(['resolved', 'resolved'])
    })
    expect(events).toEqual([{ ...pool.identity, min: 2, max: 4, overflow: 1 }])
    expect(driver.attempts).toHaveLength(2)
  })

  it('called twice at once with a min of 0 makes no more connections than callers', async () => {
    const { pool, driver } = fixture({ min: 0, max: 1, overflow: 0 })
    driver.connects = 'deaf'
    const both = [watch(pool.start()), watch(pool.start())]
    await settled()
    driver.attempt(1).succeed()
    await settled()
    expect(both.map(({ state }) => state)).toEqual(['resolved', 'resolved'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('waits again when what it had is lost before the rest is there', async () => {
    const { pool, driver, clock } = fixture({ min: 2 })
    driver.connects = 'deaf'
    const started = watch(pool.start())
    await settled()
    driver.attempt(1).succeed().lose()
    driver.attempt(2).succeed()
    await clock.advance(25)
    expect(started.state).toBe('pending')
    driver.attempt(3).succeed()
    await settled()
    expect(started.state).toBe('resolved')
  })

  it('leaves nothing that keeps the process alive', async () => {
    const { pool, clock } = fixture({ min: 2 })
    await pool.start()
    await settled()
    expect(clock.holding).toBe(0)
  })
})

describe('start while connects fail', () => {
  it('tries again until it has what it wants', async () => {
    const { pool, driver, clock } = fixture({ min: 2 })
    driver.connects = refusal()
    const started = watch(pool.start())
    await clock.advance(2_000)
    expect(started.state).toBe('pending')
    driver.connects = 'ok'
    await clock.advance(500)
    expect(started.state).toBe('resolved')
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
  })

  it.each([0, 2])('and a min of %d rejects with the first failure with failFast', async (min) => {
    const { pool, driver, clock } = fixture({ min })
    const reason = refusal()
    driver.connects = reason
    const before = clock.now()
    await expect(pool.start({ failFast: true })).rejects.toBe(reason)
    expect(clock.now()).toBe(before)
  })

  it.each([0, 2])(
    'and a min of %d rejects at once, without failFast too, when trying again cannot help',
    async (min) => {
      const { pool, driver } = fixture({ min })
      driver.connects = wrongPassword
      await expect(pool.start()).rejects.toBe(wrongPassword)
    },
  )

  it('is one start failing fast, and another that goes on', async () => {
    const { pool, driver, clock } = fixture({ min: 1 })
    driver.connects = refusal()
    const fast = watch(pool.start({ failFast: true }))
    const patient = watch(pool.start())
    await settled()
    expect(fast.error).toBeInstanceOf(ConnectError)
    expect(patient.state).toBe('pending')
    driver.connects = 'ok'
    await clock.advance(25)
    expect(patient.state).toBe('resolved')
  })

  it.each([0, 2])('and a min of %d gives up after timeoutMs, and says why', async (min) => {
    const { pool, driver, clock } = fixture({ min })
    const reason = refusal()
    driver.connects = reason
    const started = watch(pool.start({ timeoutMs: 700 }))
    await clock.advance(699.9)
    expect(started.state).toBe('pending')
    await clock.advance(0.1)
    expect(started.error).toBeInstanceOf(AcquireTimeoutError)
    expect(started.error).toMatchObject({ waitedMs: 700, cause: reason })
  })

  it('gives up after acquireTimeoutMs unless told otherwise, also when connects hang', async () => {
    const { pool, driver, clock } = fixture({ min: 1, acquireTimeoutMs: 400 })
    driver.connects = 'deaf'
    const started = watch(pool.start())
    await clock.advance(400)
    expect(started.error).toBeInstanceOf(AcquireTimeoutError)
    expect(started.error).toMatchObject({ pool: { connecting: 1 } })
  })

  it('gives up for itself only: the pool goes on, and the next start finds what it has made', async () => {
    const { pool, driver, clock } = fixture({ min: 2 })
    driver.connects = refusal()
    await expect(pool.start({ failFast: true })).rejects.toBeInstanceOf(ConnectError)
    driver.connects = 'ok'
    await clock.advance(25)
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    await pool.start()
    expect(driver.open).toHaveLength(2)
  })
})

describe('start and close', () => {
  it('start of a closed pool is refused', async () => {
    const setup = fixture({ min: 1 })
    await setup.pool.close()
    await expect(setup.pool.start()).rejects.toBeInstanceOf(PoolClosedError)
    await expectNothingLeft(setup)
  })

  it.each([
    [0, 'deaf'],
    [2, 'deaf'],
    [2, 'obedient'],
    [2, refusal()],
  ] as const)('close while a pool with a min of %d starts ends the start (connects: %s)', async (min, connects) => {
    const setup = fixture({ min })
    setup.driver.connects = connects
    const started = watch(setup.pool.start())
    await settled()
    const closed = watch(setup.pool.close())
    await settled()
    expect(started.error).toBeInstanceOf(PoolClosedError)
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it('close in the turn of the start ends it as well', async () => {
    const setup = fixture({ min: 2 })
    const started = watch(setup.pool.start())
    const closed = watch(setup.pool.close())
    await settled()
    expect(started.error).toBeInstanceOf(PoolClosedError)
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })
})

describe('a pool', () => {
  it('that is lazy opens nothing before its first use', async () => {
    const { driver, clock } = fixture({ min: 2 })
    await clock.advance(60_000)
    expect(driver.attempts).toHaveLength(0)
    expect(clock.pending).toBe(0)
  })

  it('that is eager fills by itself', async () => {
    const events = await eventsOf('moorings:pool:started', async (seen) => {
      const { pool } = fixture({ min: 2, start: 'eager' })
      // Whoever makes it can listen, or close it, before anything happens.
      expect(seen).toEqual([])
      await settled()
      expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    })
    expect(events).toHaveLength(1)
  })

  it('that is eager goes on trying while the database is down, and keeps no process alive for it', async () => {
    const { pool, driver, clock } = fixture({ min: 2, start: 'eager' })
    driver.connects = refusal()
    await clock.advance(5_000)
    expect(driver.attempts.length).toBeLessThanOrEqual(50)
    expect(clock.holding).toBe(0)
    driver.connects = 'ok'
    await clock.advance(500)
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
  })

  it('that is eager and started besides starts once', async () => {
    const { pool, driver } = fixture({ min: 2, start: 'eager' })
    await pool.start()
    const [asked] = await ask(pool, 1)
    expect(asked?.state).toBe('resolved')
    expect(driver.attempts).toHaveLength(2)
  })

  it('that is eager and closed in the same turn leaves nothing', async () => {
    const events = await eventsOf('moorings:pool:started', async () => {
      const setup = fixture({ min: 2, start: 'eager' })
      await setup.pool.close()
      await settled()
      expect(setup.driver.attempts).toHaveLength(0)
      await expectNothingLeft(setup)
    })
    expect(events).toEqual([])
  })
})
