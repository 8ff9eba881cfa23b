// A caller that holds a connection and waits for another one that can never come is told so, well before its timeout.

import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, SelfDeadlockError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { counts, empty, type FakeLease, type FakePool, fixture, takeOne } from '../testing/fixture.js'
import { gate } from '../testing/gate.js'
import { type Watched, watch } from '../testing/watch.js'

/** Nothing else sets a timer. */
const one = { max: 1, overflow: 0, acquireTimeoutMs: 30_000, idleTimeoutMs: 0, maxLifetimeMs: 0 }

/** Long enough to be found, and far from the timeout. */
const SOON_MS = 2_500

const secondInside: readonly (readonly [string, (pool: FakePool) => Promise<unknown>])[] = [
  ['pool.transaction()', (pool) => pool.transaction(() => pool.acquire())],
  ['pool.lease()', (pool) => pool.lease(() => pool.acquire())],
  [
    'a new transaction in a transaction',
    (pool) => pool.transaction(() => pool.transaction(() => 'never', { propagation: 'requiresNew' })),
  ],
  ['a savepoint', (pool) => pool.transaction((tx) => tx.savepoint(() => pool.lease(() => 'never')))],
  [
    'what the body awaits and starts',
    (pool) =>
      pool.lease(async () => {
        await settled()
        return Promise.all([new Promise((resolve) => setImmediate(() => resolve(pool.lease(() => 'never'))))])
      }),
  ],
]

describe('a second connection asked for while holding the only one', () => {
  it.each(secondInside)('inside %s is refused as a self-deadlock, long before the timeout', async (_, run) => {
    const { pool, clock } = fixture(one)
    const result = watch(run(pool))
    for (let turn = 0; turn < 3; turn++) await settled()
    await clock.advance(SOON_MS)
    expect(result.error).toBeInstanceOf(SelfDeadlockError)
    expect(result.error).toMatchObject({
      kind: 'acquire',
      retry: 'never',
      pool: { leased: 1, waiting: 1, max: 1, overflow: 0 },
      holders: [{ id: 1 }],
    })
    expect(String(result.error)).toContain('Inside a transaction, use the transaction')
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is no failure of the transaction if its body can do without', async () => {
    const { pool, clock, driver } = fixture(one)
    const result = watch(pool.transaction(() => pool.acquire().catch(() => 'without')))
    await clock.advance(SOON_MS)
    expect(result.value).toBe('without')
    expect(driver.connection(1).sent).toEqual(['begin', 'commit'])
  })

  it('counts as failed, not as a timeout', async () => {
    const { pool, clock } = fixture(one)
    const events = await eventsOf('moorings:acquire:failed', async () => {
      const result = watch(pool.lease(() => pool.acquire()))
      await clock.advance(SOON_MS)
      expect(result.state).toBe('rejected')
    })
    expect(events.map(({ error }) => error.name)).toEqual(['SelfDeadlockError'])
    expect(pool.stats()).toMatchObject({ failed: 1, timeouts: 0 })
  })

  it('leaves no timer behind', async () => {
    const { pool, clock } = fixture(one)
    const result = watch(pool.lease(() => pool.acquire()))
    await clock.advance(SOON_MS)
    expect(result.state).toBe('rejected')
    expect(clock.holding).toBe(0)
    await clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })

  it('ends by its own timeout if that is shorter', async () => {
    const { pool, clock } = fixture(one)
    const result = watch(pool.lease(() => pool.acquire({ timeoutMs: 200 })))
    await clock.advance(200)
    expect(result.error).toBeInstanceOf(AcquireTimeoutError)
    await clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })

  it('is found also by what holds a lease without a body of its own', async () => {
    const { pool, clock } = fixture(one)
    const lease = await takeOne(pool)
    const begin = async () => pool.holdFromHere(() => lease)
    const application = async () => {
      await begin()
      return pool.acquire()
    }
    const result = watch(application())
    await clock.advance(SOON_MS)
    expect(result.error).toBeInstanceOf(SelfDeadlockError)
  })
})

describe('no self-deadlock', () => {
  it('is a second connection that can be had', async () => {
    const { pool, clock } = fixture({ ...one, overflow: 1 })
    const result = watch(pool.lease(() => pool.lease(({ connection }) => connection.id)))
    await clock.advance(SOON_MS)
    expect(result.value).toBe(2)
  })

  it('is one asked for after the first was given back', async () => {
    const { pool, clock } = fixture(one)
    const result = watch(
      pool.lease(async (lease) => {
        lease.release()
        return pool.lease(({ connection }) => connection.id)
      }),
    )
    await clock.advance(SOON_MS)
    expect(result.value).toBe(1)
  })

  it('is one of another pool', async () => {
    const [first, second] = [fixture(one), fixture(one)]
    const holder = await takeOne(second.pool)
    const result = watch(first.pool.lease(() => second.pool.acquire()))
    await second.clock.advance(SOON_MS)
    expect(result.state).toBe('pending')
    holder.release()
    await settled()
    expect(result.state).toBe('resolved')
  })

  it('is one that the holder does not wait for: it goes on working, and then gives back', async () => {
    const { pool, clock } = fixture(one)
    let side: Watched<FakeLease> | undefined
    const result = watch(
      pool.transaction(async ({ connection }) => {
        side = watch(pool.acquire())
        for (let turn = 0; turn < 20; turn++) {
          await connection.statement()
          await new Promise<void>((resolve) => clock.setTimer(resolve, 700))
        }
        return 'committed'
      }),
    )
    await clock.advance(20 * 700)
    expect(result.value).toBe('committed')
    expect(side?.value.connection.id).toBe(1)
  })

  it('is known while a caller that waits for nothing holds a connection', async () => {
    const { pool, clock } = fixture({ ...one, max: 2 })
    const plain = await takeOne(pool)
    const result = watch(pool.lease(() => pool.lease(({ connection }) => connection.id)))
    await clock.advance(25_000)
    expect(result.state).toBe('pending')
    plain.release()
    await settled()
    expect(result.value).toBe(1)
  })

  it('is known while another holder waits for nothing', async () => {
    const { pool, clock } = fixture({ ...one, max: 2 })
    const { open, opened } = gate()
    const other = watch(pool.transaction(() => opened))
    const result = watch(pool.transaction(() => pool.lease(({ connection }) => connection.id)))
    await clock.advance(25_000)
    expect(result.state).toBe('pending')
    open()
    await settled()
    expect([other.state, result.value]).toEqual(['resolved', 1])
  })

  it('is known while a connect is under way', async () => {
    const { pool, clock, driver } = fixture({ ...one, max: 2, connectTimeoutMs: 20_000 })
    const { open, opened } = gate()
    const result = watch(
      pool.lease(async () => {
        driver.connects = 'deaf'
        await opened
        return pool.lease(({ connection }) => connection.id)
      }),
    )
    await settled()
    open()
    await clock.advance(15_000)
    expect(result.state).toBe('pending')
    driver.attempt(2).succeed()
    await settled()
    expect(result.value).toBe(2)
  })

  it('is known while a connect that failed is tried again', async () => {
    const { pool, clock, driver } = fixture({ ...one, overflow: 1 })
    const result = watch(
      pool.lease(() => {
        driver.connects = refusal()
        return pool.lease(({ connection }) => connection.id)
      }),
    )
    await clock.advance(10_000)
    expect(result.state).toBe('pending')
    driver.connects = 'ok'
    await clock.advance(1_000)
    expect(result.value).toBe(2)
  })

  it('is known while a connection is made fit again after its return', async () => {
    const { pool, clock, driver } = fixture({ ...one, max: 2 })
    const plain = await takeOne(pool)
    await plain.connection.begin()
    plain.connection.next('reset', 'held')
    const result = watch(pool.lease(() => pool.lease(({ connection }) => connection.id)))
    await settled()
    plain.release()
    await clock.advance(4_500)
    expect(result.state).toBe('pending')
    driver.connection(1).held('reset').ok()
    await settled()
    expect(result.value).toBe(1)
  })

  it('is left when the second caller has given up by its signal: no timer is', async () => {
    const { pool, clock } = fixture(one)
    const abort = new AbortController()
    const result = watch(pool.lease(() => pool.acquire({ signal: abort.signal })))
    await clock.advance(300)
    abort.abort()
    await settled()
    expect(result.error).toMatchObject({ name: 'AcquireAbortedError' })
    await clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })
})
