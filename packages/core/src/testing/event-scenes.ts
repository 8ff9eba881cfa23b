// A scene for an event: what is done to a pool, and what it should tell of that.

import { expect } from '@jest/globals'
import type { EventDetails, EventName } from '../events.js'
import type { PoolOptions, ResilienceOptions } from '../options.js'
import { eventsOf } from './events.js'
import type { FakeDriver } from './fake-driver.js'
import { type Fixture, fixture } from './fixture.js'

export type CallerEvent = Extract<EventName, `moorings:${'lease' | 'acquire' | 'leak'}:${string}`>

export type TransactionEvent = Extract<EventName, `moorings:${'transaction' | 'commit' | 'after' | 'root'}:${string}`>

export type SessionEvent = Extract<EventName, `moorings:session:${string}`>

/** What a driver finds out on its way to a server, and tells itself. */
export type DriverEvent = Extract<EventName, `moorings:${'pooler' | 'prepare'}:${string}`>

/** Of `guard()`'s breakers, too, which are no pool's. */
export type BreakerEvent = Extract<EventName, `moorings:breaker:${string}`>

type Matcher = ReturnType<typeof expect.any>

/** An event's own fields, or what they must match. */
type Told<Name extends EventName> = {
  readonly [Field in keyof EventDetails[Name]]: EventDetails[Name][Field] | Matcher
}

export interface Scene<Name extends EventName> {
  readonly options?: PoolOptions
  readonly others?: Omit<ResilienceOptions, 'pool'>
  readonly prepare?: (driver: FakeDriver) => void
  /** What happens. Returns what should be told of it, and nothing else. */
  readonly run: (setup: Fixture) => Promise<Told<Name>[]>
}

export type Scenes<Names extends EventName> = { readonly [Name in Names]: Scene<Name> }

export async function play<Name extends EventName>(scenes: Scenes<Name>, name: Name): Promise<void> {
  const { options, others, prepare, run }: Scene<Name> = scenes[name]
  const setup = fixture(options, () => 0.5, others, prepare)
  let told: Told<Name>[] = []
  const seen = await eventsOf(name, async () => {
    told = await run(setup)
  })
  expect(seen).toEqual(told.map((details) => ({ ...setup.pool.identity, ...details })))
}

export function namesIn<Names extends string>(table: Readonly<Record<Names, unknown>>): Names[] {
  return Object.keys(table).filter((name): name is Names => name in table)
}
