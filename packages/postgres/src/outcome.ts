// What became of a transaction whose COMMIT was not answered, asked of the server through another connection.

import { setTimeout as pause } from 'node:timers/promises'
import { type CommitOutcome, type CommitTicket, isMooringsError, StatementError } from '@moorings/core'
import { plain } from './codec.js'
import type { PostgresConnection } from './connection.js'
import { type Answer, fateOf } from './fate.js'
import { control, identity, identityOf, incarnation, incarnationOf, xidOf } from './server.js'
import type { PostgresTicket } from './trace.js'

/** Between two looks at one that is being ended. */
const PAUSE_MS = 50

/**
 * Asks until it is decided. What still works on the transaction is ended: the connection that began it is given up, and
 * left alone it could commit at any time, or hold its locks for as long as a half-open wire is taken for a whole one.
 * What the server says is believed as far as {@link fateOf} tells: after a crash it may speak of somebody else.
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
    const answer = await answerOf(ticket, connection, signal)
    const fate = answer === undefined ? 'unknown' : fateOf(ticket, answer)
    if (fate === 'at work') await endBackend(ticket, connection, signal)
    else if (fate !== 'ask again') return fate
    await pause(PAUSE_MS, undefined, { signal }).catch(() => {})
  }
}

/** Undefined of another server, or where it cannot know. */
async function answerOf(
  ticket: PostgresTicket,
  connection: PostgresConnection,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const { server } = connection
  if (server === undefined) throw cannotSay('This server cannot be asked what became of a transaction')
  // In one statement: what answers must be who it says it is. Another server is not asked, nor a standby: it would take
  // for rolled back what it has not heard of yet.
  const status = server.words.statusOf(ticket.transactionId)
  const text = `select server.*, case when system = ${ticket.systemIdentifier} and timeline = '${ticket.timeline}'
    then ${status} end as status from (
      select ${identity}, ${incarnation}, checkpoint.next_xid
      from ${control}, pg_catalog.pg_control_checkpoint() as checkpoint
    ) as server`
  let row: Readonly<Record<string, unknown>> | undefined
  try {
    const { rows } = await connection.execute({ text }, { codec: plain, signal, timeoutMs: 0 })
    row = rows[0]
  } catch (error) {
    // An id that is far from any it has given out.
    if (isMooringsError(error) && error.code === '22023') return undefined
    throw error
  }
  const who = row === undefined ? undefined : identityOf(row)
  const life = row === undefined ? undefined : incarnationOf(row)
  if (who === undefined || life === undefined || typeof row?.next_xid !== 'string') {
    throw cannotSay('The server did not say who it is')
  }
  if (who.systemIdentifier !== ticket.systemIdentifier) return undefined
  if (who.timeline === undefined) throw cannotSay('A standby cannot say yet what became of a transaction')
  if (who.timeline !== ticket.timeline) return undefined
  return { ...life, status: typeof row.status === 'string' ? row.status : undefined, nextXid: row.next_xid }
}

/**
 * By its transaction: behind a pooler it is not the process that the lost connection knew. The server is looked at once
 * more: by the time of this statement a pooler may have gone on to one that has crashed meanwhile.
 */
async function endBackend(
  { transactionId, startedAt, recoveredTo }: PostgresTicket,
  connection: PostgresConnection,
  signal: AbortSignal,
): Promise<void> {
  const recovered = recoveredTo === undefined ? 'is null' : `= '${recoveredTo}'::pg_catalog.pg_lsn`
  const text = `select pg_catalog.pg_terminate_backend(pid)
    from pg_catalog.pg_stat_activity, (select ${incarnation}) as server
    where backend_xid = ${xidOf(transactionId)} and pid <> pg_catalog.pg_backend_pid()
      and started = '${startedAt}' and recovered ${recovered}`
  try {
    await connection.execute({ text }, { codec: plain, signal, timeoutMs: 0 })
  } catch (error) {
    // Not this role's to end: it may come to its end by itself.
    if (!isMooringsError(error) || error.code !== '42501') throw error
  }
}

/** All of it becomes part of a statement's text. */
function isOurs(ticket: CommitTicket): ticket is PostgresTicket {
  const { transactionId, systemIdentifier, timeline, startedAt, recoveredTo, direct }: Partial<PostgresTicket> = ticket
  return (
    is(/^\d{1,20}$/, transactionId) &&
    is(/^-?\d{1,20}$/, systemIdentifier) &&
    is(/^[0-9A-F]{8}$/, timeline) &&
    is(/^\d{20}$/, startedAt) &&
    (recoveredTo === undefined || is(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/, recoveredTo)) &&
    typeof direct === 'boolean'
  )
}

function is(pattern: RegExp, value: unknown): boolean {
  return typeof value === 'string' && pattern.test(value)
}

function cannotSay(message: string): StatementError {
  return new StatementError(message, { retry: 'reconnect' })
}
