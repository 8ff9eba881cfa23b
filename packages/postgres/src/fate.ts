// What a server's answer says about a transaction whose COMMIT was not answered, when the server may have crashed since.

import type { CommitOutcome } from '@moorings/core'
import type { Incarnation } from './server.js'
import type { PostgresTicket } from './trace.js'

/** All of it from one statement, of a server with the ticket's system identifier and timeline. */
export interface Answer extends Incarnation {
  /** What `pg_xact_status` says; `to come` where no transaction was given that id yet, undefined for one of long ago. */
  readonly status: string | undefined
  /** Of the last checkpoint, as `epoch:xid`: all that were given an id until then have a lower one. */
  readonly nextXid: string
}

/**
 * `at work`: it is under way, and may be ended. `ask again`: something is under way under its id that may be somebody
 * else's.
 */
export type Fate = CommitOutcome | 'at work' | 'ask again'

/**
 * `pg_xact_status` speaks of whoever has the id now. A crash loses what was not flushed to the log, ids included, and they
 * are given out again, under the same system identifier and timeline: after it the question may meet a stranger.
 *
 * The server is the one that ran the transaction, without a break, if `pg_postmaster_start_time()` is the same and so is
 * `pg_last_wal_replay_lsn()`: that stays where the last recovery ended, NULL where none was needed, and each crash moves it
 * on, also one of a backend, after which the postmaster lives on and starts all others anew. Then all is as it says.
 *
 * Otherwise:
 * - `aborted`: rolled back. Either it is ours, or a stranger has its id, and ours was lost.
 * - `to come`: the same, and nobody has been given its id since.
 * - `in progress`: ours ended with its backend, so it is a stranger, and ours was lost. He is left alone.
 * - `committed`, and the id is not below the `next_xid` of the last checkpoint: the log had not heard of it by then. A server
 *   begins with a checkpoint, at the end of its recovery or of its last run, so whichever one is the last is younger than
 *   ours: it was lost, and a stranger has committed.
 * - `committed`, and there was no crash in between: ours. Its last start needed no recovery, and its statistics are counted
 *   since the same moment: any recovery in between would have discarded them.
 * - `committed` in all other cases: unknown. That the last recovery has seen the id proves nothing: it may be a stranger's,
 *   given out after one crash and on record before the next. Nothing a server keeps tells how often it has crashed.
 *
 * One that has not crashed, and has not heard of an id that it has given out, is not what it seems to be: unknown.
 *
 * Behind a pooler the connection outlives the server's crash, and its transaction may be one of a later life than the one
 * that greeted it: then neither can a stranger be told from ours, nor is the last checkpoint known to be the younger one.
 */
export function fateOf(ticket: PostgresTicket, answer: Answer): Fate {
  const { status } = answer
  const unbroken = answer.startedAt === ticket.startedAt && answer.recoveredTo === ticket.recoveredTo
  switch (status) {
    case 'aborted':
      return 'rolled-back'
    case 'to come':
      return unbroken || withoutCrash(ticket, answer) ? 'unknown' : 'rolled-back'
    case 'in progress':
      if (unbroken) return 'at work'
      return ticket.direct && !withoutCrash(ticket, answer) ? 'rolled-back' : 'ask again'
    case 'committed':
      if (unbroken) return 'committed'
      if (!ticket.direct || isBelow(ticket.transactionId, answer.nextXid)) {
        return withoutCrash(ticket, answer) ? 'committed' : 'unknown'
      }
      return withoutCrash(ticket, answer) ? 'unknown' : 'rolled-back'
    default:
      return 'unknown'
  }
}

/** Provably: it was shut down and started, however often. */
function withoutCrash(ticket: Incarnation, answer: Incarnation): boolean {
  return (
    answer.recoveredTo === undefined && answer.countsSince !== undefined && answer.countsSince === ticket.countsSince
  )
}

function isBelow(transactionId: string, nextXid: string): boolean {
  const [, epoch, xid] = /^(\d+):(\d+)$/.exec(nextXid) ?? []
  // Not understood: nothing follows from it.
  if (epoch === undefined || xid === undefined) return true
  return BigInt(transactionId) < (BigInt(epoch) << 32n) + BigInt(xid)
}
