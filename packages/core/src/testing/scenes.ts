// Pools to which something has happened, for looking at what they tell of it.

import type { PoolStats } from '../pool/setup.js'
import { refusal } from './fake-driver.js'
import { ask, type Fixture, fixture, take, takeOne } from './fixture.js'

const one = { max: 1, overflow: 0 }

/** Connection 1 has rested for 10 s, 2 is being checked, 3 lent since 3 s, 4 being reset since a second. */
export async function busy(): Promise<Fixture> {
  const setup = fixture({ min: 0, max: 4, overflow: 0, validateAfterIdleMs: 0 })
  const { pool, driver, clock } = setup
  const [first, second, third, fourth] = await take(pool, 4)
  await clock.advance(5_000)
  first?.release()
  await clock.advance(1)
  second?.release()
  third?.release()
  await clock.advance(6_999)
  driver.connection(2).next('ping', 'held')
  await takeOne(pool)
  await clock.advance(2_800)
  await fourth?.connection.begin()
  fourth?.connection.next('reset', 'held')
  fourth?.release()
  await ask(pool, 1)
  await clock.advance(200)
  return setup
}

/** Of four connections one was lost, one found dead, one retired, and one destroyed when the pool was closed. */
export async function afterLife(): Promise<PoolStats> {
  const { pool, driver, clock } = fixture()
  for (const lease of await take(pool, 4)) lease.release()
  await clock.advance(60_000)
  driver.connection(4).next('ping', new Error('gone'))
  await takeOne(pool)
  driver.connection(1).lose()
  pool.invalidate({ id: 2 })
  const closed = pool.close({ timeoutMs: 0 })
  await clock.advance(1)
  await closed
  return pool.stats()
}

export async function failingOnce(): Promise<Fixture> {
  const setup = fixture(one)
  setup.driver.connects = refusal()
  await ask(setup.pool, 1)
  setup.driver.connects = 'ok'
  return setup
}

/** Three were served, one of them after a wait; two of each other kind went without. */
export async function afterCallers(): Promise<PoolStats> {
  const { pool, clock } = fixture({ ...one, maxWaiters: 3, acquireTimeoutMs: 100 })
  const first = await takeOne(pool)
  await ask(pool, 1)
  first.release()
  await ask(pool, 2)
  const abort = new AbortController()
  void pool.acquire({ signal: abort.signal }).catch(() => {})
  await ask(pool, 1)
  abort.abort()
  void pool.acquire({ signal: abort.signal }).catch(() => {})
  await clock.advance(100)
  pool.suspend({ refuseAfterMs: 0 })
  await ask(pool, 1)
  pool.evict()
  pool.resume()
  await takeOne(pool)
  await ask(pool, 1)
  void pool.close({ timeoutMs: 0 })
  await ask(pool, 1)
  return pool.stats()
}
