// A server's temporary folder, which must not outlive the process that made it, however that process ends.
//
// Two guards. A reaper: a shell that waits for the end of a pipe, which the kernel closes with our process (signals,
// process.exit, SIGKILL), and then stops the server and removes the folder; so nothing here touches signal handlers.
// And a sweep at the next start, for when the reaper was killed too: the owner listens on a socket in the folder, so a
// refused connection proves its owner dead, without trusting process ids that get reused.

import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, lstat, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { childrenOf, cleanEnvironment, commandLine, run, signal } from './processes.js'
import { until } from './until.js'

const prefix = 'moorings-cluster-'
const ownerSocket = 'owner'

// Reads the server's process id, a line each time it changes, '' while none runs; the last one counts when the pipe ends.
const reaperScript = `
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2>/dev/null
  # It may be frozen, and so may its children.
  kill -CONT $(cat "/proc/$pid/task/$pid/children" 2>/dev/null || pgrep -P "$pid") "$pid" 2>/dev/null
  tries=0
  while [ -f "$1/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$1"
`

export class OwnedFolder {
  readonly path: string
  readonly #owner: Server
  readonly #reaper: ChildProcess

  static async create(parent: string): Promise<OwnedFolder> {
    await sweep(parent)
    const path = await mkdtemp(join(parent, prefix))
    // The server's user passes through to the data folder, which is closed to everybody else.
    await chmod(path, 0o711)
    const owner = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve, reject) => {
      owner.once('error', reject)
      owner.listen(join(path, ownerSocket), resolve)
    })
    owner.unref()
    return new OwnedFolder(path, owner)
  }

  private constructor(path: string, owner: Server) {
    this.path = path
    this.#owner = owner
    // A session of its own: Ctrl-C goes to the whole foreground group and must not take the reaper before its work.
    this.#reaper = spawn('/bin/sh', ['-c', reaperScript, 'reaper', path], {
      cwd: '/',
      env: cleanEnvironment,
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#reaper.on('error', () => {})
    this.#reaper.stdin?.on('error', () => {})
    this.#reaper.unref()
    // Spawned pipes are sockets, which can be unreferenced; the declared type does not say so.
    ;(this.#reaper.stdin as unknown as { unref(): void }).unref()
  }

  /** Tells the reaper which process to stop if we vanish. */
  serverIs(pid: number | undefined): void {
    this.#reaper.stdin?.write(`${pid ?? ''}\n`)
  }

  async remove(): Promise<void> {
    const { pid } = this.#reaper
    this.serverIs(undefined)
    this.#reaper.stdin?.end()
    await new Promise((resolve) => this.#owner.close(resolve))
    await removeFolder(this.path)
    if (pid === undefined) return
    await until(() => this.#reaper.exitCode !== null || this.#reaper.signalCode !== null, {
      what: `the reaper of ${this.path} to finish`,
    })
  }
}

/** Stops and removes the clusters in `parent` whose owners are dead. */
export async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue
    const folder = join(parent, name)
    try {
      if (!(await isStale(folder))) continue
      await stopLeftServer(join(folder, 'data'))
      await removeFolder(folder)
    } catch {
      // Another sweep may be at it, or the folder resists: what is left is not worth failing a start for.
    }
  }
}

// Between its creation and the moment its owner listens a folder has no socket; nobody takes a minute for that.
const youthMs = 60_000

async function isStale(folder: string): Promise<boolean> {
  const found = await lstat(folder)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) return false
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(join(folder, ownerSocket))
    socket.once('connect', () => {
      resolve('alive')
      // Its owner may be stopped, and would never close it.
      socket.destroy()
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
  })
  if (answer === 'ENOENT') return Date.now() - found.mtimeMs > youthMs
  return answer === 'ECONNREFUSED'
}

async function stopLeftServer(dataDir: string): Promise<void> {
  const pid = Number((await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')[0])
  const runs = async () => pid > 0 && (await commandLine(pid)).includes(dataDir)
  if (!(await runs())) return
  signal(pid, 'SIGQUIT')
  // It may have been left frozen.
  for (const process of [...(await childrenOf(pid)), pid]) signal(process, 'SIGCONT')
  await until(async () => !(await runs()), { what: `the server left behind in ${dataDir} to stop` }).catch(() => {
    signal(pid, 'SIGKILL')
  })
}

async function removeFolder(folder: string): Promise<void> {
  await releaseSharedMemory(join(folder, 'data'))
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
}

/**
 * A server ended by SIGKILL leaves its System V segment (56 bytes, but the system's supply of them is limited) and the
 * file that names it, on the seventh line: key and id.
 */
async function releaseSharedMemory(dataDir: string): Promise<void> {
  const status = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')
  const id = status.split('\n')[6]?.trim().split(/\s+/)[1]
  // Without ipcrm it stays; not worth failing for.
  if (id) await run('ipcrm', ['-m', id], { cwd: '/', timeoutMs: 10_000 }).catch(() => {})
}
