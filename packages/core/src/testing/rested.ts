// A pool with one connection, for what is about that connection.

import type { FakeConnection } from './fake-connection.js'
import { type Fixture, fixture } from './fixture.js'

/** The connection has been idle for a minute, and nobody asks it for a sign of life. */
export async function rested(): Promise<Fixture & { readonly connection: FakeConnection }> {
  const setup = fixture({ max: 1, overflow: 0, validateAfterIdleMs: 3_600_000 })
  await setup.pool.start()
  await setup.clock.advance(60_000)
  return { ...setup, connection: setup.driver.connection(1) }
}
