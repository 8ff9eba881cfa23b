// What is known of a transaction's writing, so that its outcome can be asked for when COMMIT is not answered. The server
// gives it an id with its first write; that is looked up right behind every statement that may have been that one.

import type { CommitTicket } from '@moorings/core'
import type { AsideAnswer } from './aside.js'
import { evidentlyReads } from './reads.js'
import { remembered } from './remembered.js'
import type { Incarnation, Server, ServerIdentity } from './server.js'
import { bare } from './session-state.js'

/** Names a transaction to its server. Of another driver's ticket nothing is known here. */
export interface PostgresTicket extends CommitTicket, ServerIdentity, Incarnation {
  readonly timeline: string
  /** Whether the transaction ran in this life of the server; if not, in this or a later one. */
  readonly direct: boolean
}

/** It is delivered with COMMIT, and gets its id then. */
const notifies = /notify/i
/** What a transaction that is read only for the server may do to others all the same, and how it ceases to be so. */
const reaching = /notify|dblink|transaction/i
/** It outlives its session, and crashes: whoever decides on it, it is not this COMMIT. */
const leaves = /(^|;)\s*prepare\s+transaction\b/i
/** BEGIN, COMMIT or ROLLBACK of somebody's own: what comes behind it may be another transaction than the one that was seen. */
const mayStep = /\b(?:begin|start|commit|end|abort|rollback|chain)\b/i
const steps =
  /(?:^|;)\s*(?:begin|start\s+transaction|commit|end|abort|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b/i
const dollarQuoted = /\$(\w*)\$[\s\S]*?\$\1\$/g
/** While the data of a COPY is awaited nothing else may be sent. */
const copies = /\bcopy\b/i

/** All that a statement's text tells. */
const saidBy = remembered((text) => ({
  unsure: leaves.test(text) || (mayStep.test(text) && steps.test(bare(text).replaceAll(dollarQuoted, ''))),
  reaches: reaching.test(text),
  reads: evidentlyReads(text),
  notifies: notifies.test(text),
  copies: copies.test(text),
}))

export class Trace {
  readonly #server: Server
  readonly #readOnly: boolean
  #open = true
  #id: string | undefined
  /** Something was sent that may have written, and nobody has looked since. */
  #unseen = false
  /** A look was decided on, and is not answered yet. */
  #looking = false
  #notifies = false
  /** Rows were changed: if no id is found for that they are on another server, which commits them with this. */
  #changed = false
  /** It cannot be said any more. */
  #unsure = false
  /** Whether its COMMIT was never sent. */
  #unsent = false

  constructor(server: Server, readOnly: boolean) {
    this.#server = server
    this.#readOnly = readOnly
  }

  /**
   * A statement was sent.
   *
   * @param free whether something can be sent right behind it
   * @returns the look to be sent behind it, if there is to be one
   */
  sent(text: string, free: boolean): string | undefined {
    if (!this.#open) return undefined
    const said = saidBy(text)
    if (said.unsure) this.#unsure = true
    if (this.#id !== undefined) return undefined
    if (this.#readOnly && said.reaches) this.#unsure = true
    if (!said.reads) {
      this.#unseen = true
      if (!this.#readOnly && said.notifies) this.#notifies = true
    }
    if (!this.#unseen || !free || said.copies) return undefined
    return this.look()
  }

  /** The look that is owed for what was sent. */
  look(): string {
    this.#looking = true
    const { words, timeline } = this.#server
    // A standby would refuse to assign one.
    return (this.#notifies || this.#changed) && timeline !== undefined ? words.assignedId : words.id
  }

  /** Whether a look is owed, and none under way. */
  get owes(): boolean {
    return this.#open && this.#unseen && !this.#looking
  }

  answered({ error, value, status }: AsideAnswer): void {
    this.#looking = false
    // In a transaction that has failed: what was sent may still be undone, or looked for later.
    if (error !== undefined) return
    this.saw(value)
    // Somebody's own COMMIT.
    if (status === 'idle') this.left()
  }

  /** A statement has changed rows. */
  changed(): void {
    if (!this.#open || this.#readOnly || this.#id !== undefined) return
    this.#changed = true
    this.#unseen = true
  }

  saw(id: unknown): void {
    this.#looking = false
    if (typeof id === 'string' && /^\d+$/.test(id)) this.#id = id
    else if (this.#notifies) this.#unsure = true
    this.#unseen = this.#changed && this.#id === undefined
  }

  /** The look was not sent after all, or nobody knows what it saw. */
  missed(): void {
    this.#looking = false
  }

  /** Its COMMIT cannot be sent any more: its connection went before. */
  unsent(): void {
    this.#looking = false
    this.#unsent = true
  }

  /** It is being ended: nothing more is looked for. */
  close(): void {
    this.#open = false
  }

  /** It was ended by other means than ours. */
  left(): void {
    if (!this.#open) return
    this.#open = false
    this.#unsure = true
  }

  /** Undefined: not known. */
  get ticket(): PostgresTicket | 'nothing' | undefined {
    if (this.#unsure) return undefined
    if (this.#unsent) return 'nothing'
    const { words: _, place: __, timeline, ...server } = this.#server
    if (this.#id !== undefined) {
      return timeline === undefined ? undefined : { transactionId: this.#id, ...server, timeline }
    }
    return this.#unseen ? undefined : 'nothing'
  }
}
