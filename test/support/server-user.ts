// Who runs the server, and where its files can lie. PostgreSQL refuses uid 0, so root borrows an unprivileged user.

import { readFileSync, statSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import type { ProcessUser } from './processes.js'

const borrowable = ['nobody', 'postgres', 'daemon']

/** `undefined`: the server runs as whoever runs this process. */
export function serverUser(): ProcessUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  // initdb looks its user up, so an invented uid will not do.
  const entries = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  for (const wanted of borrowable) {
    const entry = entries.find(([name]) => name === wanted)
    if (entry) return { name: wanted, uid: Number(entry[2]), gid: Number(entry[3]) }
  }
  throw new Error(
    `PostgreSQL does not run as root, and /etc/passwd has none of the users ${borrowable.join(', ')} to run it as. ` +
      'Run this as an ordinary user, or set DATABASE_URL to a server of your own.',
  )
}

/** Whether a user other than the owners may pass through every folder from the root down to `path`. */
export function isTraversable(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

// sun_path holds 104 bytes on macOS; below the folder come `moorings-cluster-XXXXXX/data/.s.PGSQL.12345`.
const longestTemporaryFolder = 55

/** A temporary folder that the server's user can reach and in which a unix socket's path is not too long. */
export async function temporaryFolder(user: ProcessUser | undefined): Promise<string> {
  const candidates = [tmpdir(), '/tmp', '/var/tmp']
  for (const candidate of candidates) {
    const folder = await realpath(candidate).catch(() => undefined)
    if (!folder || folder.length > longestTemporaryFolder) continue
    if (!user || isTraversable(folder)) return folder
  }
  throw new Error(
    `none of ${candidates.join(', ')} will do for a PostgreSQL cluster: each is missing, longer than ` +
      `${longestTemporaryFolder} characters${user ? `, or closed to the user ${user.name}` : ''}. Set TMPDIR.`,
  )
}
