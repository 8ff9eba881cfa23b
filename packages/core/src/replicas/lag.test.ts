// How much a replica shows, judged by where its log is, on fake drivers and a fake clock.

import { describe, expect, it } from '@jest/globals'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { checkedScene, type FakeServer, type ReplicatedScene, replicatedScene } from '../testing/replicated-scene.js'
import { watch } from '../testing/watch.js'
import { Positions } from './positions.js'

const one = { count: 1 } as const

function first({ replicas }: ReplicatedScene) {
  const [replica] = replicas.stats().replicas
  if (replica === undefined) throw new Error('there is no replica')
  return replica
}

function only({ servers }: ReplicatedScene): FakeServer {
  const [server] = servers
  if (server === undefined) throw new Error('there is no server')
  return server
}

/** The primary writes, and the replica is to have as much, or not. */
function write({ primary, servers }: ReplicatedScene, position: bigint, replayed = true): void {
  primary.driver.log = position
  for (const { driver } of servers) if (replayed) driver.log = position
}

describe('lag', () => {
  it('is none of a replica that has all there is, however long nothing is written', async () => {
    const scene = await checkedScene(one)
    await scene.clock.advance(600_000)
    expect(first(scene)).toMatchObject({ state: 'fit' })
    expect(first(scene).lagMs).toBeLessThan(1_000)
  })

  it('F3: is counted from the last moment of which the replica shows everything', async () => {
    const scene = await checkedScene(one)
    write(scene, 200n, false)
    await scene.clock.advance(5_500)
    expect(first(scene)).toMatchObject({ state: 'fit', lagMs: 5_500 })
    await scene.clock.advance(1_000)
    expect(first(scene)).toMatchObject({ state: 'lagging', lagMs: 6_500 })
    only(scene).driver.log = 200n
    await scene.clock.advance(1_000)
    expect(first(scene)).toMatchObject({ state: 'fit' })
  })

  it('F3: is that of the part it has, for a replica that follows at a distance', async () => {
    const scene = await checkedScene(one)
    for (let second = 1; second <= 20; second++) {
      scene.primary.driver.log = 100n + BigInt(second)
      only(scene).driver.log = 100n + BigInt(Math.max(0, second - 3))
      await scene.clock.advance(1_000)
    }
    const { lagMs = 0, state } = first(scene)
    expect(state).toBe('fit')
    expect(lagMs).toBeGreaterThan(2_900)
    expect(lagMs).toBeLessThan(5_000)
  })

  it('F3: grows while the primary is down, so that replicas are read from until what they show is too old', async () => {
    const scene = await checkedScene(one)
    scene.primary.driver.connects = refusal()
    for (const connection of scene.primary.driver.open) connection.lose()
    await scene.clock.advance(4_000)
    expect(first(scene).state).toBe('fit')
    await scene.clock.advance(4_000)
    expect(first(scene).state).toBe('lagging')
    scene.primary.driver.connects = 'ok'
    await scene.clock.advance(20_000)
    expect(first(scene).state).toBe('fit')
  })

  it('F3: is not known of a replica that has gone further than the new primary, and cannot follow it', async () => {
    const scene = await checkedScene(one)
    write(scene, 500n)
    await scene.clock.advance(2_000)
    scene.primary.driver.log = 450n
    await scene.clock.advance(1_000)
    expect(first(scene)).toMatchObject({ state: 'lagging', lagMs: undefined })
    await scene.clock.advance(10_000)
    expect(first(scene)).toMatchObject({ state: 'lagging' })
    // Also when that has gone further in the meantime.
    scene.primary.driver.log = 600n
    await scene.clock.advance(1_000)
    expect(first(scene)).toMatchObject({ state: 'lagging', lagMs: undefined })
    only(scene).driver.log = 600n
    await scene.clock.advance(1_000)
    expect(first(scene)).toMatchObject({ state: 'fit' })
  })

  it('F3: is told by the primary alone: a replica may well be asked a moment later, and have more', async () => {
    const scene = await checkedScene(one)
    for (let second = 1n; second <= 5n; second++) {
      scene.primary.driver.log = 100n + second * 10n
      only(scene).driver.log = 105n + second * 10n
      await scene.clock.advance(1_000)
      expect(first(scene)).toMatchObject({ state: 'fit' })
    }
  })

  it('F3: after a fail-over is counted by the log of the new primary, though that is behind the old one’s', async () => {
    const scene = await checkedScene(one)
    write(scene, 500n)
    await scene.clock.advance(2_000)
    // Promoted before it had all of it.
    write(scene, 450n)
    await scene.clock.advance(2_000)
    expect(first(scene)).toMatchObject({ state: 'fit' })
    write(scene, 460n, false)
    await scene.clock.advance(8_000)
    expect(first(scene)).toMatchObject({ state: 'lagging' })
  })

  it('of any length will do where it is not limited, and is told all the same', async () => {
    const scene = await checkedScene({ ...one, options: { maxLagMs: 0 } })
    write(scene, 200n, false)
    await scene.clock.advance(30_500)
    expect(first(scene)).toMatchObject({ state: 'fit', lagMs: 30_500 })
  })

  it('of a server that cannot tell is not known, and it is read from', async () => {
    const scene = await checkedScene(one)
    only(scene).driver.log = 'unknown'
    await scene.clock.advance(60_000)
    expect(first(scene)).toMatchObject({ state: 'fit', lagMs: undefined })
  })

  it('of any server is not known where the primary cannot tell', async () => {
    const scene = await checkedScene(one)
    scene.primary.driver.log = 'unknown'
    await scene.clock.advance(60_000)
    expect(first(scene)).toMatchObject({ state: 'fit', lagMs: undefined })
  })
})

describe('the first checks', () => {
  it('follow each other soon while the primary is written to, until the replicas show what was there at the first', async () => {
    const scene = replicatedScene(one)
    write(scene, 200n, false)
    const started = watch(scene.replicas.start())
    await scene.clock.advance(50)
    expect(first(scene).state).toBe('lagging')
    expect(started.state).toBe('pending')
    scene.primary.driver.log = 300n
    only(scene).driver.log = 250n
    await scene.clock.advance(100)
    await settled()
    expect(started.state).toBe('resolved')
    expect(first(scene).state).toBe('fit')
  })

  it('are told of when there have been enough to judge by', async () => {
    const scene = replicatedScene(one)
    write(scene, 200n, false)
    const events = await eventsOf('moorings:replica:changed', async () => {
      void scene.replicas.start()
      await scene.clock.advance(50)
      expect(first(scene).state).toBe('lagging')
      only(scene).driver.log = 200n
      await scene.clock.advance(100)
      await settled()
    })
    expect(events).toMatchObject([{ from: 'unchecked', to: 'fit' }])
    const behind = replicatedScene(one)
    write(behind, 200n, false)
    const warned = await eventsOf('moorings:replica:changed', async () => {
      void behind.replicas.start()
      for (let check = 0; check < 10; check++) await behind.clock.advance(100)
      await settled()
    })
    expect(warned).toMatchObject([{ from: 'unchecked', to: 'lagging' }])
  })

  it('do so as well of a replica that has more than the primary had, which may have strayed', async () => {
    const scene = replicatedScene(one)
    only(scene).driver.log = 105n
    void scene.replicas.start()
    await scene.clock.advance(50)
    expect(first(scene).state).toBe('lagging')
    scene.primary.driver.log = 105n
    await scene.clock.advance(100)
    await settled()
    expect(first(scene).state).toBe('fit')
  })

  it('do not do so for ever, and neither does start(), of a replica that has stopped', async () => {
    const scene = replicatedScene(one)
    write(scene, 200n, false)
    const started = watch(scene.replicas.start())
    for (let check = 0; check < 10; check++) await scene.clock.advance(100)
    await settled()
    expect(started.state).toBe('resolved')
    const { acquired } = only(scene).pool.stats()
    for (let check = 0; check < 10; check++) await scene.clock.advance(1_000)
    await settled()
    expect(only(scene).pool.stats().acquired - acquired).toBe(10)
  })
})

describe('start()', () => {
  it('F2: takes no longer than it is given, where servers hang', async () => {
    const scene = replicatedScene(one)
    scene.primary.driver.connects = 'deaf'
    const [quick, usual] = [watch(scene.replicas.start(300)), watch(scene.replicas.start())]
    await scene.clock.advance(299)
    expect(quick.state).toBe('pending')
    await scene.clock.advance(1)
    expect(quick.state).toBe('resolved')
    expect(usual.state).toBe('pending')
    await scene.clock.advance(scene.primary.pool.resilience.pool.acquireTimeoutMs)
    expect(usual.state).toBe('resolved')
  })
})

describe('positions of a log', () => {
  it('tell the newest moment of which all is shown', () => {
    const positions = new Positions(10_000)
    positions.note(10n, 1_000)
    positions.note(20n, 2_000)
    positions.note(20n, 3_000)
    expect(positions.shownBy(9n)).toBeUndefined()
    expect(positions.shownBy(10n)).toBe(1_000)
    expect(positions.shownBy(19n)).toBe(1_000)
    expect(positions.shownBy(20n)).toBe(3_000)
    expect(positions.shownBy(99n)).toBe(3_000)
  })

  it('are forgotten when they are too old, and when another primary begins anew', () => {
    const positions = new Positions(10_000)
    positions.note(10n, 1_000)
    positions.note(20n, 12_000)
    expect(positions.shownBy(10n)).toBeUndefined()
    positions.note(15n, 13_000)
    expect(positions.shownBy(20n)).toBe(13_000)
    expect(positions.shownBy(14n)).toBeUndefined()
  })
})
