// What one pool tells on node:diagnostics_channel while a test runs.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { EventName, PoolEvents, PoolIdentity } from '@moorings/core'
import type { Scene } from './scene.js'

/** What that pool publishes on the channel from now on, in order; the array grows until the test is over. */
export function eventsOf<Name extends EventName>(
  scene: Scene,
  { identity }: { readonly identity: PoolIdentity },
  name: Name,
): readonly PoolEvents[Name][] {
  const heard: PoolEvents[Name][] = []
  const listener = (message: unknown) => {
    // The name decides the payload, which diagnostics_channel has no type for.
    const event = message as PoolEvents[Name]
    if (event.poolId === identity.poolId) heard.push(event)
  }
  subscribe(name, listener)
  scene.closing({
    async close() {
      unsubscribe(name, listener)
    },
  })
  return heard
}
