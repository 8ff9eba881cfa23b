// Statements that a server has not answered yet.

import { settled } from './fake-clock.js'
import type { FakeConnection } from './fake-connection.js'
import { type FakeLease, type FakePool, takeOne } from './fixture.js'
import { type Watched, watch } from './watch.js'

export interface InFlight {
  readonly lease: FakeLease
  readonly connection: FakeConnection
  readonly statement: Watched<void>
  /** The server answers. */
  answer(): Promise<void>
}

/** On a connection of its own. */
export async function inFlight(pool: FakePool): Promise<InFlight> {
  return under(await takeOne(pool))
}

/** On one that is had already. */
export async function under(lease: FakeLease): Promise<InFlight> {
  const { connection } = lease
  connection.next('statement', 'held')
  const statement = watch(connection.statement())
  await settled()
  const answer = async () => {
    connection.held('statement').ok()
    await settled()
  }
  return { lease, connection, statement, answer }
}
