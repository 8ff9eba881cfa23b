// Corners of suspension, leaks, scaling and health, each once found broken.

import { describe, expect, it } from '@jest/globals'
import { ConnectError } from '../errors.js'
import { eventsOf, listening } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, fixture, take, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'
import { applicationFrame } from './stacks.js'

const one = { max: 1, overflow: 0 }

describe('suspension', () => {
  it('of a pool that was never used opens nothing', async () => {
    const { pool, driver } = fixture({ min: 2 })
    pool.suspend()
    await settled()
    expect(driver.attempts).toHaveLength(0)
  })

  it('that a listener ends at once leaves no limit behind', async () => {
    const { pool, clock } = fixture(one)
    await takeOne(pool)
    await listening(
      'moorings:pool:suspended',
      () => pool.resume(),
      () => pool.suspend({ refuseAfterMs: 100 }),
    )
    const waiting = watch(pool.acquire())
    await clock.advance(200)
    expect(waiting.state).toBe('pending')
  })

  it('refuses a start at once', async () => {
    const { pool } = fixture({ min: 2 })
    pool.suspend()
    await expect(pool.start()).rejects.toMatchObject({ name: 'PoolSuspendedError' })
  })

  it('that ends ends a drain, too', async () => {
    const { pool } = fixture(one)
    const lease = await takeOne(pool)
    const drained = watch(pool.drain())
    pool.resume()
    await settled()
    expect(drained.value).toBe(false)
    lease.release()
  })

  it('does not count as waiting for a connection', async () => {
    const { pool, clock } = fixture(one)
    await pool.start()
    pool.suspend()
    const [waiting] = await ask(pool, 1)
    await clock.advance(50_000)
    pool.resume()
    await settled()
    waiting?.value.release()
    expect(pool.stats().wait.max).toBe(0)
    expect((await pool.health()).status).toBe('healthy')
  })
})

describe('a hung sign of life of one that rests', () => {
  it('does not hold up a caller while another rests', async () => {
    const options = { min: 2, max: 2, overflow: 0, keepaliveMs: 60_000, validateAfterIdleMs: 2 ** 31 - 1 }
    const { pool, driver, clock } = fixture(options)
    await pool.start()
    await clock.advance(30_000)
    const lease = await takeOne(pool)
    lease.release()
    driver.connection(1).always('ping', 'held')
    await clock.advance(30_000)
    expect(driver.connection(1).waiting).toHaveLength(1)
    await clock.advance(100)
    const asked = watch(pool.acquire())
    await settled()
    expect(asked.value.connection.id).toBe(2)
  })
})

describe('a lease', () => {
  it('that is taken back is no leak any more, and the server is told to stop', async () => {
    const { pool, driver, clock } = fixture({ ...one, leakAfterMs: 60_000, reclaimLeaks: true })
    const lease = await takeOne(pool)
    driver.connection(1).next('statement', 'held')
    const running = watch(lease.connection.statement())
    await clock.advance(60_000)
    expect(running.state).toBe('rejected')
    expect(driver.connection(1).sent).toEqual(['statement', 'cancel'])
    expect(pool.stats().leaks).toEqual({ now: 0, found: 1, reclaimed: 1 })
  })

  it('that is lost has been in use until then, and no longer', async () => {
    const { pool, clock } = fixture({ min: 2, max: 10, overflow: 0, scaling: {} })
    const [lost] = await take(pool, 2)
    const events = await eventsOf('moorings:pool:scaled', async () => {
      await clock.advance(60_000)
      lost?.connection.lose()
      await clock.advance(60_000)
      lost?.release()
      await clock.advance(60_000)
    })
    expect(events).toMatchObject([
      { from: 2, to: 3, utilisation: 1 },
      { from: 3, to: 2, utilisation: 1 / 3 },
    ])
  })

  it('that is lost is told as ended then, once', async () => {
    const { pool, driver } = fixture()
    const lease = await takeOne(pool)
    const events = await eventsOf('moorings:lease:returned', () => {
      driver.connection(1).lose()
      lease.release()
    })
    expect(events).toHaveLength(1)
  })

  it('that was evicted does not count as lost', async () => {
    const { pool } = fixture()
    await take(pool, 2)
    pool.evict()
    expect(pool.stats()).toMatchObject({ lost: 0, closed: 2 })
  })
})

describe('a transaction whose statement takes long', () => {
  it('is not taken for one that stands still', async () => {
    const { pool, clock } = fixture(one)
    const aside: ReturnType<typeof watch>[] = []
    void pool.transaction(async ({ connection }) => {
      aside.push(watch(pool.acquire()))
      connection.next('statement', 'held')
      await connection.statement()
    })
    await clock.advance(10_000)
    expect(aside.map(({ state }) => state)).toEqual(['pending'])
  })
})

describe('health', () => {
  it('asks nothing more once it has answered', async () => {
    const options = { min: 1, max: 2, overflow: 0, validationTimeoutMs: 9_000 }
    const { pool, driver, clock } = fixture(options, () => 0, { health: { everyMs: 0, timeoutMs: 1_000 } })
    await pool.start()
    driver.connection(1).always('ping', 'held')
    const health = watch(pool.health())
    await clock.advance(1_000)
    expect(health.value.status).toBe('unhealthy')
    driver.connects = 'deaf'
    await clock.advance(20_000)
    expect(pool.stats().timeouts).toBe(0)
  })

  it.each([
    ['whose queue is full', { ...one, maxWaiters: 0 }],
    ['all of which is lent', one],
  ])('of a pool %s is degraded: the database may be well', async (_, options) => {
    const { pool, clock } = fixture(options)
    await takeOne(pool)
    const health = watch(pool.health())
    await clock.advance(5_000)
    expect(health.value).toMatchObject({ status: 'degraded' })
    expect(health.value.reasons).toHaveLength(1)
  })

  it('stays unhealthy in the background while no connection can be made', async () => {
    const { pool, driver, clock } = fixture({ ...one, acquireTimeoutMs: 100 }, () => 0, { health: { everyMs: 30_000 } })
    driver.connects = new ConnectError('down')
    await ask(pool, 1)
    for (let round = 0; round < 3; round++) {
      await clock.advance(31_000)
      expect(pool.stats().health).toBe('unhealthy')
    }
  })
})

describe('the place of a taking', () => {
  it.each([
    ['async /srv/app.js:1:2', '/srv/app.js:1:2'],
    ['Page (/srv/app/(shop)/page.tsx:3:9)', '/srv/app/(shop)/page.tsx:3:9'],
    ['async Promise.all (index 0)', undefined],
    ['async node:internal/process:1:2', undefined],
  ])('is read from %s', (frame, place) => {
    expect(applicationFrame(`Error\n    at ${frame}`)).toBe(place)
  })
})
