// What a server says of itself when a connection greets it: who it is, since when it has run without a break, and by which
// functions a transaction's id and its fate are asked for.

import type { Result } from '@moorings/core'

/** Two servers with the same are copies of one, and on one timeline until a copy is promoted. */
export interface ServerIdentity {
  readonly systemIdentifier: string
  /** Undefined for a standby, which may be promoted to another one at any time. */
  readonly timeline: string | undefined
}

/** A server's life between two restarts or crashes. */
export interface Incarnation {
  /** When its postmaster was started. */
  readonly startedAt: string
  /** Where in the log its recovery from a crash ended. Undefined: it was started after a clean shutdown. */
  readonly recoveredTo: string | undefined
  /** When its statistics were last discarded, as each recovery does it. Undefined: not known to be so of its version. */
  readonly countsSince: string | undefined
}

/** How the server is asked about transactions. */
export interface TransactionWords {
  /** The id of the one under way; null while it has written nothing. */
  readonly id: string
  /** The same, and one is assigned where there was none. */
  readonly assignedId: string
  /** `committed`, `aborted`, `in progress`, `to come` for an id not given out yet, or null for one of long ago. */
  readonly statusOf: (id: string) => string
}

export interface Server extends ServerIdentity, Incarnation {
  /** The address it was reached at, as it sees that itself. Undefined by a Unix socket. */
  readonly place: string | undefined
  readonly words: TransactionWords
  /** Whether the session is the server's own, and so ends with it: not one that a pooler keeps up. */
  readonly direct: boolean
}

/** As PostgreSQL counts them in its tables: without the epoch. No two that are under way differ in nothing else. */
export function xidOf(id: string): string {
  return `'${BigInt.asUintN(32, BigInt(id))}'::pg_catalog.xid`
}

/** Of one near the newest. Asked for its status, the server would raise an error, and tell nothing else. */
function notGiven(id: string): string {
  return `pg_catalog.age(${xidOf(id)}) <= 0`
}

/** PostgreSQL 13 and later. */
const modern: TransactionWords = {
  id: 'select pg_catalog.pg_current_xact_id_if_assigned()',
  assignedId: 'select pg_catalog.pg_current_xact_id()',
  statusOf: (id) => `case
    when '${id}'::pg_catalog.xid8 >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) and ${notGiven(id)}
    then 'to come' else pg_catalog.pg_xact_status('${id}'::pg_catalog.xid8) end`,
}

/** PostgreSQL 10 to 12. */
const older: TransactionWords = {
  id: 'select pg_catalog.txid_current_if_assigned()',
  assignedId: 'select pg_catalog.txid_current()',
  statusOf: (id) => `case
    when '${id}'::pg_catalog.int8 >= pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) and ${notGiven(id)}
    then 'to come' else pg_catalog.txid_status('${id}'::pg_catalog.int8) end`,
}

/** The columns `system` and `timeline`, from {@link control}. */
export const identity: string = `control.system_identifier as system,
  case when pg_catalog.pg_is_in_recovery() then null
    else pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end as timeline`
export const control = 'pg_catalog.pg_control_system() as control'

/** The same whatever the session's settings are. */
export function moment(time: string): string {
  return `pg_catalog.to_char(pg_catalog.timezone('UTC', ${time}), 'YYYYMMDDHH24MISSUS')`
}

/** The columns `started`, `recovered` and `counted`. That a recovery discards the statistics is known of 15 to 18. */
export const incarnation: string = `${moment('pg_catalog.pg_postmaster_start_time()')} as started,
  pg_catalog.pg_last_wal_replay_lsn() as recovered,
  case when pg_catalog.current_setting('server_version_num')::pg_catalog.int4 between 150000 and 189999
    then ${moment('pg_catalog.pg_stat_get_bgwriter_stat_reset_time()')} end as counted`

/** By everybody: a transaction may act for a role that may do next to nothing. */
function callable(name: string): string {
  return `pg_catalog.has_function_privilege('public', pg_catalog.to_regprocedure('pg_catalog.${name}()'), 'execute')`
}

/** A server that does not know a word of it refuses it, and can be talked to all the same. */
export const greeting: string = `select ${identity}, ${incarnation},
  pg_catalog.pg_backend_pid() as pid,
  pg_catalog.host(pg_catalog.inet_server_addr()) || ' ' || pg_catalog.inet_server_port() as place,
  pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute') as checkpoint,
  ${callable('pg_current_xact_id_if_assigned')} and ${callable('pg_current_xact_id')} as modern,
  ${callable('txid_current_if_assigned')} and ${callable('txid_current')} as older
from ${control}`

/**
 * @param processId of the backend as the session's start has named it; a pooler makes up one of its own
 * @returns undefined if it cannot be asked about transactions
 */
export function serverOf(
  { rows: [row] }: Result<Record<string, unknown>>,
  processId: number | undefined,
): Server | undefined {
  if (row?.checkpoint !== 't') return undefined
  const words = row.modern === 't' ? modern : row.older === 't' ? older : undefined
  const [who, life] = [identityOf(row), incarnationOf(row)]
  if (words === undefined || who === undefined || life === undefined) return undefined
  const place = typeof row.place === 'string' ? row.place : undefined
  return { ...who, ...life, place, words, direct: row.pid === String(processId) }
}

/** Of a row with the columns of {@link identity}, as text. */
export function identityOf({ system, timeline }: Readonly<Record<string, unknown>>): ServerIdentity | undefined {
  if (typeof system !== 'string') return undefined
  return { systemIdentifier: system, timeline: typeof timeline === 'string' ? timeline : undefined }
}

/** Of a row with the columns of {@link incarnation}, as text. */
export function incarnationOf({
  started,
  recovered,
  counted,
}: Readonly<Record<string, unknown>>): Incarnation | undefined {
  if (typeof started !== 'string') return undefined
  return {
    startedAt: started,
    recoveredTo: typeof recovered === 'string' ? recovered : undefined,
    countsSince: typeof counted === 'string' ? counted : undefined,
  }
}
