// Every event of a pool and of its connections, where it is published and with what. The table has one scene for each:
// one more event does not compile without it.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, HookError, UniqueViolationError } from '../errors.js'
import type { EventName } from '../events.js'
import { Replicas } from '../replicas/replicas.js'
import { Resends } from '../statement/resends.js'
import {
  type BreakerEvent,
  type CallerEvent,
  type DriverEvent,
  namesIn,
  play,
  type Scenes,
  type SessionEvent,
  type TransactionEvent,
} from '../testing/event-scenes.js'
import { settled } from '../testing/fake-clock.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, fixture, take, takeOne } from '../testing/fixture.js'
import { inFlight } from '../testing/in-flight.js'

const one = { max: 1, overflow: 0 }
const minute = 60_000
const endpoint = { host: 'db.test', port: 5432 } as const

const scenes: Scenes<Exclude<EventName, BreakerEvent | CallerEvent | DriverEvent | TransactionEvent | SessionEvent>> = {
  'moorings:pool:started': {
    options: { min: 1, max: 3, overflow: 2 },
    async run({ pool }) {
      pool.invalidate()
      await take(pool, 2)
      await pool.start()
      return [{ min: 1, max: 3, overflow: 2 }]
    },
  },
  'moorings:pool:suspended': {
    async run({ pool }) {
      pool.suspend({ refuseAfterMs: 5 })
      pool.suspend({ refuseAfterMs: 6 })
      return [{ refuseAfterMs: 5 }]
    },
  },
  'moorings:pool:resumed': {
    async run({ pool, clock }) {
      pool.suspend()
      await ask(pool, 2)
      await clock.advance(700)
      pool.resume()
      pool.resume()
      return [{ suspendedMs: 700, waiting: 2 }]
    },
  },
  'moorings:pool:resized': {
    options: { min: 1, minIdle: 2, max: 3, overflow: 4 },
    async run({ pool }) {
      pool.resize({ max: 7 })
      expect(() => pool.resize({ min: 8 })).toThrow()
      return [{ min: 1, minIdle: 2, max: 7, overflow: 4 }]
    },
  },
  'moorings:pool:scaled': {
    options: { ...one, min: 0, scaling: {} },
    async run({ pool, clock }) {
      await takeOne(pool)
      await clock.advance(minute)
      return [{ from: 0, to: 1, utilisation: 1 }]
    },
  },
  'moorings:pool:invalidated': {
    async run({ pool }) {
      await take(pool, 2)
      pool.invalidate({ endpoint })
      pool.evict({ id: 1 })
      pool.evict()
      return [
        { how: 'invalidate', connections: 2, endpoint: 'db.test:5432' },
        { how: 'evict', connections: 1, id: 1 },
        { how: 'evict', connections: 1 },
      ]
    },
  },
  'moorings:pool:closing': {
    options: { ...one, closeTimeoutMs: 90 },
    async run({ pool, clock }) {
      await ask(pool, 3)
      void pool.close()
      void pool.close()
      await clock.advance(90)
      return [{ leased: 1, waiting: 2, timeoutMs: 90 }]
    },
  },
  'moorings:pool:closed': {
    async run({ pool, clock }) {
      const [first] = await take(pool, 3)
      void pool.close({ timeoutMs: 90 })
      first?.release()
      await clock.advance(90)
      return [{ tookMs: 90, destroyed: 2 }]
    },
  },
  'moorings:health:changed': {
    async run({ pool }) {
      await pool.health()
      await pool.health()
      pool.suspend()
      await pool.health()
      return [
        { from: undefined, to: 'healthy', reasons: [] },
        { from: 'healthy', to: 'degraded', reasons: ['the pool is suspended'] },
      ]
    },
  },
  'moorings:constraints:unknown': {
    others: { errors: { constraints: { users_emial_key: { code: 'TAKEN' } } } },
    async run({ pool }) {
      pool.constraints.complete(new UniqueViolationError('taken', { constraint: 'users_email_key' }))
      await settled()
      return [{ names: ['users_emial_key'] }]
    },
  },
  'moorings:connection:opened': {
    async run({ pool, driver, clock }) {
      driver.connects = 'deaf'
      await ask(pool, 2)
      await clock.advance(40)
      driver.attempt(1).fail()
      driver.attempt(2).succeed()
      await settled()
      return [{ id: 1, endpoint, tookMs: 40 }]
    },
  },
  'moorings:connection:closed': {
    async run({ pool, driver, clock }) {
      const leases = await take(pool, 2)
      await clock.advance(300)
      for (const lease of leases) lease.release()
      driver.connection(1).lose()
      pool.invalidate()
      await settled()
      const error = driver.connection(1).lost
      const common = { endpoint, ageMs: 300, uses: 1 }
      return [
        { ...common, id: 1, reason: 'lost', error },
        { ...common, id: 2, reason: 'epoch', error: undefined },
      ]
    },
  },
  'moorings:connection:checked': {
    options: { ...one, validateAfterIdleMs: 0 },
    async run({ pool, driver, clock }) {
      ;(await takeOne(pool)).release()
      driver.connection(1).next('ping', 'held')
      await ask(pool, 1)
      await clock.advance(30)
      const error = refusal('no answer')
      driver.connection(1).held('ping').fail(error)
      await settled()
      return [{ id: 1, why: 'acquire', tookMs: 30, error }]
    },
  },
  'moorings:connection:reset': {
    async run({ pool, driver, clock }) {
      const [first, second, third] = await take(pool, 3)
      await first?.connection.begin()
      driver.connection(1).next('reset', 'held')
      first?.release()
      await clock.advance(30)
      driver.connection(1).held('reset').ok()
      second?.declare('settings')
      const error = refusal('no answer')
      driver.connection(2).next('reset', error)
      second?.release()
      third?.release()
      await settled()
      return [
        { id: 1, tookMs: 30, error: undefined },
        { id: 2, tookMs: 0, error },
      ]
    },
  },
  'moorings:connect:failed': {
    options: { ...one },
    async run({ pool, driver, clock }) {
      const error = refusal()
      driver.connects = error
      await ask(pool, 1)
      driver.connects = 'ok'
      await clock.advance(18)
      expect(driver.attempts).toHaveLength(1)
      await clock.advance(1)
      expect(driver.attempts).toHaveLength(2)
      // Three quarters of the first pause, by the chance of this test.
      return [{ error, retryInMs: 18.75, again: false }]
    },
  },
  'moorings:endpoint:moved': {
    prepare(driver) {
      driver.endpoints = [endpoint, { host: 'other.test', port: 5432 }]
      driver.target = 'primary'
    },
    async run({ pool, driver }) {
      await takeOne(pool)
      driver.roles.set('db.test', 'standby')
      await takeOne(pool)
      return [{ from: 'db.test:5432', to: 'other.test:5432' }]
    },
  },
  'moorings:endpoint:changed': {
    async run({ pool, driver }) {
      const lease = await takeOne(pool)
      driver.connection(1).role = 'read-only'
      lease.release()
      return [{ endpoint: 'db.test:5432', from: 'primary', to: 'read-only' }]
    },
  },
  'moorings:replica:changed': {
    async run({ pool, driver, clock }) {
      const replica = fixture()
      driver.log = 7n
      replica.driver.log = 7n
      void new Replicas(pool, [replica.pool], { maxLagMs: 5_000, checkEveryMs: 1_000 }).start()
      await clock.advance(1)
      return [{ replica: 'test', from: 'unchecked', to: 'fit', lagMs: 0 }]
    },
  },
  'moorings:rollback:failed': {
    async run({ pool, driver }) {
      const error = refusal('no answer')
      const body = () => {
        driver.connection(1).next('rollback', error)
        throw new Error('the body’s own')
      }
      await expect(pool.transaction(body)).rejects.toThrow('the body’s own')
      return [{ id: 1, error }]
    },
  },
  'moorings:statement:resent': {
    async run({ pool, driver }) {
      const resends = new Resends(pool, 0, () => true)
      const lease = await takeOne(pool)
      driver.connection(1).lose()
      const error = new ConnectionLostError('gone')
      expect(resends.again(error, lease)).toBe(true)
      expect(new Resends(pool, 0, () => false).again(error, lease)).toBe(false)
      return [{ id: 1, attempt: 1, error }]
    },
  },
  'moorings:liveness:asked': {
    others: { statement: { livenessAfterMs: 1_000 } },
    async run({ pool, clock }) {
      await inFlight(pool)
      await clock.advance(1_000)
      const states = { working: 1, idle: 0, gone: 0, unreachable: 0, unknown: 0 }
      return [{ endpoint: 'db.test:5432', connections: 1, states, tookMs: 0 }]
    },
  },
  'moorings:liveness:lost': {
    others: { statement: { livenessAfterMs: 1_000 } },
    async run({ pool, driver, clock }) {
      driver.works = () => 'gone'
      await inFlight(pool)
      await clock.advance(1_000)
      return [{ id: 1, endpoint, state: 'gone', waitedMs: 1_000, error: expect.any(ConnectionLostError) }]
    },
  },
  'moorings:hook:failed': {
    others: {
      hooks: {
        afterRelease: () => {
          throw new Error('not today')
        },
      },
    },
    async run({ pool }) {
      ;(await takeOne(pool)).release()
      await settled()
      return [{ hook: 'afterRelease', id: 1, error: expect.any(HookError) }]
    },
  },
}

describe('a pool tells', () => {
  it.each(namesIn(scenes))('%s when it happens, once, with what belongs to it', (name) => play(scenes, name))
})
