// Which connection a query of the application's is on, for its `query.cancel()`.

import { StatementCancelledError } from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import type { LibraryQuery } from './library.js'

const runningOn = new WeakMap<LibraryQuery, PostgresConnection>()
const cancelledEarly = new WeakSet<LibraryQuery>()
const standIns = new WeakMap<LibraryQuery, LibraryQuery>()

export function noteRunning(query: LibraryQuery, connection: PostgresConnection): void {
  runningOn.set(query, connection)
}

/** Another is carried out in the place of a query that was sent before. */
export function noteStandIn(query: LibraryQuery, standIn: LibraryQuery): void {
  standIns.set(query, standIn)
}

/** Whether it was cancelled before it was on any connection: its caller knows. */
export function wasCancelled(query: LibraryQuery): boolean {
  return cancelledEarly.has(query)
}

export async function cancel(asked: LibraryQuery): Promise<void> {
  const error = new StatementCancelledError('The statement was cancelled by query.cancel()', { code: '57014' })
  let query = asked
  for (let next = standIns.get(query); next !== undefined; next = standIns.get(query)) query = next
  const connection = runningOn.get(query)
  if (connection === undefined) {
    cancelledEarly.add(query)
    // Whoever cancels a query may not care to await it any more. Not query.then(), which would carry it out.
    Promise.prototype.then.call(asked, undefined, () => {})
    query.reject(error)
  } else connection.interrupt(query, error)
}
