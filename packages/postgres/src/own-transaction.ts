// The transaction that a connection is in, as we begin and end it: BEGIN and what follows are statements of ours.

import { type CommitTicket, ConnectionLostError, type TransactionSettings } from '@moorings/core'
import { plain } from './codec.js'
import type { Companions } from './companions.js'
import type { PostgresConnection } from './connection.js'
import type { RunOptions } from './job.js'
import { Trace } from './trace.js'
import { beginText, quoted } from './words.js'

/** The pool limits these itself, and destroys a connection that does not answer them. */
export const unlimited: RunOptions = { timeoutMs: 0 }

function setText(name: string): string {
  return `savepoint ${quoted(name)}`
}

export class OwnTransaction {
  readonly #connection: PostgresConnection
  readonly #companions: Companions
  /** Of the newest one. */
  #trace: Trace | undefined

  constructor(connection: PostgresConnection, companions: Companions) {
    this.#connection = connection
    this.#companions = companions
  }

  /** @throws InvalidOptionsError, ConnectionLostError */
  begin(settings?: TransactionSettings, traced = false): void {
    const text = beginText(settings)
    const lost = this.#connection.lost
    if (lost !== undefined) throw new ConnectionLostError(lost.message, { code: lost.code, cause: lost })
    const server = traced ? this.#connection.server : undefined
    this.#trace = server === undefined ? undefined : new Trace(server, settings?.accessMode === 'read only')
    this.#companions.begin(text, this.#trace)
  }

  get ticket(): CommitTicket | 'nothing' | undefined {
    return this.#trace?.ticket
  }

  /** Not async: mostly there is nothing to wait for but the answer. */
  commit(): Promise<'committed' | 'rolled-back'> {
    if (this.#companions.begun) {
      this.#companions.forgetBegin()
      return Promise.resolve('committed')
    }
    const { activity, transactionStatus } = this.#connection
    const trace = this.#trace
    const look = trace?.owes === true && activity === 'idle' && transactionStatus === 'open'
    return look ? this.#look(trace).then(() => this.#send()) : this.#send()
  }

  #send(): Promise<'committed' | 'rolled-back'> {
    return this.#connection
      .command('commit', { site: 'commit' })
      .then((tag) => (tag === 'ROLLBACK' ? 'rolled-back' : 'committed'))
  }

  /** In a round trip of its own: nothing could be sent behind what is to be seen. */
  async #look(trace: Trace): Promise<void> {
    const text = trace.look()
    trace.close()
    try {
      const { rows } = await this.#connection.execute({ text }, { codec: plain })
      const [id] = Object.values(rows[0] ?? {})
      trace.saw(id)
    } catch {
      if (this.#connection.lost === undefined) trace.missed()
      else trace.unsent()
    }
  }

  async rollback(): Promise<void> {
    this.#trace?.close()
    if (this.#companions.forgetBegin()) return
    await this.#connection.command('rollback', unlimited)
  }

  // --- savepoints ---

  savepoint(name: string): void | Promise<void> {
    return this.#step(setText(name))
  }

  /** Of one in which nothing was sent nothing ever is. */
  release(name: string): void | Promise<void> {
    if (!this.#companions.stepBack(setText(name))) return this.#step(`release savepoint ${quoted(name)}`)
  }

  rollbackTo(name: string): void | Promise<void> {
    if (!this.#companions.stepBack(setText(name))) return this.#sendStep(`rollback to savepoint ${quoted(name)}`)
  }

  /**
   * Travels with the next statement where the server cannot but carry it out: whoever waits for it waits for nothing. If it
   * is refused all the same, as a statement of the application's has ended the savepoint, the transaction has failed, and
   * the next statement says so, or COMMIT.
   */
  #step(text: string): void | Promise<void> {
    const { activity, lost, transactionStatus } = this.#connection
    const sound = lost === undefined && activity === 'idle' && transactionStatus === 'open'
    if (!sound || !this.#companions.mayStep) return this.#sendStep(text)
    this.#companions.step(text)
  }

  async #sendStep(text: string): Promise<void> {
    await this.#connection.command(text)
  }
}
