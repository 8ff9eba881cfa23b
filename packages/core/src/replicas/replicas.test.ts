// Where reads go, on fake drivers and a fake clock: which replica, when another one, and when the primary.

import { describe, expect, it } from '@jest/globals'
import { AcquireAbortedError, AcquireTimeoutError, PoolClosedError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import type { FakeLease } from '../testing/fixture.js'
import { checkedScene, type FakeServer, type ReplicatedScene, replicatedScene } from '../testing/replicated-scene.js'
import { watch } from '../testing/watch.js'

const brief = { brief: true } as const

/** As a single statement has its connection. */
async function read({ replicas }: ReplicatedScene): Promise<FakeLease> {
  return replicas.tryAcquire() ?? replicas.acquire(brief)
}

/** The server that a read goes to, as its connection's endpoint tells. */
async function readAt(scene: ReplicatedScene): Promise<string> {
  const lease = await read(scene)
  const { host } = lease.connection.endpoint
  lease.release()
  return host
}

function states({ replicas }: ReplicatedScene): string[] {
  return replicas.stats().replicas.map(({ state }) => state)
}

/** Its connections are gone, and no new one is to be had. */
function crash({ driver }: FakeServer): void {
  driver.connects = refusal()
  for (const connection of driver.open) connection.lose()
}

describe('reads', () => {
  it('go to the replicas in turn', async () => {
    const scene = await checkedScene()
    const hosts = []
    for (let count = 0; count < 4; count++) hosts.push(await readAt(scene))
    expect(new Set(hosts.slice(0, 2))).toEqual(new Set(['replica 1', 'replica 2']))
    expect(hosts.slice(2)).toEqual(hosts.slice(0, 2))
    expect(scene.replicas.stats()).toMatchObject({ fellBack: 0, replicas: [{ reads: 2 }, { reads: 2 }] })
  })

  it('go to the replicas in turn as well when none of them has a connection that is fresh', async () => {
    const scene = await checkedScene({ options: { checkEveryMs: 60_000 } })
    const hosts = []
    for (let count = 0; count < 4; count++) {
      await scene.clock.advance(500)
      hosts.push(await readAt(scene))
    }
    expect(hosts).toEqual(['replica 1', 'replica 2', 'replica 1', 'replica 2'])
  })

  it('go to the replica that has less to do', async () => {
    const scene = await checkedScene()
    const first = await read(scene)
    const other = first.connection.endpoint.host === 'replica 1' ? 'replica 2' : 'replica 1'
    for (let count = 0; count < 4; count++) expect(await readAt(scene)).toBe(other)
  })

  it('go to the primary until it is known how much the replicas show', async () => {
    const scene = replicatedScene()
    expect(await readAt(scene)).toBe('primary')
    expect(states(scene)).toEqual(['unchecked', 'unchecked'])
    await scene.clock.advance(1)
    expect(states(scene)).toEqual(['fit', 'fit'])
    expect(await readAt(scene)).toMatch('replica')
    expect(scene.replicas.stats().fellBack).toBe(1)
  })

  it('go to the replicas from the first moment on where any lag will do', async () => {
    const scene = replicatedScene({ options: { maxLagMs: 0 } })
    scene.primary.driver.connects = refusal()
    expect(await readAt(scene)).toMatch('replica')
  })

  it('hold nothing but a single statement: whatever is held is the primary’s', async () => {
    const scene = await checkedScene()
    const lease = await scene.replicas.acquire()
    expect(lease.connection.endpoint.host).toBe('primary')
  })

  it('of what a standby cannot carry out go to the primary', async () => {
    const { replicas, primary } = await checkedScene()
    expect(replicas.lenderOf('select 1')).toBe(replicas)
    expect(replicas.lenderOf('update users set id = 2')).toBe(primary.pool)
  })

  it('inside a transaction are a part of that, where what is asked of the root database is', async () => {
    const { replicas, primary } = await checkedScene()
    await primary.pool.transaction(
      async (scope) => {
        expect(replicas.joinable?.scope).toBe(scope)
      },
      {},
      { joined: true },
    )
    expect(replicas.joinable).toBeUndefined()
  })

  it('inside a session stay on its connection', async () => {
    const scene = await checkedScene()
    await scene.primary.pool.session(async () => {
      expect(await readAt(scene)).toBe('primary')
      expect(scene.replicas.lenderOf('select 1')).toBe(scene.replicas)
    })
    expect(await readAt(scene)).toMatch('replica')
    // That is not for want of a replica.
    expect(scene.replicas.stats()).toMatchObject({ fellBack: 0, afterWrites: 0 })
  })
})

describe('a replica that is down', () => {
  it('F3: is left out as soon as a connect has failed, and taken back when a check has reached it', async () => {
    const scene = await checkedScene()
    const [down, up] = scene.servers as [FakeServer, FakeServer]
    await scene.clock.advance(1_500)
    const events = await eventsOf('moorings:replica:changed', async () => {
      crash(down)
      expect(await readAt(scene)).toBe('replica 2')
      await scene.clock.advance(3_000)
      expect(states(scene)).toEqual(['down', 'fit'])
      for (let count = 0; count < 4; count++) expect(await readAt(scene)).toBe('replica 2')
      down.driver.connects = 'ok'
      await scene.clock.advance(20_000)
      expect(states(scene)).toEqual(['fit', 'fit'])
    })
    expect(events.map(({ replica, from, to }) => [replica, from, to])).toEqual([
      ['replica 1', 'fit', 'down'],
      ['replica 1', 'down', 'fit'],
    ])
    crash(up)
    await scene.clock.advance(100)
    expect(await readAt(scene)).toBe('replica 1')
  })

  it('F3: that nobody has asked yet is waited for until its first connect fails, and no longer', async () => {
    const scene = replicatedScene({ count: 1, options: { maxLagMs: 0, checkEveryMs: 60_000 } })
    const [down] = scene.servers as [FakeServer]
    down.driver.connects = refusal()
    const lease = watch(read(scene))
    await scene.clock.advance(60)
    await settled()
    expect(lease.value.connection.endpoint.host).toBe('primary')
    // But for the check.
    expect(down.pool.stats().waiting).toBe(1)
  })

  it('F2: that swallows connects is waited for for a second, and no longer', async () => {
    const scene = replicatedScene({ count: 1, options: { maxLagMs: 0, checkEveryMs: 60_000 } })
    const [hung] = scene.servers as [FakeServer]
    hung.driver.connects = 'obedient'
    const lease = watch(read(scene))
    await scene.clock.advance(900)
    expect(lease.state).toBe('pending')
    await scene.clock.advance(200)
    await settled()
    expect(lease.value.connection.endpoint.host).toBe('primary')
  })

  it('F2: leaves the primary half of the time that the reader has', async () => {
    const scene = replicatedScene({ count: 1, options: { maxLagMs: 0, checkEveryMs: 60_000 } })
    const [hung] = scene.servers as [FakeServer]
    hung.driver.connects = 'obedient'
    const lease = watch(scene.replicas.acquire({ brief: true, timeoutMs: 400 }))
    await scene.clock.advance(300)
    await settled()
    expect(lease.value.connection.endpoint.host).toBe('primary')
  })

  it('F2: is one as well that does not answer the check, though it has connections', async () => {
    const scene = await checkedScene({ pool: { validateAfterIdleMs: 3_600_000 } })
    const [hung] = scene.servers as [FakeServer]
    for (const connection of hung.driver.open) connection.always('statement', 'held')
    await scene.clock.advance(4_000)
    expect(states(scene)[0]).toBe('down')
    for (let count = 0; count < 4; count++) expect(await readAt(scene)).toBe('replica 2')
  })

  it('F3: is one whose pool was suspended, until it is resumed', async () => {
    const scene = await checkedScene()
    const [first] = scene.servers as [FakeServer]
    first.pool.suspend()
    expect(states(scene)).toEqual(['down', 'fit'])
    expect(await readAt(scene)).toBe('replica 2')
    first.pool.resume()
    await scene.clock.advance(2_000)
    expect(states(scene)).toEqual(['fit', 'fit'])
  })

  it('F3: when all are, reads go to the primary', async () => {
    const scene = await checkedScene()
    for (const server of scene.servers) crash(server)
    const lease = watch(read(scene))
    await scene.clock.advance(200)
    expect(lease.value.connection.endpoint.host).toBe('primary')
    expect(scene.replicas.stats().fellBack).toBe(1)
  })

  it('F3: when the primary is down as well, the reader has its error within its own limit', async () => {
    const scene = await checkedScene()
    await scene.clock.advance(1_500)
    for (const server of [scene.primary, ...scene.servers]) crash(server)
    const lease = watch(scene.replicas.acquire({ brief: true, timeoutMs: 3_000 }))
    await scene.clock.advance(2_990)
    expect(lease.state).toBe('pending')
    await scene.clock.advance(20)
    expect(lease.error).toBeInstanceOf(AcquireTimeoutError)
  })

  it('F2: ends nobody’s patience: a reader that gives up is told so, and goes nowhere else', async () => {
    const scene = replicatedScene({ count: 1, options: { maxLagMs: 0, checkEveryMs: 60_000 } })
    const [hung] = scene.servers as [FakeServer]
    hung.driver.connects = 'obedient'
    const abort = new AbortController()
    const lease = watch(scene.replicas.acquire({ brief: true, signal: abort.signal }))
    await scene.clock.advance(100)
    abort.abort()
    await settled()
    expect(lease.error).toBeInstanceOf(AcquireAbortedError)
    expect(scene.replicas.stats().fellBack).toBe(0)
  })
})

describe('a replica that is busy', () => {
  it('is waited for: what is too much for the replicas is not given to the primary', async () => {
    const scene = await checkedScene({ count: 1, pool: { acquireTimeoutMs: 5_000 } })
    const leases = [await read(scene), await read(scene)]
    const patient = watch(read(scene))
    await scene.clock.advance(3_000)
    expect(patient.state).toBe('pending')
    leases[0]?.release()
    await settled()
    expect(patient.value.connection.endpoint.host).toBe('replica 1')
    const late = watch(read(scene))
    await scene.clock.advance(5_001)
    expect(late.error).toBeInstanceOf(AcquireTimeoutError)
    expect(scene.replicas.stats().fellBack).toBe(0)
    expect(scene.primary.pool.stats().acquired).toBeLessThan(20)
  })

  it('is not held to be down because its check had to wait', async () => {
    const scene = await checkedScene({ count: 1 })
    const leases = [await read(scene), await read(scene)]
    await scene.clock.advance(4_500)
    expect(states(scene)).toEqual(['fit'])
    for (const lease of leases) lease.release()
  })

  it('F3: and then crashes is not waited for any more', async () => {
    const scene = await checkedScene()
    const [first, second] = scene.servers as [FakeServer, FakeServer]
    const leases = await Promise.all(Array.from({ length: 4 }, () => read(scene)))
    const waiting = [watch(read(scene)), watch(read(scene))]
    await settled()
    crash(first)
    for (const lease of leases) if (lease.lost) lease.release()
    await scene.clock.advance(200)
    expect(first.pool.stats().waiting).toBe(0)
    for (const lease of leases) lease.release()
    await settled()
    for (const { value } of waiting) expect(value.connection.endpoint.host).toBe('replica 2')
    expect(second.driver.open).toHaveLength(2)
  })
})

describe('closing', () => {
  it('F3: closes all pools of replicas, leaves no timer, and ends a start under way', async () => {
    const scene = replicatedScene()
    scene.primary.driver.connects = 'obedient'
    const started = watch(scene.replicas.start())
    await scene.clock.advance(10)
    await Promise.all([scene.replicas.close(), scene.primary.pool.close()])
    expect(started.state).toBe('resolved')
    for (const { driver } of scene.servers) expect(driver.open).toEqual([])
    await scene.clock.advance(60_000)
    expect(scene.clock.pending).toBe(0)
    await expect(read(scene)).rejects.toThrow(PoolClosedError)
  })

  it('keeps no process alive: between two checks no timer holds it', async () => {
    const scene = await checkedScene()
    await scene.clock.advance(500)
    expect(scene.clock.holding).toBe(0)
  })
})
