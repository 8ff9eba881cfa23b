// Every event about callers and what they hold, where it is published and with what. One more does not compile without
// its scene.

import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, QueueFullError } from '../errors.js'
import { type CallerEvent, namesIn, play, type Scenes } from '../testing/event-scenes.js'
import { settled } from '../testing/fake-clock.js'
import { ask, type Fixture, take, takeOne } from '../testing/fixture.js'

const one = { max: 1, overflow: 0 }
const minute = 60_000
const stack = expect.stringContaining('at ')

/** The same lease is a leak after a minute, and comes back after two. */
async function leak({ pool, clock }: Fixture): Promise<void> {
  const [lease, short] = await take(pool, 2)
  await clock.advance(minute - 1)
  short?.release()
  await clock.advance(minute + 1)
  lease?.release()
}

const scenes: Scenes<CallerEvent> = {
  'moorings:lease:taken': {
    options: one,
    async run({ pool, clock }) {
      const lease = await takeOne(pool)
      await ask(pool, 1)
      await clock.advance(20)
      lease.release()
      await settled()
      return [
        { id: 1, waitedMs: 0 },
        { id: 1, waitedMs: 20 },
      ]
    },
  },
  'moorings:lease:returned': {
    async run({ pool, driver, clock }) {
      const [first, second] = await take(pool, 2)
      await clock.advance(500)
      driver.connection(2).lose()
      second?.release()
      first?.release()
      first?.release()
      return [
        { id: 2, heldMs: 500 },
        { id: 1, heldMs: 500 },
      ]
    },
  },
  'moorings:acquire:queued': {
    options: one,
    async run({ pool }) {
      const lease = await takeOne(pool)
      lease.release()
      await ask(pool, 3)
      // The first had to wait for its connection to be made, the second found it.
      return [{ waiting: 1 }, { waiting: 1 }, { waiting: 2 }]
    },
  },
  'moorings:acquire:failed': {
    options: { ...one, maxWaiters: 1, acquireTimeoutMs: 80 },
    async run({ pool, clock }) {
      const lease = await takeOne(pool)
      const asked = await ask(pool, 2)
      await clock.advance(80)
      lease.release()
      const [late, refused] = asked.map(({ error }) => error)
      expect([late, refused]).toEqual([expect.any(AcquireTimeoutError), expect.any(QueueFullError)])
      const errorOf = (name: string) => expect.objectContaining({ name })
      return [
        { error: errorOf('QueueFullError'), waitedMs: 0 },
        { error: errorOf('AcquireTimeoutError'), waitedMs: 80 },
      ]
    },
  },
  'moorings:leak:found': {
    options: { leakAfterMs: minute },
    async run(setup) {
      await leak(setup)
      return [{ id: 1, heldMs: minute, stack }]
    },
  },
  'moorings:leak:returned': {
    options: { leakAfterMs: minute },
    async run(setup) {
      await leak(setup)
      return [{ id: 1, heldMs: 2 * minute, stack }]
    },
  },
  'moorings:leak:reclaimed': {
    options: { leakAfterMs: minute, reclaimLeaks: true },
    async run(setup) {
      await leak(setup)
      return [{ id: 1, heldMs: minute, stack }]
    },
  },
}

describe('a pool tells', () => {
  it.each(namesIn(scenes))('%s when it happens, once, with what belongs to it', (name) => play(scenes, name))
})
