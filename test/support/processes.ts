// Running the server's programs: as another user when needed, with a clean environment, a limit and a readable error.

import { execFile, type SpawnOptions, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

export interface ProcessUser {
  name: string
  uid: number
  gid: number
}

/** PGDATA, PGPORT, PGTZ, LD_LIBRARY_PATH and the like of whoever runs the tests must not change the server under test. */
export const cleanEnvironment: NodeJS.ProcessEnv = { PATH: process.env.PATH, LC_ALL: 'C' }

/** @param environment on top of a clean one */
export function spawnOptions(
  user: ProcessUser | undefined,
  cwd: string,
  environment: NodeJS.ProcessEnv = {},
): SpawnOptions {
  // The working directory is set explicitly: PostgreSQL refuses to start where its user may not look.
  return { cwd, env: { ...cleanEnvironment, ...environment }, ...(user && { uid: user.uid, gid: user.gid }) }
}

export interface RunOptions {
  user?: ProcessUser | undefined
  cwd: string
  timeoutMs: number
}

/** Runs a program to its end and resolves with what it printed; rejects with that text when it fails. */
export function run(program: string, args: readonly string[], { user, cwd, timeoutMs }: RunOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...spawnOptions(user, cwd), stdio: ['ignore', 'pipe', 'pipe'] })
    const asWhom = user ? ` (as user ${user.name})` : ''
    let output = ''
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    let expired = false
    const limit = setTimeout(() => {
      expired = true
      child.kill('SIGKILL')
    }, timeoutMs)
    child.once('error', (error) => {
      clearTimeout(limit)
      reject(new Error(`cannot run ${program}${asWhom}: ${error.message}`, { cause: error }))
    })
    child.once('close', (code, signal) => {
      clearTimeout(limit)
      if (code === 0) return resolve(output)
      const end = expired ? `did not finish within ${timeoutMs} ms` : `ended with ${signal ?? `code ${code}`}`
      reject(new Error(`${program} ${args.join(' ')}${asWhom} ${end}:\n${output.trim()}`))
    })
  })
}

const execute = promisify(execFile)

/**
 * The command line of a process, '' when it ended (an unreaped one has none either): also tells a postmaster from a
 * stranger that got its pid.
 */
export async function commandLine(pid: number): Promise<string> {
  try {
    if (process.platform === 'linux') return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ')
    return (await execute('ps', ['-o', 'command=', '-p', String(pid)])).stdout
  } catch {
    return ''
  }
}

/** As `ps` abbreviates it: `T` is stopped, `Z` ended, '' gone. */
export async function stateOf(pid: number): Promise<string> {
  try {
    if (process.platform === 'linux')
      return /^State:\s+(\w)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
    return (await execute('ps', ['-o', 'state=', '-p', String(pid)])).stdout.trim().slice(0, 1)
  } catch {
    return ''
  }
}

export async function childrenOf(pid: number): Promise<number[]> {
  try {
    const list =
      process.platform === 'linux'
        ? await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
        : (await execute('pgrep', ['-P', String(pid)])).stdout
    return list.split(/\s+/).filter(Boolean).map(Number)
  } catch {
    return []
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
