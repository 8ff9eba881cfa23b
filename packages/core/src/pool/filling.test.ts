// Keeping `min` connections, whether or not anybody needs them.

import { describe, expect, it } from '@jest/globals'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, counts, empty, fixture, take, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

describe('min', () => {
  it('is filled with the first use', async () => {
    const { pool, driver } = fixture({ min: 3, max: 5 })
    const lease = await takeOne(pool)
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 2 })
    lease.release()
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
    expect(driver.attempts).toHaveLength(3)
  })

  it('is filled by start(), which resolves once it is', async () => {
    const { pool, driver } = fixture({ min: 3, max: 5 })
    driver.connects = 'deaf'
    const started = watch(pool.start())
    await settled()
    expect(driver.pending).toHaveLength(3)
    driver.attempt(2).succeed()
    driver.attempt(1).succeed()
    await settled()
    expect(started.state).toBe('pending')
    driver.attempt(3).succeed()
    await settled()
    expect(started.state).toBe('resolved')
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
  })

  it('is filled again when an idle connection is lost', async () => {
    const { pool, driver, clock } = fixture({ min: 2, max: 5 })
    await pool.start()
    await clock.advance(60_000)
    driver.connection(1).lose()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    expect(driver.attempts).toHaveLength(3)
  })

  it('is filled again when a leased connection is lost', async () => {
    const { pool, driver, clock } = fixture({ min: 1, max: 5 })
    await takeOne(pool)
    await clock.advance(60_000)
    driver.connection(1).lose()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is filled again when a returned connection was not fit to be kept', async () => {
    const { pool } = fixture({ min: 1, max: 5 })
    const lease = await takeOne(pool)
    void lease.connection.begin()
    await settled()
    lease.connection.next('statement', new Error('syntax'))
    await expect(lease.connection.statement()).rejects.toThrow('syntax')
    lease.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is filled again when one that had its day is found at the next borrow', async () => {
    // Jitter: the first lives a whole hour, the second 54 minutes.
    const jitters = [0, 1]
    const { pool, clock, driver } = fixture({ min: 2, max: 5 }, () => jitters.shift() ?? 0)
    const [first, second] = await take(pool, 2)
    await clock.advance(3_239_990)
    first?.release()
    second?.release()
    await clock.advance(15)
    const lease = await takeOne(pool)
    expect(lease.connection.id).toBe(1)
    expect(driver.connection(2).ended).toBe('closed')
    expect(counts(pool)).toEqual({ ...empty, leased: 1, idle: 1 })
  })

  it('is filled when the database is back, though nobody waits any more', async () => {
    const { pool, driver, clock } = fixture({ min: 2, max: 5, acquireTimeoutMs: 50 })
    driver.connects = refusal()
    const [waiting] = await ask(pool, 1)
    await clock.advance(50)
    expect(waiting?.state).toBe('rejected')
    await clock.advance(10_000)
    const whileDown = driver.attempts.length
    // Two at a time, at most every quarter of a second.
    expect(whileDown).toBeLessThanOrEqual(100)
    driver.connects = 'ok'
    await clock.advance(500)
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
  })

  it('0 opens nothing that nobody asked for', async () => {
    const { pool, driver } = fixture({ min: 0 })
    await takeOne(pool)
    driver.connection(1).lose()
    await settled()
    expect(driver.attempts).toHaveLength(1)
  })
})

describe('a burst on slow connects', () => {
  it('starts one connect for each caller, as far as there are places', async () => {
    const { pool, driver } = fixture({ min: 1, max: 4, overflow: 2 })
    driver.connects = 'deaf'
    await ask(pool, 3)
    expect(driver.pending).toHaveLength(3)
    await ask(pool, 50)
    expect(driver.pending).toHaveLength(6)
    expect(counts(pool)).toEqual({ ...empty, connecting: 6, waiting: 53 })
  })

  it('does not overshoot as connects arrive, fail and are awaited by others', async () => {
    const { pool, driver, clock } = fixture({ min: 2, max: 4, overflow: 2 })
    driver.connects = 'deaf'
    const asked = await ask(pool, 20)
    for (let turn = 0; turn < 40; turn++) {
      const [attempt] = driver.pending
      if (turn % 3 === 0) attempt?.fail()
      else attempt?.succeed()
      await clock.advance(20)
      const { idle, leased, connecting } = pool.stats()
      expect(idle + leased + connecting).toBeLessThanOrEqual(6)
      expect(driver.open.length + driver.pending.length).toBeLessThanOrEqual(6)
      if (turn % 5 === 0) asked.find(({ state }) => state === 'resolved')?.value.release()
    }
  })

  it('that is over before they arrive leaves no more than max', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 3, acquireTimeoutMs: 100 })
    driver.connects = 'deaf'
    await ask(pool, 5)
    await clock.advance(100)
    for (const attempt of driver.pending) attempt.succeed()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 2 })
    expect(driver.open).toHaveLength(2)
  })
})
