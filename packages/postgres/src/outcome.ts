// What became of a transaction whose COMMIT was not answered, asked of the server through another connection.

import { setTimeout as pause } from 'node:timers/promises'
import { type CommitOutcome, type CommitTicket, isMooringsError, StatementError } from '@moorings/core'
import { plain } from './codec.js'
import type { PostgresConnection } from './connection.js'
import { control, identity, identityOf, type ServerIdentity } from './server.js'
import type { PostgresTicket } from './trace.js'

/** Between two looks at one that is being ended. */
const PAUSE_MS = 50

/**
 * Asks until it is decided. What still works on the transaction is ended: the connection that began it is given up, and
 * left alone it could commit at any time, or hold its locks for as long as a half-open wire is taken for a whole one.
 *
 * @throws the signal's reason; or what kept the question from being answered, which may be asked again
 */
export async function outcomeOf(
  ticket: CommitTicket,
  connection: PostgresConnection,
  signal: AbortSignal,
): Promise<CommitOutcome> {
  if (!isOurs(ticket)) return 'unknown'
  for (;;) {
    signal.throwIfAborted()
    const status = await statusOf(ticket, connection, signal)
    if (status === 'committed') return 'committed'
    if (status === 'aborted') return 'rolled-back'
    if (status !== 'in progress') return 'unknown'
    await endBackend(ticket, connection, signal)
    await pause(PAUSE_MS, undefined, { signal }).catch(() => {})
  }
}

/** Undefined where nobody can say any more. */
async function statusOf(
  ticket: PostgresTicket,
  connection: PostgresConnection,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { server } = connection
  if (server === undefined) throw cannotSay('This server cannot be asked what became of a transaction')
  // In one statement: what answers must be who it says it is. Another server is not asked, nor a standby: it would take
  // for rolled back what it has not heard of yet.
  const status = server.words.statusOf(ticket.transactionId)
  const text = `select system, timeline, case when system = ${ticket.systemIdentifier} and timeline = '${ticket.timeline}'
    then ${status} end as status from (select ${identity} from ${control}) as server`
  let row: Readonly<Record<string, unknown>> | undefined
  try {
    const { rows } = await connection.execute({ text }, { codec: plain, signal, timeoutMs: 0 })
    row = rows[0]
  } catch (error) {
    // An id that is still to come: its server has lost what it knew.
    if (isMooringsError(error) && error.code === '22023') return undefined
    throw error
  }
  const seen = row === undefined ? undefined : identityOf(row)
  if (seen === undefined) throw cannotSay('The server did not say who it is')
  if (seen.systemIdentifier === ticket.systemIdentifier && seen.timeline === undefined) {
    throw cannotSay('A standby cannot say yet what became of a transaction')
  }
  return typeof row?.status === 'string' ? row.status : undefined
}

/** By its transaction: behind a pooler it is not the process that the lost connection knew. */
async function endBackend(
  { transactionId }: PostgresTicket,
  connection: PostgresConnection,
  signal: AbortSignal,
): Promise<void> {
  // Without the epoch, which pg_stat_activity does not show: no two that are under way differ in nothing else.
  const xid = BigInt.asUintN(32, BigInt(transactionId))
  const text = `select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
    where backend_xid = '${xid}'::pg_catalog.xid and pid <> pg_catalog.pg_backend_pid()`
  try {
    await connection.execute({ text }, { codec: plain, signal, timeoutMs: 0 })
  } catch (error) {
    // Not this role's to end: it may come to its end by itself.
    if (!isMooringsError(error) || error.code !== '42501') throw error
  }
}

/** All of it becomes part of a statement's text. */
function isOurs(ticket: CommitTicket): ticket is PostgresTicket {
  const { transactionId, systemIdentifier, timeline }: CommitTicket & Partial<ServerIdentity> = ticket
  return (
    /^\d{1,20}$/.test(transactionId) &&
    typeof systemIdentifier === 'string' &&
    /^-?\d{1,20}$/.test(systemIdentifier) &&
    typeof timeline === 'string' &&
    /^[0-9A-F]{8}$/.test(timeline)
  )
}

function cannotSay(message: string): StatementError {
  return new StatementError(message, { retry: 'reconnect' })
}
