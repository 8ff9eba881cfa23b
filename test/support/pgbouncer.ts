// PgBouncer in front of a server, from wherever the system has it. It is no npm package, so it may be missing.

import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { chmod, chown, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { connectAdmin } from './admin.js'
import { freePort } from './free-port.js'
import { OwnedFolder } from './owned-folder.js'
import { run, spawnOptions } from './processes.js'
import { targetOf } from './proxy.js'
import { serverUser, temporaryFolder } from './server-user.js'
import { until } from './until.js'

export interface PgbouncerOptions {
  /** Of the server behind it, with the user and password that clients come with too. */
  url: string
  /** When a client gets another of the server's connections. Default `transaction`. */
  poolMode?: 'session' | 'transaction' | 'statement'
  /** Connections to the server for each database and user. Default 5. */
  poolSize?: number
  /** For its ini file on top of ours, for example `{ query_wait_timeout: 1 }`. */
  settings?: Readonly<Record<string, string | number>>
}

export interface Pgbouncer {
  readonly host: string
  readonly port: number
  /** For example `1.18.0`, which knows no prepared statements in transaction mode; 1.21 and newer do. */
  readonly version: string
  /** The URL that leads through here to the same database. */
  through(url: string): string
  /** Asks its console, for example `show pools`. */
  console(command: string): Promise<Record<string, unknown>[]>
  /** Ends it and removes everything it left. */
  stop(): Promise<void>
}

const host = '127.0.0.1'
/** Where systems have it that do not have it in everybody's path. */
const folders = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/opt/homebrew/bin', '/opt/homebrew/sbin']

export function findPgbouncer(path = process.env.PATH ?? ''): string | undefined {
  const candidates = [...path.split(delimiter).filter(Boolean), ...folders].map((folder) => join(folder, 'pgbouncer'))
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

export async function startPgbouncer(options: PgbouncerOptions): Promise<Pgbouncer> {
  const program = findPgbouncer()
  if (program === undefined) throw new Error('pgbouncer is not installed')
  // It refuses to run as root, as PostgreSQL does.
  const user = serverUser()
  const folder = await OwnedFolder.create(await temporaryFolder(user))
  try {
    const port = await freePort(host)
    const files = { ini: join(folder.path, 'pgbouncer.ini'), users: join(folder.path, 'users') }
    await writeFile(files.ini, configuration(options, port, files.users))
    await writeFile(files.users, credentials(options.url), { mode: 0o600 })
    if (user) await chown(files.users, user.uid, user.gid)
    await chmod(files.ini, 0o644)
    const banner = await run(program, ['--version'], { user, cwd: folder.path, timeoutMs: 10_000 })
    const child = spawn(program, [files.ini], {
      ...spawnOptions(user, folder.path),
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    })
    const pooler = new RunningPgbouncer(folder, child, { url: options.url, port, banner })
    await pooler.ready()
    return pooler
  } catch (error) {
    await folder.remove()
    throw error
  }
}

function configuration(
  { url, poolMode = 'transaction', poolSize = 5, settings }: PgbouncerOptions,
  port: number,
  users: string,
): string {
  const server = targetOf(url)
  const all = {
    listen_addr: host,
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: users,
    admin_users: decodeURIComponent(new URL(url).username),
    pool_mode: poolMode,
    default_pool_size: poolSize,
    max_client_conn: 1_000,
    // Tries again soon when a server was away: by itself it waits 15 s.
    server_login_retry: 0.1,
    ...settings,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`)
  return ['[databases]', `* = host=${server.host} port=${server.port}`, '[pgbouncer]', ...lines, ''].join('\n')
}

function credentials(url: string): string {
  const { username, password } = new URL(url)
  const quoted = [username, password].map((text) => `"${decodeURIComponent(text).replaceAll('"', '""')}"`)
  return `${quoted.join(' ')}\n`
}

class RunningPgbouncer implements Pgbouncer {
  readonly host = host
  readonly port: number
  readonly version: string
  readonly #folder: OwnedFolder
  readonly #child: ChildProcess
  readonly #ended: Promise<string>
  readonly #url: string
  #log = ''

  constructor(
    folder: OwnedFolder,
    child: ChildProcess,
    { url, port, banner }: { url: string; port: number; banner: string },
  ) {
    this.#folder = folder
    this.#child = child
    this.port = port
    this.version = /(\d+\.\d+(?:\.\d+)?)/.exec(banner)?.[1] ?? banner
    this.#url = url
    child.unref()
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#log = `${this.#log}${chunk.toString()}`.slice(-5_000)
    })
    // It is a socket, which can be unreferenced; the declared type does not say so.
    ;(child.stderr as unknown as { unref(): void }).unref()
    folder.serverIs(child.pid)
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(signal ?? `code ${code}`))
    })
  }

  async ready(): Promise<void> {
    const failed = this.#ended.then((how) => {
      throw new Error(`pgbouncer ended with ${how}`)
    })
    try {
      await Promise.race([until(() => this.console('show version'), { what: 'pgbouncer to answer' }), failed])
    } catch (cause) {
      this.#child.kill('SIGKILL')
      throw new Error(`pgbouncer did not start. The end of its log:\n${this.#log}`, { cause })
    }
  }

  through(url: string): string {
    const changed = new URL(url)
    changed.hostname = this.host
    changed.port = String(this.port)
    return changed.href
  }

  async console(command: string): Promise<Record<string, unknown>[]> {
    const url = new URL(this.through(this.#url))
    url.pathname = '/pgbouncer'
    const admin = connectAdmin(url.href)
    try {
      return await admin.query(command)
    } finally {
      await admin.end()
    }
  }

  async stop(): Promise<void> {
    // What it would do on gentler signals differs by version.
    this.#child.kill('SIGKILL')
    await this.#ended
    await this.#folder.remove()
  }
}
