// Closing in the middle of something, and with everything broken at once.

import { afterEach, describe, expect, it } from '@jest/globals'
import { listening } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, fixture, take } from '../testing/fixture.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { type Watched, watch } from '../testing/watch.js'

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('close from inside a listener', () => {
  it.each(['moorings:connection:opened', 'moorings:connection:closed', 'moorings:connect:failed'] as const)(
    'to %s leaves nothing',
    async (name) => {
      const setup = fixture({ min: 2, max: 2, overflow: 0, maxLifetimeMs: 60_000 })
      const { pool, driver, clock } = setup
      let closed: Watched<void> | undefined
      const close = () => {
        closed ??= watch(pool.close())
      }
      if (name !== 'moorings:connection:opened') await pool.start()
      await clock.advance(30_000)
      if (name === 'moorings:connect:failed') driver.connects = refusal()
      await listening(name, close, async () => {
        const asked = await ask(pool, 3)
        for (const { state, value } of asked.filter(({ state }) => state === 'resolved')) {
          expect(state).toBe('resolved')
          value.release()
        }
        await clock.advance(60_000)
      })
      expect(closed?.state).toBe('resolved')
      await expectNothingLeft(setup)
    },
  )

  it('to a connection that has just arrived waits for its goodbye too', async () => {
    const setup = fixture({ closeTimeoutMs: 500 })
    const { pool, driver, clock } = setup
    driver.always('close', 'held')
    let closed: Watched<void> | undefined
    const close = () => {
      closed = watch(pool.close())
    }
    await listening('moorings:connection:opened', close, async () => {
      await ask(pool, 1)
    })
    expect(closed?.state).toBe('pending')
    await clock.advance(500)
    expect(closed?.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it('to a connection that had its day opens no new one for min', async () => {
    // Jitter: the first lives a minute, the second an hour.
    const jitters = [1 - 1 / 60, 0]
    const random = () => jitters.shift() ?? 0
    const setup = fixture({ min: 1, max: 2, lifetimeJitter: 1, maxLifetimeMs: 3_600_000, idleTimeoutMs: 0 }, random)
    const { pool, driver, clock } = setup
    for (const lease of await take(pool, 2)) lease.release()
    driver.connection(2).next('ping', new Error('no'))
    clock.stall(61_000)
    const attempts = driver.attempts.length
    let closed: Watched<void> | undefined
    const close = ({ reason }: { reason: string }) => {
      if (reason === 'lifetime') closed = watch(pool.close())
    }
    await listening('moorings:connection:closed', close, async () => {
      await ask(pool, 1)
    })
    expect(closed?.state).toBe('resolved')
    expect(driver.attempts).toHaveLength(attempts)
    await expectNothingLeft(setup)
  })
})

describe('nothing becomes an unhandled rejection', () => {
  it('while a database dies under a busy pool and the pool is closed', async () => {
    const setup = fixture({ min: 3, max: 3, overflow: 2, connectTimeoutMs: 100, closeTimeoutMs: 100 })
    const { pool, driver, clock } = setup
    const leases = await take(pool, 5)
    leases[0]?.release()
    leases[1]?.release()
    await leases[2]?.connection.begin()
    driver.connection(3).next('reset', 'held')
    leases[2]?.release()
    driver.connection(4).always('close', new Error('EPIPE'))
    leases[3]?.release()
    driver.connects = 'deaf'
    for (const connection of driver.connections) connection.lose()
    await clock.advance(5_000)
    driver.connects = refusal()
    await clock.advance(5_000)
    for (const attempt of driver.pending) attempt.fail(refusal('much too late'))
    await pool.close()
    await expectNothingLeft(setup)
  })
})
