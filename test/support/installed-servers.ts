// PostgreSQL servers that this machine has installed, by a package of its system or otherwise. Those of the npm packages
// have no translations of what the server says; these often have.

import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Binaries } from './binaries.js'
import { type ProcessUser, run } from './processes.js'

export interface InstalledServer extends Binaries {
  /** Of 15.18, 15. */
  release: number
  /** Of the messages it can speak, for example `de`, `zh_CN`. */
  languages: readonly string[]
}

const oldestRelease = 15

/** Where packages put the programs: a folder, what in it is theirs (every one of that form), and where in that they are. */
const places: readonly [parent: string, name: RegExp, rest: string][] = [
  // Debian, Ubuntu
  ['/usr/lib/postgresql', /^\d+$/, 'bin'],
  // PostgreSQL's own packages for RHEL and its like, and for SUSE
  ['/usr', /^pgsql-\d+$/, 'bin'],
  ['/usr/lib', /^postgresql\d+$/, 'bin'],
  // Fedora, RHEL, Arch; Alpine
  ['/usr', /^bin$/, ''],
  ['/usr/libexec', /^postgresql\d+$/, ''],
  // Homebrew: of Apple's processors, Intel's, and Linux
  ['/opt/homebrew/opt', /^postgresql(@\d+)?$/, 'bin'],
  ['/usr/local/opt', /^postgresql(@\d+)?$/, 'bin'],
  ['/home/linuxbrew/.linuxbrew/opt', /^postgresql(@\d+)?$/, 'bin'],
  // Built from its sources; FreeBSD
  ['/usr/local', /^pgsql$/, 'bin'],
  ['/usr/local', /^bin$/, ''],
  // Postgres.app
  ['/Applications/Postgres.app/Contents/Versions', /^\d+$/, 'bin'],
]

/** The newest first, each once. */
export async function installedServers(user: ProcessUser | undefined): Promise<InstalledServer[]> {
  const folders = new Set<string>()
  for (const folder of await candidates()) {
    const real = await realpath(folder).catch(() => undefined)
    if (real !== undefined) folders.add(real)
  }
  const servers: InstalledServer[] = []
  for (const folder of folders) {
    const server = await serverIn(folder, user)
    if (server !== undefined && server.release >= oldestRelease) servers.push(server)
  }
  return servers.sort((one, other) => other.release - one.release)
}

async function candidates(): Promise<string[]> {
  const folders: string[] = []
  const named = await output('pg_config', '--bindir')
  if (named !== undefined) folders.push(named)
  for (const [parent, name, rest] of places) {
    for (const entry of await readdir(parent).catch(() => [])) {
      if (name.test(entry)) folders.push(join(parent, entry, rest))
    }
  }
  return folders
}

async function serverIn(folder: string, user: ProcessUser | undefined): Promise<InstalledServer | undefined> {
  const [initdb, postgres] = [join(folder, 'initdb'), join(folder, 'postgres')]
  if (!(await isFile(initdb)) || !(await isFile(postgres))) return undefined
  const banner = await run(postgres, ['--version'], { user, cwd: '/', timeoutMs: 20_000 }).catch(() => '')
  const [version, release] = /(\d+)(?:\.\d+)?/.exec(banner) ?? []
  if (version === undefined) return undefined
  return { initdb, postgres, version, release: Number(release), languages: await languagesOf(folder, Number(release)) }
}

async function languagesOf(folder: string, release: number): Promise<string[]> {
  const told = await output(join(folder, 'pg_config'), '--localedir')
  const catalogues = [told, join(folder, '../share/locale'), '/usr/share/locale', '/usr/local/share/locale']
  const languages = new Set<string>()
  for (const catalogue of catalogues) {
    if (catalogue === undefined) continue
    for (const language of await readdir(catalogue).catch(() => [])) {
      if (await isFile(join(catalogue, language, 'LC_MESSAGES', `postgres-${release}.mo`))) languages.add(language)
    }
  }
  return [...languages].sort()
}

async function output(program: string, option: string): Promise<string | undefined> {
  const text = await run(program, [option], { cwd: '/', timeoutMs: 20_000 }).catch(() => undefined)
  return text?.trim()
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true
}
