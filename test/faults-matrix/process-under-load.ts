// The harness's side of load-process.ts.

import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Call, LoadSettings, Operation, Order, Telling } from './messages.js'

/** Built by `tsc -b`, as it runs on the packages' own exports. */
const program = new URL(
  import.meta.url.includes('/dist/') ? 'load-process.js' : '../dist/faults-matrix/load-process.js',
  import.meta.url,
)

export class ProcessUnderLoad {
  readonly calls: Call[] = []
  /** What was told last of each. */
  readonly operations = new Map<string, Operation>()
  readonly uncaught: string[] = []
  readonly #child: ChildProcess
  readonly #ended: Promise<string>
  readonly #answered = new Map<Order['ask'], () => void>()
  #output = ''

  constructor(settings: LoadSettings) {
    this.#child = fork(fileURLToPath(program), [JSON.stringify(settings)], {
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output = `${this.#output}${chunk.toString()}`.slice(-2_000)
      })
    }
    this.#child.on('message', (telling: Telling) => this.#hear(telling))
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(String(error)))
      this.#child.once('close', (code, signal) => resolve(signal ?? `code ${code}`))
    })
  }

  /**
   * One of a kind at a time.
   *
   * @throws Error when the process ends instead of answering, or does not answer in time
   */
  async ask(order: Order, limitMs: number): Promise<void> {
    const answer = new Promise<'answered'>((resolve) => {
      this.#answered.set(order.ask, () => resolve('answered'))
    })
    if (this.#child.connected) this.#child.send(order)
    const over = AbortSignal.timeout(limitMs)
    const late = new Promise<string>((resolve) => {
      over.addEventListener('abort', () => resolve(`did not answer within ${limitMs} ms`), { once: true })
    })
    const early = this.#ended.then((how) => `ended with ${how}`)
    const outcome = await Promise.race([answer, early, late])
    if (outcome !== 'answered')
      throw new Error(`the process under load ${outcome}: ${this.#output.trim().replaceAll(/\s+/g, ' ')}`)
  }

  /** After `close`: how it ended, by itself, or undefined if it did not. */
  async leave(limitMs: number): Promise<string | undefined> {
    const over = new AbortController()
    const late = pause(limitMs, undefined, { signal: over.signal }).catch(() => undefined)
    return Promise.race([this.#ended, late]).finally(() => over.abort())
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  #hear({ calls, operations, uncaught, answer }: Telling): void {
    this.calls.push(...calls)
    for (const operation of operations) this.operations.set(operation.id, operation)
    this.uncaught.push(...uncaught)
    if (answer !== undefined) this.#answered.get(answer)?.()
  }
}
