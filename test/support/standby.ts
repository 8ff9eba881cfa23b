// What makes a data folder a standby's: a copy of the primary's, taken while that runs, and the settings to stream from it.
// pg_basebackup is not among the programs we have; this is what it does, by PostgreSQL's "low level API" for backups.

import { chown, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { ProcessUser } from './processes.js'

export interface Primary {
  /** As a user that may replicate. */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly dataDir: string
}

export async function copyData(primary: Primary, target: string, user: ProcessUser | undefined): Promise<void> {
  // A backup belongs to the connection that began it.
  const client = new pg.Client({ connectionString: primary.url, statement_timeout: 60_000 })
  await client.connect()
  try {
    await client.query(`select pg_backup_start('standby', fast => true)`)
    await copyFolder(primary.dataDir, target, user)
    const { rows } = await client.query<{ label: string }>('select labelfile as label from pg_backup_stop(false)')
    await writeOwned(join(target, 'backup_label'), rows[0]?.label ?? '', user)
  } finally {
    await client.end()
  }
}

/** Makes the server begin as a standby at its next start. */
export async function markAsStandby(dataDir: string, user: ProcessUser | undefined): Promise<void> {
  await writeOwned(join(dataDir, 'standby.signal'), '', user)
}

export function standbySettings({ host, port, user, password }: Primary): Record<string, string> {
  return {
    primary_conninfo: `host=${host} port=${port} user=${user} password=${password} connect_timeout=5`,
    // Looks again soon for a primary that was away.
    wal_retrieve_retry_interval: '100ms',
    // Once promoted it has no standbys of its own, whatever the primary whose settings these were has waited for.
    synchronous_standby_names: '',
  }
}

/** What belongs to the running server alone, and the log, which the standby has streamed to it from the copy's start. */
const leftOut = /^(postmaster\.(pid|opts)|\.s\.PGSQL\..*|standby\.signal|backup_label.*|pgsql_tmp.*)$/
const emptied = new Set([
  'pg_wal',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])

async function copyFolder(source: string, target: string, user: ProcessUser | undefined, empty = false): Promise<void> {
  await mkdir(target, { mode: 0o700 })
  if (user) await chown(target, user.uid, user.gid)
  for (const entry of await readdir(source, { withFileTypes: true }).catch(unlessGone([]))) {
    if (leftOut.test(entry.name)) continue
    const [from, to] = [join(source, entry.name), join(target, entry.name)]
    if (entry.isDirectory()) await copyFolder(from, to, user, empty || emptied.has(entry.name))
    else if (entry.isFile() && !empty) await copyOwned(from, to, user)
  }
}

async function copyOwned(from: string, to: string, user: ProcessUser | undefined): Promise<void> {
  const copied = await copyFile(from, to).then(() => true, unlessGone(false))
  if (copied && user) await chown(to, user.uid, user.gid)
}

/** Files come and go under a running server; the log says what became of them. */
function unlessGone<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return instead
    throw error
  }
}

async function writeOwned(path: string, content: string, user: ProcessUser | undefined): Promise<void> {
  await writeFile(path, content, { mode: 0o600 })
  if (user) await chown(path, user.uid, user.gid)
}
