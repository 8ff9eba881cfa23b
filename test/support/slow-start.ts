// A server that takes its time to start: while it recovers, PostgreSQL answers everybody with 57P03. Our servers recover
// in no time, so the process that does it is held at a file that it has to read: a named pipe stands in for it.

import { constants } from 'node:fs'
import { chown, type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ProcessUser, run } from './processes.js'
import { until } from './until.js'

/** Read at every start, after a crash or not, before the log is replayed, and by nothing else. */
const file = 'pg_logical/replorigin_checkpoint'

export class HeldStart {
  readonly #path: string
  readonly #content: Buffer
  readonly #user: ProcessUser | undefined
  #pipe: FileHandle | undefined

  /** To be called while the server is down. */
  static async prepare(dataDir: string, user: ProcessUser | undefined): Promise<HeldStart> {
    const path = join(dataDir, file)
    const content = await readFile(path)
    await rm(path)
    await run('mkfifo', ['-m', '600', path], { user, cwd: dataDir, timeoutMs: 10_000 })
    return new HeldStart(path, content, user)
  }

  private constructor(path: string, content: Buffer, user: ProcessUser | undefined) {
    this.#path = path
    this.#content = content
    this.#user = user
  }

  /** Resolves when the server has come as far as it can. */
  async reached(): Promise<void> {
    // Opened without waiting, a pipe that nobody reads is an error.
    const opened = () => open(this.#path, constants.O_WRONLY | constants.O_NONBLOCK)
    this.#pipe = await until(opened, { what: 'the server to come to its start-up' })
    // It has the pipe open; whoever starts next finds the file.
    const again = `${this.#path}.again`
    await writeFile(again, this.#content, { mode: 0o600 })
    if (this.#user) await chown(again, this.#user.uid, this.#user.gid)
    await rename(again, this.#path)
  }

  /** Lets it read what it waits for. */
  async release(): Promise<void> {
    await this.#pipe?.writeFile(this.#content)
    await this.forget()
  }

  /** Once a server that was not released is gone. */
  async forget(): Promise<void> {
    await this.#pipe?.close()
    this.#pipe = undefined
  }
}
