// A pool on a fake driver and a fake clock.

import { Deadlines } from '../deadlines.js'
import { type PoolOptions, type ResilienceOptions, resolveResilience } from '../options.js'
import type { Lease } from '../pool/lease.js'
import { Pool } from '../pool/pool.js'
import { FakeClock, settled } from './fake-clock.js'
import type { FakeConnection } from './fake-connection.js'
import { FakeDriver } from './fake-driver.js'
import { type Watched, watch } from './watch.js'

export type FakePool = Pool<FakeConnection>
export type FakeLease = Lease<FakeConnection>

export interface Fixture {
  readonly clock: FakeClock
  readonly driver: FakeDriver
  readonly deadlines: Deadlines
  readonly pool: FakePool
}

/** What a pool does from time to time: only where a test is about it. */
const quiet = { min: 0, keepaliveMs: 0, leakAfterMs: 0, scaling: false } as const

/**
 * As a user would set it, but quiet, and with a `min` of 0. Without jitter in lifetimes: `random` gives 0.
 *
 * @param prepare what a pool asks its driver when it is made
 */
export function fixture(
  options: PoolOptions = {},
  random: () => number = () => 0,
  others: Omit<ResilienceOptions, 'pool'> = {},
  prepare: (driver: FakeDriver) => void = () => {},
): Fixture {
  const clock = new FakeClock()
  const driver = new FakeDriver(() => clock.now())
  prepare(driver)
  const deadlines = new Deadlines(clock)
  const resilience = resolveResilience({
    health: { everyMs: 0 },
    transaction: { retry: false },
    ...others,
    statement: { livenessAfterMs: 0, ...others.statement },
    pool: { ...quiet, ...options },
  })
  return { clock, driver, deadlines, pool: new Pool({ driver, resilience, name: 'test', deadlines, random }) }
}

/** Asks for `count` leases, one after the other, and lets happen what can. */
export async function ask(pool: FakePool, count: number): Promise<Watched<FakeLease>[]> {
  const asked = Array.from({ length: count }, () => watch(pool.acquire()))
  await settled()
  return asked
}

/** Takes `count` leases, which must be had without time going on. */
export async function take(pool: FakePool, count: number): Promise<FakeLease[]> {
  return (await ask(pool, count)).map(({ value }) => value)
}

/** Exactly one lease. */
export async function takeOne(pool: FakePool): Promise<FakeLease> {
  const lease = watch(pool.acquire())
  await settled()
  return lease.value
}

/** The moving part of the stats. */
export function counts(pool: FakePool): { idle: number; leased: number; connecting: number; waiting: number } {
  const { idle, leased, connecting, waiting } = pool.stats()
  return { idle, leased, connecting, waiting }
}

export const empty = { idle: 0, leased: 0, connecting: 0, waiting: 0 }
