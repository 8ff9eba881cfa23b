// What a server says of itself when a connection greets it: who it is, and by which functions a transaction's id and its
// fate are asked for.

import type { Result } from '@moorings/core'

/** Two servers with the same are copies of one, and on one timeline until a copy is promoted. */
export interface ServerIdentity {
  readonly systemIdentifier: string
  /** Undefined for a standby, which may be promoted to another one at any time. */
  readonly timeline: string | undefined
}

/** How the server is asked about transactions. */
export interface TransactionWords {
  /** The id of the one under way; null while it has written nothing. */
  readonly id: string
  /** The same, and one is assigned where there was none. */
  readonly assignedId: string
  /** `committed`, `aborted`, `in progress`, or null for one of long ago. */
  readonly statusOf: (id: string) => string
}

export interface Server extends ServerIdentity {
  readonly words: TransactionWords
}

/** PostgreSQL 13 and later. */
const modern: TransactionWords = {
  id: 'select pg_catalog.pg_current_xact_id_if_assigned()',
  assignedId: 'select pg_catalog.pg_current_xact_id()',
  statusOf: (id) => `pg_catalog.pg_xact_status('${id}'::pg_catalog.xid8)`,
}

/** PostgreSQL 10 to 12. */
const older: TransactionWords = {
  id: 'select pg_catalog.txid_current_if_assigned()',
  assignedId: 'select pg_catalog.txid_current()',
  statusOf: (id) => `pg_catalog.txid_status('${id}'::pg_catalog.int8)`,
}

/** The columns `system` and `timeline`, from {@link control}. */
export const identity: string = `control.system_identifier as system,
  case when pg_catalog.pg_is_in_recovery() then null
    else pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end as timeline`
export const control = 'pg_catalog.pg_control_system() as control'

/** By everybody: a transaction may act for a role that may do next to nothing. */
function callable(name: string): string {
  return `pg_catalog.has_function_privilege('public', pg_catalog.to_regprocedure('pg_catalog.${name}()'), 'execute')`
}

/** A server that does not know a word of it refuses it, and can be talked to all the same. */
export const greeting: string = `select ${identity},
  ${callable('pg_current_xact_id_if_assigned')} and ${callable('pg_current_xact_id')} as modern,
  ${callable('txid_current_if_assigned')} and ${callable('txid_current')} as older
from ${control}`

/** Undefined: it cannot be asked about transactions. */
export function serverOf({ rows: [row] }: Result<Record<string, unknown>>): Server | undefined {
  const words = row?.modern === 't' ? modern : row?.older === 't' ? older : undefined
  const seen = row === undefined ? undefined : identityOf(row)
  return words === undefined || seen === undefined ? undefined : { ...seen, words }
}

/** Of a row with the columns of {@link identity}, as text. */
export function identityOf({ system, timeline }: Readonly<Record<string, unknown>>): ServerIdentity | undefined {
  if (typeof system !== 'string') return undefined
  return { systemIdentifier: system, timeline: typeof timeline === 'string' ? timeline : undefined }
}
