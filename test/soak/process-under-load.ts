// The parent's side of load-process.ts.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Report } from '../integration/children/stage.js'
import type { LoadSettings, Order, Progress, Rest } from './messages.js'

/** Built by `tsc -b`, as it runs on the packages' own exports. */
const program = new URL(
  import.meta.url.includes('/dist/') ? 'load-process.js' : '../dist/soak/load-process.js',
  import.meta.url,
)
/**
 * Weighed without the machine code that V8 makes and drops as it sees fit, which alone comes and goes by several hundred
 * kilobytes.
 */
const weighable = ['--expose-gc', '--no-opt', '--no-maglev', '--no-flush-bytecode']
/** From its report, the last thing it does, to its end. */
const endMs = 5_000

interface Answers {
  run: Progress
  rest: Rest
}

export interface End {
  /** What it printed, on either stream. */
  readonly output: string
  readonly how: string
  readonly report: Report | undefined
}

export class ProcessUnderLoad {
  readonly #child: ChildProcess
  readonly #ended: Promise<string>
  #output = ''
  #report: Report | undefined
  #answered: ((answer: never) => void) | undefined

  constructor(url: string, settings: LoadSettings, onProgress: (progress: Progress) => void) {
    this.#child = fork(fileURLToPath(program), [JSON.stringify(settings)], {
      execArgv: [...weighable, '--unhandled-rejections=strict'],
      env: { PATH: process.env.PATH, STAGE_URL: url },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString()
      })
    }
    this.#child.on('message', (message: { answer?: never; progress?: Progress; report?: Report }) => {
      if (message.progress !== undefined) onProgress(message.progress)
      if (message.answer !== undefined) this.#answered?.(message.answer)
      this.#report = message.report ?? this.#report
    })
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(String(error)))
      this.#child.once('close', (code, signal) => resolve(signal ?? `code ${code}`))
    })
  }

  /**
   * One at a time.
   *
   * @throws Error when the process ends instead of answering
   */
  async ask<Ask extends keyof Answers>(order: Order & { ask: Ask }): Promise<Answers[Ask]> {
    const answer = new Promise<Answers[Ask]>((resolve) => {
      this.#answered = resolve
    })
    this.#send(order)
    const early = this.#ended.then((how) => {
      throw new Error(`the process under load ended with ${how}\n${this.#output}`)
    })
    return Promise.race([answer, early])
  }

  stop(): void {
    this.#send({ ask: 'stop' })
  }

  /** It closes its pool, and then has to end by itself. */
  async end(limitMs: number): Promise<End> {
    this.#send({ ask: 'end' })
    const limit = setTimeout(() => this.kill(), limitMs)
    this.#child.once('disconnect', () => setTimeout(() => this.kill(), endMs).unref())
    const how = await this.#ended
    clearTimeout(limit)
    return { how, output: this.#output, report: this.#report }
  }

  /** At once; nothing to do when it has ended. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #send(order: Order): void {
    if (this.#child.connected) this.#child.send(order)
  }
}
