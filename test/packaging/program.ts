// Runs a program to its end and keeps what it printed.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The repository: this file is run from test/dist/packaging. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface Invocation {
  readonly program: string
  readonly args?: readonly string[]
  /** Default: the repository. */
  readonly cwd?: string
  /** On top of this process's own. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Outcome {
  readonly ok: boolean
  readonly stdout: string
  /** stdout and stderr as they came. */
  readonly output: string
}

/** More than any of these takes on a slow machine with a cold cache. */
const limitMs = 300_000

export function run({ program, args = [], cwd = root, env = {} }: Invocation): Promise<Outcome> {
  return new Promise((resolve) => {
    let stdout = ''
    let output = ''
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: limitMs,
      killSignal: 'SIGKILL',
    })
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
      output += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.on('error', (error) => resolve({ ok: false, stdout, output: `${output}${error.message}\n` }))
    child.on('close', (code, signal) => {
      const end = signal === null ? '' : `(ended by ${signal}; the limit is ${limitMs} ms)\n`
      resolve({ ok: code === 0, stdout, output: output + end })
    })
  })
}

/** Rejects with what the program printed when it fails. */
export async function mustRun(invocation: Invocation): Promise<string> {
  const { ok, stdout, output } = await run(invocation)
  if (ok) return stdout
  throw new Error(`${[invocation.program, ...(invocation.args ?? [])].join(' ')} failed:\n${output.trimEnd()}`)
}
