// Asking servers where their log is, while some of them hang or are busy: on fake drivers and a fake clock.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it } from '@jest/globals'
import { QueueFullError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { checkedScene, type FakeServer, type ReplicatedScene, replicatedScene } from '../testing/replicated-scene.js'
import { watch } from '../testing/watch.js'

function states({ replicas }: ReplicatedScene) {
  return replicas.stats().replicas.map(({ state }) => state)
}

function listening(hear: (change: { readonly to: string }) => void): () => void {
  const heard = (message: unknown) => {
    if (typeof message === 'object' && message !== null && 'to' in message) hear({ to: String(message.to) })
  }
  subscribe('moorings:replica:changed', heard)
  return () => unsubscribe('moorings:replica:changed', heard)
}

/** Which states the replicas were in meanwhile. */
async function seenFor(scene: ReplicatedScene, ms: number): Promise<Set<string>[]> {
  const seen = states(scene).map(() => new Set<string>())
  for (let spent = 0; spent < ms; spent += 100) {
    await scene.clock.advance(100)
    for (const [at, state] of states(scene).entries()) seen[at]?.add(state)
  }
  return seen
}

describe('a replica that hangs', () => {
  it('F2: keeps nobody from asking the others, which do not seem to lag for it', async () => {
    const scene = await checkedScene({
      pool: { validateAfterIdleMs: 3_600_000, validationTimeoutMs: 2_000 },
      options: { maxLagMs: 500, checkEveryMs: 250 },
    })
    const [hung] = scene.servers as [FakeServer]
    for (const connection of hung.driver.open) connection.always('statement', 'held')
    hung.driver.connects = 'deaf'
    const [first, second] = await seenFor(scene, 10_000)
    expect(second).toEqual(new Set(['fit']))
    expect(first).toContain('down')
  })
})

describe('a process that may end while connections idle', () => {
  it.each(['primary', 'replica'])(
    'F2: is not kept for ever by the questions about a %s in a black hole',
    async (which) => {
      const scene = await checkedScene({ count: 1, pool: { allowExitOnIdle: true, validateAfterIdleMs: 3_600_000 } })
      const [replica] = scene.servers as [FakeServer]
      const { driver, pool } = which === 'primary' ? scene.primary : replica
      driver.connects = 'obedient'
      for (const connection of driver.open) connection.lose()
      await scene.clock.advance(3_000)
      let free = 0
      for (let spent = 0; spent < 3 * pool.resilience.pool.connectTimeoutMs; spent += 100) {
        await scene.clock.advance(100)
        if (scene.clock.holding === 0) free++
      }
      expect(free).toBeGreaterThan(0)
      driver.connects = 'ok'
      await scene.clock.advance(pool.resilience.pool.connectTimeoutMs + 2_000)
      expect(states(scene)).toEqual(['fit'])
    },
  )
})

describe('a primary whose pool is suspended', () => {
  it('F3: keeps nobody from finding out that a replica hangs, and that another lags', async () => {
    const scene = await checkedScene({ pool: { validateAfterIdleMs: 3_600_000, validationTimeoutMs: 1_000 } })
    const [hung] = scene.servers as [FakeServer]
    scene.primary.pool.suspend()
    for (const connection of hung.driver.open) connection.always('statement', 'held')
    hung.driver.connects = 'deaf'
    await scene.clock.advance(4_500)
    expect(states(scene)).toEqual(['down', 'fit'])
    const told: string[] = []
    const stop = listening(({ to }) => told.push(to))
    await scene.clock.advance(4_000)
    stop()
    expect(states(scene)).toEqual(['down', 'lagging'])
    expect(told).toEqual(['lagging'])
    scene.primary.pool.resume()
    await scene.clock.advance(2_000)
    expect(states(scene)).toEqual(['down', 'fit'])
  })
})

describe('a pool that is busy', () => {
  it('F6: is asked beside it: while others hold all connections of the primary, no replica seems to lag', async () => {
    const scene = await checkedScene({ count: 1, pool: { acquireTimeoutMs: 60_000 } })
    const { driver, pool } = scene.primary
    const leases = [await pool.acquire(), await pool.acquire()]
    expect(await seenFor(scene, 20_000)).toEqual([new Set(['fit'])])
    // One at a time, and closed at once.
    expect(driver.open).toHaveLength(2)
    expect(pool.stats().connections).toHaveLength(2)
    for (const lease of leases) lease.release()
  })

  it('F6: nor those that hold all connections of the replica, and it is not left for the primary', async () => {
    const scene = await checkedScene({ count: 1, pool: { acquireTimeoutMs: 60_000 } })
    const read = () => scene.replicas.acquire({ brief: true })
    const leases = [await read(), await read()]
    const waiting = watch(read())
    expect(await seenFor(scene, 20_000)).toEqual([new Set(['fit'])])
    expect(waiting.state).toBe('pending')
    expect(scene.replicas.stats().fellBack).toBe(0)
    for (const lease of leases) lease.release()
  })

  it('F6: nor is one down for which so many wait that nobody else may', async () => {
    const scene = await checkedScene({ count: 1, pool: { acquireTimeoutMs: 60_000, maxWaiters: 1 } })
    const read = () => scene.replicas.acquire({ brief: true })
    const leases = [await read(), await read()]
    const waiting = watch(read())
    expect(await seenFor(scene, 20_000)).toEqual([new Set(['fit'])])
    await expect(read()).rejects.toThrow(QueueFullError)
    expect(scene.replicas.stats().fellBack).toBe(0)
    expect(waiting.state).toBe('pending')
    for (const lease of leases) lease.release()
  })

  it('F2: is down when nothing is heard of it on another connection either', async () => {
    const scene = await checkedScene({ count: 1, pool: { validationTimeoutMs: 1_000 } })
    const [hung] = scene.servers as [FakeServer]
    const leases = [await hung.pool.acquire(), await hung.pool.acquire()]
    hung.driver.connects = 'deaf'
    await scene.clock.advance(4_000)
    expect(states(scene)).toEqual(['down'])
    hung.driver.connects = 'ok'
    await scene.clock.advance(4_000)
    expect(states(scene)).toEqual(['fit'])
    for (const lease of leases) lease.release()
  })

  it('F2: is not what has no connection at all: who finds its queue full reads elsewhere', async () => {
    const scene = replicatedScene({ count: 1, pool: { maxWaiters: 1 }, options: { maxLagMs: 0, checkEveryMs: 60_000 } })
    const [hung] = scene.servers as [FakeServer]
    hung.driver.connects = 'deaf'
    const read = () => watch(scene.replicas.acquire({ brief: true }))
    // Two of them for the connections under way.
    const waiting = [read(), read(), read()]
    const others = [read(), read()]
    await scene.clock.advance(10)
    expect(waiting.map(({ state }) => state)).toEqual(['pending', 'pending', 'pending'])
    for (const { value } of others) expect(value.connection.endpoint.host).toBe('primary')
  })

  it('F6: lags when it cannot be asked beside it either, as the server has no room', async () => {
    const scene = await checkedScene({ count: 1 })
    const [server] = scene.servers as [FakeServer]
    const leases = [await server.pool.acquire(), await server.pool.acquire()]
    server.driver.connects = refusal('too many clients')
    await scene.clock.advance(10_000)
    expect(states(scene)).toEqual(['lagging'])
    for (const lease of leases) lease.release()
  })

  it('F2: leaves no connection that it was asked on when it is closed', async () => {
    const scene = await checkedScene({ count: 1 })
    const { driver, pool } = scene.primary
    const leases = [await pool.acquire(), await pool.acquire()]
    driver.connects = (attempt) => attempt.succeed().always('statement', 'held')
    await scene.clock.advance(3_500)
    expect(driver.open).toHaveLength(3)
    const closed = watch(scene.replicas.close())
    await settled()
    expect(closed.state).toBe('resolved')
    expect(driver.open).toHaveLength(2)
    for (const lease of leases) lease.release()
  })
})
