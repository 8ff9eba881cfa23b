// The server's main process: started, watched until ready, and stopped.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { childrenOf, type ProcessUser, signal as send, spawnOptions, stateOf } from './processes.js'
import { until } from './until.js'

/** What PostgreSQL calls its ways to stop: wait for the clients, disconnect them, or drop everything. */
export type StopMode = 'smart' | 'fast' | 'immediate'

export const stopSignals = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const

export type StopSignal = (typeof stopSignals)[StopMode] | 'SIGKILL'

export interface PostmasterOptions {
  postgres: string
  dataDir: string
  logFile: string
  user: ProcessUser | undefined
  environment: NodeJS.ProcessEnv
  /** Told about every change of the process. */
  onProcess: (pid: number | undefined) => void
}

// A restart after SIGKILL replays the log first, on a machine that may be busy.
const startTimeoutMs = 60_000
const stopTimeoutMs = 30_000

export class Postmaster {
  readonly #options: PostmasterOptions
  /** Of the next start, on top of a clean one. */
  environment: NodeJS.ProcessEnv
  #child: ChildProcess | undefined
  /** How the last process ended. */
  #ended: string | undefined

  constructor(options: PostmasterOptions) {
    this.#options = options
    this.environment = options.environment
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves when the server takes connections. */
  async start(port: number): Promise<void> {
    this.launch(port)
    await this.ready()
  }

  /** Begins to start the server, see `ready`. */
  launch(port: number): void {
    if (this.#child) throw new Error('the server is running already')
    const { postgres, dataDir, logFile, user, onProcess } = this.#options
    const log = openSync(logFile, 'a')
    // A session of its own, or Ctrl-C in the terminal would stop the server under the tests' feet.
    const child = spawn(postgres, ['-D', dataDir, '-p', String(port)], {
      ...spawnOptions(user, dataDir, this.environment),
      stdio: ['ignore', log, log],
      detached: true,
    })
    closeSync(log)
    child.unref()
    this.#child = child
    this.#ended = undefined
    const onEnd = (how: string) => {
      if (this.#child !== child) return
      this.#ended = how
      this.#child = undefined
      onProcess(undefined)
    }
    child.once('error', (error) => onEnd(error.message))
    child.once('exit', (code, signal) => onEnd(`it ended with ${signal ?? `code ${code}`}`))
    onProcess(child.pid)
  }

  /** Resolves when the launched server takes connections; one that does not is ended. */
  async ready(): Promise<void> {
    const child = this.#child
    try {
      // Ended counts as an answer, so that a failed start is told at once.
      await until(async () => this.#ended !== undefined || (await this.#isReady()), {
        what: 'the server to take connections',
        timeoutMs: startTimeoutMs,
      })
      if (this.#ended !== undefined) throw new Error(this.#ended)
    } catch (cause) {
      if (this.#child === child) await this.stop('SIGKILL')
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`PostgreSQL did not start: ${reason}. The end of its log:\n${await this.logTail()}`, { cause })
    }
  }

  /** Sends the signal and resolves when the process is gone; does nothing when there is none. */
  async stop(signal: StopSignal): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined) return
    // The kernel does not pass SIGKILL on, and a backend that is computing would notice its orphanhood only later. Frozen
    // first, so that none is made meanwhile: while one lives, no other server starts on the same data.
    const all = signal === 'SIGKILL' ? await this.freeze() : [child.pid]
    for (const process of all) send(process, signal)
    // A frozen process would heed nothing but SIGKILL.
    if (signal !== 'SIGKILL') await this.thaw()
    const gone = async () => {
      if (this.#child === child) return false
      const states = await Promise.all(all.slice(1).map(stateOf))
      return states.every((state) => state === '' || state === 'Z')
    }
    try {
      await until(gone, { what: `the server to end after ${signal}`, timeoutMs: stopTimeoutMs })
    } catch (cause) {
      throw new Error(`PostgreSQL did not stop on ${signal}. The end of its log:\n${await this.logTail()}`, { cause })
    }
  }

  /** Stops every process of the server in its tracks: its sockets stay open, and nobody answers any more. Resolves with them. */
  async freeze(): Promise<number[]> {
    const { pid } = this
    if (pid === undefined) throw new Error('the server is not running, so it cannot be frozen')
    const frozen = new Set<number>()
    // The postmaster first, so that it makes no others, but for one that it may have been making just then. There is no
    // group to signal, as each of them is a session of its own.
    for (let next = [pid]; next.length > 0; next = (await childrenOf(pid)).filter((child) => !frozen.has(child))) {
      for (const process of next) {
        send(process, 'SIGSTOP')
        frozen.add(process)
      }
    }
    // One that runs just then hears of it a moment later.
    const stopped = async () => (await Promise.all([...frozen].map(stateOf))).every((state) => /^[TZ]?$/.test(state))
    await until(stopped, { what: 'the server to stand still', timeoutMs: stopTimeoutMs })
    return [...frozen]
  }

  /** Lets a frozen server go on; does nothing to one that is not. */
  async thaw(): Promise<void> {
    const { pid } = this
    if (pid === undefined) return
    for (const process of [...(await childrenOf(pid)), pid]) send(process, 'SIGCONT')
  }

  reload(): void {
    if (this.pid === undefined) throw new Error('the server is not running, so its settings cannot be reloaded')
    send(this.pid, 'SIGHUP')
  }

  async logTail(lines = 30): Promise<string> {
    const log = await readFile(this.#options.logFile, 'utf8').catch(() => '')
    return log.trimEnd().split('\n').slice(-lines).join('\n') || '(the log is empty)'
  }

  /** As pg_ctl does it: the first line of postmaster.pid is the process, the eighth its state. */
  async #isReady(): Promise<boolean> {
    const status = await readFile(join(this.#options.dataDir, 'postmaster.pid'), 'utf8').catch(() => '')
    const lines = status.split('\n')
    return Number(lines[0]) === this.pid && lines[7]?.trim() === 'ready'
  }
}
