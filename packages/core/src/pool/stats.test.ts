// What each field of the stats means. The table has one entry for every field there is: one more does not compile
// without its meaning.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '../errors.js'
import { Resends } from '../statement/resends.js'
import { settled } from '../testing/fake-clock.js'
import { ask, fixture, take, takeOne } from '../testing/fixture.js'
import { inFlight } from '../testing/in-flight.js'
import { afterCallers, afterLife, busy, failingOnce } from '../testing/scenes.js'
import type { PoolStats } from './setup.js'

const one = { max: 1, overflow: 0 }
const none = { count: 0, sumMs: 0, p50: 0, p95: 0, p99: 0, max: 0 }

type Meaning = readonly [means: string, check: () => Promise<void>]

const meanings: { readonly [Field in keyof PoolStats]: Meaning } = {
  idle: [
    'connections that are nobody’s, those being checked included',
    async () => expect((await busy()).pool.stats().idle).toBe(2),
  ],
  leased: [
    'connections that are somebody’s, or not yet clean after that',
    async () => expect((await busy()).pool.stats().leased).toBe(2),
  ],
  connecting: [
    'connects under way',
    async () => {
      const { pool, driver } = fixture({ min: 2, max: 4 })
      driver.connects = 'deaf'
      await ask(pool, 3)
      expect(pool.stats().connecting).toBe(3)
      driver.attempt(1).succeed()
      await settled()
      expect(pool.stats().connecting).toBe(2)
    },
  ],
  waiting: [
    'callers in line',
    async () => {
      const { pool } = fixture(one)
      await ask(pool, 4)
      expect(pool.stats().waiting).toBe(3)
    },
  ],
  max: ['as set, or as resized', async () => ofSize('max')],
  overflow: ['as set, or as resized', async () => ofSize('overflow')],
  min: ['as set, or as resized', async () => ofSize('min')],
  minIdle: ['as set, or as resized', async () => ofSize('minIdle')],
  name: ['the pool’s', async () => expect(fixture().pool.stats().name).toBe('test')],
  state: [
    'new, running, suspended, running, closing, closed',
    async () => {
      const { pool } = fixture()
      const states = [pool.stats().state]
      const lease = await takeOne(pool)
      const note = () => states.push(pool.stats().state)
      note()
      pool.suspend()
      note()
      pool.resume()
      note()
      const closed = pool.close()
      note()
      lease.release()
      await closed
      note()
      expect(states).toEqual(['new', 'running', 'suspended', 'running', 'closing', 'closed'])
    },
  ],
  epoch: [
    'how often all, or all of an endpoint, were invalidated or evicted',
    async () => {
      const { pool } = fixture()
      pool.invalidate()
      pool.evict()
      pool.invalidate({ endpoint: { host: 'db.test', port: 5432 } })
      pool.invalidate({ id: 1 })
      expect(pool.stats().epoch).toBe(3)
    },
  ],
  warm: [
    'how many are kept open now, at first min',
    async () => {
      const { pool, clock } = fixture({ min: 2, scaling: {} })
      await take(pool, 2)
      expect(pool.stats().warm).toBe(2)
      await clock.advance(60_000)
      expect(pool.stats().warm).toBe(3)
    },
  ],
  overflowing: [
    'connections beyond max, now',
    async () => {
      const { pool } = fixture({ max: 2, overflow: 3 })
      const leases = await take(pool, 4)
      expect(pool.stats().overflowing).toBe(2)
      for (const lease of leases) lease.release()
      expect(pool.stats().overflowing).toBe(0)
    },
  ],
  utilisation: [
    'the share of max that is lent',
    async () => {
      const { pool } = fixture({ max: 4, overflow: 4 })
      await take(pool, 3)
      expect(pool.stats().utilisation).toBe(0.75)
      await take(pool, 3)
      expect(pool.stats().utilisation).toBe(1.5)
    },
  ],
  created: ['connections made so far', async () => expect((await afterLife()).created).toBe(4)],
  closed: ['connections that left so far', async () => expect((await afterLife()).closed).toBe(4)],
  lost: ['those of them that went by a fault', async () => expect((await afterLife()).lost).toBe(2)],
  closedBy: [
    'those that left, by reason',
    async () =>
      expect((await afterLife()).closedBy).toMatchObject({ lost: 1, invalid: 1, epoch: 1, closing: 1, idle: 0 }),
  ],
  connectFailures: [
    'connects that failed so far',
    async () => {
      const { pool } = await failingOnce()
      expect(pool.stats().connectFailures).toBe(1)
      await settled()
    },
  ],
  lastConnectError: [
    'why the last one failed, until one succeeds',
    async () => {
      const { pool, clock } = await failingOnce()
      const message = 'connect ECONNREFUSED db.test:5432'
      expect(pool.stats().lastConnectError).toEqual({ name: 'ConnectError', code: 'ECONNREFUSED', message })
      await clock.advance(1_000)
      expect(pool.stats().lastConnectError).toBeUndefined()
    },
  ],
  acquired: [
    'callers that were given a connection, whether they waited or not',
    async () => expect((await afterCallers()).acquired).toBe(3),
  ],
  timeouts: ['callers whose time was over', async () => expect((await afterCallers()).timeouts).toBe(2)],
  refused: [
    'callers that found the queue full or the pool suspended',
    async () => expect((await afterCallers()).refused).toBe(2),
  ],
  aborted: ['callers whose signal fired', async () => expect((await afterCallers()).aborted).toBe(2)],
  failed: ['callers that went without for any other reason', async () => expect((await afterCallers()).failed).toBe(2)],
  leaks: [
    'leases held for too long: now, ever found, ever taken back',
    async () => {
      const { pool, clock } = fixture({ leakAfterMs: 60_000 })
      expect(pool.stats().leaks).toEqual({ now: 0, found: 0, reclaimed: 0 })
      const [first] = await take(pool, 2)
      await clock.advance(60_000)
      first?.release()
      expect(pool.stats().leaks).toEqual({ now: 1, found: 2, reclaimed: 0 })
    },
  ],
  wait: [
    'how long callers waited, from when they asked; nothing of those that went without',
    async () => {
      const { pool, clock } = fixture({ ...one, acquireTimeoutMs: 5_000 })
      const lease = await takeOne(pool)
      expect(pool.stats().wait).toEqual({ ...none, count: 1 })
      await ask(pool, 2)
      await clock.advance(3_000)
      lease.release()
      expect(pool.stats().wait).toMatchObject({ count: 2, sumMs: 3_000, p50: 0, max: 3_000 })
      await clock.advance(2_000)
      expect(pool.stats()).toMatchObject({ timeouts: 1, wait: { count: 2 } })
    },
  ],
  use: [
    'how long leases were held, those that have come back',
    async () => {
      const { pool, clock } = fixture(one)
      const lease = await takeOne(pool)
      await clock.advance(4_000)
      expect(pool.stats().use).toEqual(none)
      lease.release()
      expect(pool.stats().use).toMatchObject({ count: 1, sumMs: 4_000, max: 4_000 })
      await clock.advance(180_000)
      // Totals stay, percentiles are those of the last minutes.
      expect(pool.stats().use).toEqual({ ...none, count: 1, sumMs: 4_000 })
    },
  ],
  connect: [
    'how long connecting took, where it succeeded',
    async () => {
      const { pool, driver, clock } = fixture({ max: 2, overflow: 0 })
      driver.connects = 'deaf'
      await ask(pool, 2)
      await clock.advance(250)
      driver.attempt(1).succeed()
      await settled()
      driver.attempt(2).fail()
      await settled()
      expect(pool.stats().connect).toMatchObject({ count: 1, sumMs: 250, max: 250 })
    },
  ],
  statements: [
    'how often one was sent again, and how often that was too much',
    async () => {
      const { pool, driver } = fixture(one)
      expect(pool.stats().statements).toEqual({ resent: 0, overBudget: 0 })
      const lease = await takeOne(pool)
      driver.connection(1).lose()
      const lost = new ConnectionLostError('gone', { sent: false })
      while (new Resends(pool, 0, () => true).again(lost, lease));
      expect(pool.stats().statements).toEqual({ resent: 20, overBudget: 1 })
    },
  ],
  liveness: [
    'how often a server was asked what it works on, and how many statements that showed to be lost',
    async () => {
      const { pool, driver, clock } = fixture(one, () => 0, { statement: { livenessAfterMs: 1_000 } })
      const { statement } = await inFlight(pool)
      await clock.advance(2_000)
      expect(pool.stats().liveness).toEqual({ asks: 2, lost: 0 })
      driver.works = () => 'gone'
      await clock.advance(1_000)
      expect(statement.state).toBe('rejected')
      expect(pool.stats().liveness).toEqual({ asks: 3, lost: 1 })
    },
  ],
  transactions: [
    'what its transactions came to',
    async () => {
      const { pool } = fixture()
      await pool.transaction(() => {})
      await pool.transaction(() => Promise.reject(new Error('no'))).catch(() => {})
      expect(pool.stats().transactions).toEqual({
        ...{ committed: 1, rolledBack: 1, unknown: 0, exhausted: 0, overBudget: 0 },
        retries: { conflict: 0, lost: 0, stale: 0 },
        resolved: { committed: 0, rolledBack: 0, unknown: 0 },
        rollbacks: { cancelled: 0, destroyed: 0 },
      })
    },
  ],
  sessions: [
    'each session that goes on: whose it is, since when, and what it is doing',
    async () => {
      const { pool, clock } = fixture()
      let end = () => {}
      const ended = new Promise<void>((resolve) => {
        end = resolve
      })
      const body = (session: { acquire(): Promise<unknown> }) => session.acquire().then(() => ended)
      const done = pool.session(body, { name: 'import' })
      await clock.advance(3_000)
      expect(pool.stats().sessions).toEqual([
        {
          name: 'import',
          begunAt: undefined,
          ageMs: 3_000,
          connection: 1,
          statements: 0,
          state: 'working',
          inTransaction: false,
          forMs: 3_000,
        },
      ])
      end()
      await done
      expect(pool.stats().sessions).toEqual([])
    },
  ],
  connections: [
    'each connection: where it leads, what it is doing since when, how old and how used it is',
    async () => {
      const { pool } = await busy()
      const common = { endpoint: 'db.test:5432', ageMs: 15_000 }
      expect(pool.stats().connections).toEqual([
        { ...common, id: 1, state: 'idle', forMs: 10_000, uses: 1 },
        { ...common, id: 2, state: 'checking', forMs: 9_999, uses: 1 },
        { ...common, id: 3, state: 'leased', forMs: 3_000, uses: 2 },
        { ...common, id: 4, state: 'resetting', forMs: 200, uses: 1 },
      ])
    },
  ],
  endpoints: [
    'how many connections lead where, what role that has, and how many of them are lent',
    async () => {
      const { pool, driver } = fixture({ max: 3 })
      driver.endpoint = { host: 'a.test', port: 5432 }
      await take(pool, 2)
      driver.endpoint = { host: '::1', port: 6432 }
      driver.roles.set('::1', 'standby')
      const third = await takeOne(pool)
      third.release()
      expect(pool.stats().endpoints).toEqual({
        'db.test:5432': { role: 'standby', breaker: 'closed', connections: 0, leased: 0 },
        'a.test:5432': { role: 'primary', breaker: undefined, connections: 2, leased: 2 },
        '[::1]:6432': { role: 'standby', breaker: undefined, connections: 1, leased: 0 },
      })
    },
  ],
  health: [
    'the last verdict',
    async () => {
      const { pool } = fixture()
      expect(pool.stats().health).toBeUndefined()
      await pool.health()
      expect(pool.stats().health).toBe('healthy')
    },
  ],
}

function ofSize(field: 'min' | 'minIdle' | 'max' | 'overflow'): void {
  const { pool } = fixture({ min: 1, minIdle: 2, max: 5, overflow: 3 })
  expect(pool.stats()).toMatchObject({ min: 1, minIdle: 2, max: 5, overflow: 3 })
  pool.resize({ [field]: 4 })
  expect(pool.stats()).toMatchObject({ min: 1, minIdle: 2, max: 5, overflow: 3, [field]: 4 })
}

describe('the stats', () => {
  it.each(Object.entries(meanings).map(([field, [means, check]]) => [field, means, check] as const))(
    'tell as %s: %s',
    (_field, _means, check) => check(),
  )

  it('are plain: what JSON makes of them is the same', async () => {
    const { pool } = await busy()
    await pool.health()
    const stats = pool.stats()
    const { lastConnectError, ...others } = stats
    expect(lastConnectError).toBeUndefined()
    expect(JSON.parse(JSON.stringify(stats))).toEqual(others)
  })

  it('are a snapshot: what happens later changes nothing in them', async () => {
    const { pool } = fixture()
    const before = pool.stats()
    const copy = structuredClone(before)
    await take(pool, 3)
    pool.evict()
    expect(before).toEqual(copy)
  })
})
