// A server that is not what it was: an old primary that speaks up late, and one that takes no writes.

import { describe, expect, it } from '@jest/globals'
import { ReadOnlyEndpointError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeAttempt } from '../testing/fake-driver.js'
import { type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const [a, b] = [
  { host: 'a', port: 5432 },
  { host: 'b', port: 5432 },
]

describe('an old primary', () => {
  it('F3: that answers a connect of before the new one was found is not taken for the primary', async () => {
    const held: FakeAttempt[] = []
    const { pool, driver, clock } = fixture(
      { max: 5, overflow: 0 },
      () => 0.5,
      {},
      (made) => {
        made.endpoints = [a, b]
        made.target = 'read-write'
        made.connects = (attempt) => (attempt.request.endpoint.host === 'a' ? held.push(attempt) : attempt.succeed())
      },
    )
    // Two that both begin with a server that stands still.
    const callers = [watch(pool.acquire()), watch(pool.acquire())]
    await clock.advance(300)
    const [first] = callers.filter(({ state }) => state === 'resolved')
    expect(first?.value.connection.endpoint).toEqual(b)
    // It goes on, and has not heard yet that it was replaced.
    for (const attempt of held) if (attempt.state === 'pending') attempt.succeed()
    await clock.advance(1_000)
    expect(callers.map(({ value }) => value.connection.endpoint)).toEqual([b, b])
    expect(driver.open.map(({ endpoint }) => endpoint)).toEqual([b, b])
    first?.value.release()
    await settled()
    expect(driver.open).toHaveLength(2)
  })
})

/** Its statements are refused. */
async function write({ pool }: Fixture): Promise<void> {
  await pool.transaction(() => Promise.reject(new ReadOnlyEndpointError('no writes here'))).catch(() => {})
}

describe('a server that takes no writes', () => {
  it('F3: and is asked to all the same is looked for anew now and then, and not with each of them', async () => {
    const scene = fixture(
      { max: 5, overflow: 0 },
      () => 0.5,
      {},
      ({ roles }) => roles.set('db.test', 'read-only'),
    )
    const { pool, driver, clock } = scene
    for (const lease of await take(pool, 3)) lease.release()
    for (let n = 0; n < 10; n++) await write(scene)
    // The three, and those that the first write and the look after it were given.
    expect(driver.connections.length).toBeLessThanOrEqual(4)
    const [made] = driver.open
    await clock.advance(500)
    await write(scene)
    await settled()
    expect(made?.open).toBe(false)
  })

  it('F3: since its connection was made: that is told, and all that lead there go', async () => {
    const scene = fixture({ max: 5, overflow: 0 })
    const { pool, driver } = scene
    const [first, second] = await take(pool, 2)
    first?.release()
    second?.release()
    const told = await eventsOf('moorings:endpoint:changed', async () => {
      driver.connection(2).role = 'read-only'
      await write(scene)
      await settled()
    })
    expect(told).toEqual([expect.objectContaining({ from: 'primary', to: 'read-only' })])
    expect(driver.open).toEqual([])
    expect((await takeOne(pool)).id).toBe(3)
  })
})
