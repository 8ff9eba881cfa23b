// The transaction that a connection is in, as we begin and end it: BEGIN and what follows are statements of ours.

import { type CommitTicket, ConnectionLostError, type TransactionSettings } from '@moorings/core'
import { plain } from './codec.js'
import type { Companions } from './companions.js'
import type { PostgresConnection } from './connection.js'
import type { RunOptions } from './job.js'
import { Trace } from './trace.js'
import { beginText } from './words.js'

/** The pool limits these itself, and destroys a connection that does not answer them. */
export const unlimited: RunOptions = { timeoutMs: 0 }

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
    if (this.#companions.forgetBegin()) return Promise.resolve('committed')
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
}
