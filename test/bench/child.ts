// A process of a subject's own, which does what it is asked to and answers.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/**
 * Collections are asked for where memory is read. They otherwise throw away the code of what has not run since the last
 * few; and a young generation of one size is what an application that has run for a while ends up with.
 */
const flags = ['--expose-gc', '--no-flush-bytecode', '--min-semi-space-size=16', '--unhandled-rejections=strict']

export interface Birth {
  /** Whose process it is, for errors. */
  readonly name: string
  /** What it runs, built. */
  readonly file: URL
  readonly args: readonly string[]
  /** Of Node, on top of those of all. */
  readonly flags?: readonly string[]
}

export class Child<Order extends object> {
  readonly #name: string
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>

  constructor({ name, file, args, flags: more = [] }: Birth) {
    this.#name = name
    this.#process = fork(fileURLToPath(file), args, { execArgv: [...flags, ...more] })
    this.#ended = once(this.#process, 'exit')
  }

  /** Whoever asks knows what is answered. */
  async ask<Answer>(order: Order): Promise<Answer> {
    const answered = new Promise<Answer>((resolve) => this.#process.once('message', resolve))
    if (this.#process.connected) this.#process.send(order)
    return Promise.race([answered, this.#ended.then(() => this.#fail())])
  }

  /** Asks for what makes it end by itself. */
  async end(order: Order): Promise<void> {
    this.#process.send(order)
    await this.#ended
    if (this.#process.exitCode !== 0) this.#fail()
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  #fail(): never {
    const { exitCode, signalCode } = this.#process
    throw new Error(`The process of "${this.#name}" ended with ${exitCode ?? signalCode}`)
  }
}
