// Listens to one of the pool's channels for the length of a test.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { PoolEvents } from '../events.js'

/** What was published on the channel while `during` ran. */
export async function eventsOf<Name extends keyof PoolEvents>(
  name: Name,
  during: (seen: PoolEvents[Name][]) => Promise<void> | void,
): Promise<PoolEvents[Name][]> {
  const seen: PoolEvents[Name][] = []
  await listening(
    name,
    (event) => seen.push(event),
    () => during(seen),
  )
  return seen
}

/** Calls `heard` with what is published on the channel while `during` runs. */
export async function listening<Name extends keyof PoolEvents>(
  name: Name,
  heard: (event: PoolEvents[Name]) => void,
  during: () => Promise<void> | void,
): Promise<void> {
  // The name decides the payload, which diagnostics_channel has no type for.
  const listener = (event: unknown) => heard(event as PoolEvents[Name])
  subscribe(name, listener)
  try {
    await during()
  } finally {
    unsubscribe(name, listener)
  }
}
