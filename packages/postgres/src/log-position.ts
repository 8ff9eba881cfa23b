// Where a PostgreSQL server is in its write-ahead log: a primary in writing it, a standby in replaying it.

import { isMooringsError, type LogPosition } from '@moorings/core'
import { plain } from './codec.js'
import type { PostgresConnection } from './connection.js'

/** What a primary has inserted may not be written yet, where COMMIT does not wait for that; so both are asked for. */
const query = `
  select
    standby,
    case when standby then pg_catalog.pg_last_wal_replay_lsn() else pg_catalog.pg_current_wal_lsn() end
      - '0/0'::pg_catalog.pg_lsn as position,
    case when standby then null else pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn end as inserted,
    pg_catalog.current_setting('wal_block_size') as block,
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) as segment
  from pg_catalog.pg_is_in_recovery() as standby`

/** Not offered, not there, or not for this user: services that replicate in ways of their own, and other databases. */
const untold = new Set(['0A000', '42883', '42P01', '42704', '42501'])

/** What stands at the beginning of each block, and of each segment, before anything that a standby could replay. */
const BLOCK_HEADER = 24n
const SEGMENT_HEADER = 40n

/** @throws when it could not be asked */
export async function logPosition(connection: PostgresConnection, signal: AbortSignal): Promise<LogPosition> {
  let row: Readonly<Record<string, unknown>> | undefined
  try {
    const { rows } = await connection.execute({ text: query }, { codec: plain, signal, timeoutMs: 0 })
    row = rows[0]
  } catch (error) {
    if (isMooringsError(error) && error.code !== undefined && untold.has(error.code)) return 'unknown'
    throw error
  }
  // A standby that has only just begun shows nothing of it.
  const position = numberIn(row?.position) ?? 0n
  const [inserted, block, segment] = [row?.inserted, row?.block, row?.segment].map(numberIn)
  if (inserted === undefined || block === undefined || segment === undefined) return position
  return endOf({ written: position, inserted, block, segment })
}

interface PrimaryPositions {
  readonly written: bigint
  readonly inserted: bigint
  readonly block: bigint
  readonly segment: bigint
}

/**
 * Where the last record ends. Where that is the end of a block, a primary says that it inserts behind the header of the
 * next one already; a standby that has replayed everything would be behind for as long as nothing is written.
 */
export function endOf({ written, inserted, block, segment }: PrimaryPositions): bigint {
  const ahead = inserted - written
  const header = written % segment === 0n ? SEGMENT_HEADER : BLOCK_HEADER
  return written % block === 0n && ahead === header ? written : inserted
}

function numberIn(text: unknown): bigint | undefined {
  return typeof text === 'string' ? BigInt(text) : undefined
}
