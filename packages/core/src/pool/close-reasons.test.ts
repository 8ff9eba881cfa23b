// Why a connection left: each reason there is, counted and told once. One more does not compile without its scene.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '../errors.js'
import type { CloseReason } from '../events.js'
import type { PoolOptions, ResilienceOptions } from '../options.js'
import { namesIn } from '../testing/event-scenes.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { type FakeLease, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'

const minute = 60_000

interface Scene {
  readonly options?: PoolOptions
  readonly others?: Omit<ResilienceOptions, 'pool'>
  /** Makes connection 1, which is lent, leave for this reason. */
  readonly run: (setup: Fixture, lease: FakeLease) => Promise<void> | void
  /** Whether the event tells an error: it did not go by our own will. */
  readonly error: boolean
}

const scenes: Readonly<Record<CloseReason, Scene>> = {
  lost: { run: (_, { connection }) => connection.lose(), error: true },
  destroyed: { run: (_, { connection }) => connection.destroy(new ConnectionLostError('enough')), error: true },
  overflow: {
    options: { max: 1, overflow: 1 },
    async run({ pool }, lease) {
      await takeOne(pool)
      lease.release()
    },
    error: false,
  },
  lifetime: {
    options: { maxLifetimeMs: minute },
    async run({ clock }, lease) {
      await clock.advance(minute)
      lease.release()
    },
    error: false,
  },
  uses: { options: { maxUses: 1 }, run: (_, lease) => lease.release(), error: false },
  worn: {
    run(_, lease) {
      lease.connection.worn = true
      lease.release()
    },
    error: false,
  },
  idle: {
    options: { idleTimeoutMs: minute },
    async run({ clock }, lease) {
      lease.release()
      await clock.advance(minute)
    },
    error: false,
  },
  epoch: {
    run({ pool }, lease) {
      pool.invalidate()
      lease.release()
    },
    error: false,
  },
  evicted: { run: ({ pool }) => void pool.evict(), error: true },
  unfit: {
    async run(_, lease) {
      lease.connection.next('statement', 'held')
      lease.connection.statement().catch(() => {})
      lease.release()
    },
    error: true,
  },
  invalid: {
    options: { keepaliveMs: minute },
    async run({ driver, clock }, lease) {
      driver.connection(1).always('ping', new Error('no sign of life'))
      lease.release()
      await clock.advance(minute)
    },
    error: true,
  },
  hook: {
    others: { hooks: { afterRelease: () => 'destroy' } },
    run: (_, lease) => lease.release(),
    error: false,
  },
  reclaimed: {
    options: { leakAfterMs: minute, reclaimLeaks: true },
    run: ({ clock }) => clock.advance(minute),
    error: true,
  },
  closing: {
    async run({ pool }, lease) {
      lease.release()
      await pool.close()
    },
    error: false,
  },
}

describe('a connection that leaves', () => {
  it.each(namesIn(scenes))('is counted and told once, as %s', async (reason) => {
    const { options, others, run, error } = scenes[reason]
    const setup = fixture(options, () => 0, others)
    const lease = await takeOne(setup.pool)
    const events = await eventsOf('moorings:connection:closed', async () => {
      await setup.clock.advance(1_000)
      await run(setup, lease)
      await settled()
    })
    expect(events).toMatchObject([{ ...setup.pool.identity, id: 1, reason, uses: 1 }])
    expect(events[0]?.error).toEqual(error ? expect.any(Error) : undefined)
    const { closed, closedBy } = setup.pool.stats()
    expect(closed).toBe(1)
    expect(Object.entries(closedBy).filter(([, count]) => count > 0)).toEqual([[reason, 1]])
    expect(Object.keys(closedBy).sort()).toEqual(namesIn(scenes).sort())
  })

  it('is counted by reason beside the others', async () => {
    const { pool, clock } = fixture({ max: 3, overflow: 1 })
    const leases = await take(pool, 4)
    await clock.advance(1_000)
    leases[0]?.connection.lose()
    leases[1]?.connection.lose()
    pool.evict({ id: 3 })
    leases[3]?.release()
    await pool.close({ timeoutMs: 0 })
    const { created, closed, closedBy } = pool.stats()
    expect([created, closed]).toEqual([4, 4])
    expect(closedBy).toMatchObject({ lost: 2, evicted: 1, closing: 1 })
  })
})
