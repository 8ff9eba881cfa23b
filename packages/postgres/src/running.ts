// Which connection a query of the application's is on, for its `query.cancel()`. Noted on the query itself.

import { StatementCancelledError } from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import type { LibraryQuery } from './library.js'

const runsOn: unique symbol = Symbol('runs on')
const cancelled: unique symbol = Symbol('cancelled')
const standIn: unique symbol = Symbol('stand-in')

interface Notes {
  [runsOn]?: PostgresConnection | undefined
  /** Before it was on any connection. */
  [cancelled]?: boolean
  [standIn]?: Noted
}
type Noted = LibraryQuery & Notes

export function noteRunning(query: Noted, connection: PostgresConnection): void {
  query[runsOn] = connection
}

/** Another is carried out in the place of a query that was sent before. */
export function noteStandIn(query: Noted, other: Noted): void {
  query[standIn] = other
  // A copy, which is on none yet.
  other[runsOn] = undefined
}

/** Whether it was cancelled before it was on any connection: its caller knows. */
export function wasCancelled(query: Noted): boolean {
  return query[cancelled] === true
}

export async function cancel(asked: LibraryQuery): Promise<void> {
  const error = new StatementCancelledError('The statement was cancelled by query.cancel()', { code: '57014' })
  let query: Noted = asked
  for (let next = query[standIn]; next !== undefined; next = query[standIn]) query = next
  const connection = query[runsOn]
  if (connection === undefined) {
    query[cancelled] = true
    // Whoever cancels a query may not care to await it any more. Not query.then(), which would carry it out.
    Promise.prototype.then.call(asked, undefined, () => {})
    query.reject(error)
  } else connection.interrupt(query, error)
}
