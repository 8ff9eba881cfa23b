// What travels with the statements of a transaction: BEGIN ahead of the first one, SAVEPOINT and RELEASE ahead of whichever
// follows, and behind each that may have written a look at the transaction's id.

import type { AsideAnswer } from './aside.js'
import { type Job, Lead } from './job.js'
import { serverError, textOf } from './library.js'
import type { QueueParts } from './queue-parts.js'
import type { Trace } from './trace.js'
import { bareBegin } from './words.js'

export class Companions {
  readonly #parts: Pick<QueueParts, 'asides' | 'reader' | 'send'>
  /** A transaction that has begun, for all but the server. */
  #begun: Lead | undefined
  /** Savepoints set and released since, in their order. */
  #steps: string[] = []
  /** Of the transaction under way, if it is to be known what becomes of it. */
  #trace: Trace | undefined

  constructor(parts: Pick<QueueParts, 'asides' | 'reader' | 'send'>) {
    this.#parts = parts
  }

  // --- BEGIN ---

  /** With the next statement; whatever was given before it is not part of the transaction. */
  begin(text: string, trace: Trace | undefined): void {
    this.#begun = new Lead(text, true, trace)
    this.#steps = []
  }

  /** Whether nothing was ever sent of the transaction. */
  get begun(): boolean {
    return this.#begun !== undefined
  }

  /** @returns whether there was one of which nothing was ever sent */
  forgetBegin(): boolean {
    const { begun } = this
    this.#begun = undefined
    this.#steps = []
    return begun
  }

  /** What was begun is to travel with this one. */
  join(job: Job): void {
    job.lead = this.#begun
    this.#begun = undefined
    if (this.#steps.length === 0) return
    const { lead } = job
    const text = this.#steps.join('; ')
    job.lead = lead === undefined ? new Lead(text, false) : new Lead(`${lead.text}; ${text}`, true, lead.trace)
    this.#steps = []
  }

  // --- savepoints ---

  /** Whether nothing but a bare BEGIN is to go ahead: what is wrong with that would have been told. */
  get mayStep(): boolean {
    return this.#begun === undefined || this.#begun.text === bareBegin
  }

  /** With the next statement. */
  step(text: string): void {
    this.#steps.push(text)
  }

  /** What was to be sent from that step on never will be. @returns false if it is on its way already */
  stepBack(text: string): boolean {
    const at = this.#steps.lastIndexOf(text)
    if (at < 0) return false
    this.#steps.length = at
    return true
  }

  /** It is never sent: the one behind it, if there is one, takes its BEGIN along. */
  passOn(job: Job, next: Job | undefined): void {
    if (job.lead === undefined) return
    if (next !== undefined) next.lead ??= job.lead
    // Savepoints wait for nobody: what is never sent with them was given to a connection that is lost.
    else if (job.lead.begins) this.#begun ??= job.lead
    job.lead = undefined
  }

  send(job: Job): void {
    const { lead } = job
    // Not before: what was given to us ahead of COMMIT, and not waited for, may write as well.
    if (job.options.site === 'commit') (lead?.trace ?? this.#trace)?.close()
    if (lead !== undefined) this.#sendLed(job, lead)
    else if (this.#trace !== undefined) this.#sendTraced(job, this.#trace)
    else this.#parts.send(job.query)
  }

  #sendLed(job: Job, lead: Lead): void {
    const { asides } = this.#parts
    job.readyAt++
    asides.ahead(lead.text, (answer) => this.#led(lead, answer))
    if (lead.begins) this.#trace = lead.trace
    if (this.#trace === undefined) this.#parts.send(job.query)
    else if (lead.begins) this.#sendLooked(job, this.#trace)
    else this.#sendTraced(job, this.#trace)
    asides.depart()
  }

  #led(lead: Lead, { error, status }: AsideAnswer): void {
    lead.answered = true
    if (error !== undefined) lead.refused = { error: serverError(error), status }
    lead.whenAnswered?.()
  }

  // --- what a transaction has written ---

  #sendTraced(job: Job, trace: Trace): void {
    const { reader, send } = this.#parts
    if (reader.transactionStatus !== 'open') {
      // In a failed one there is nothing to be seen.
      if (reader.transactionStatus === 'idle') {
        trace.left()
        this.#trace = undefined
      }
      send(job.query)
      return
    }
    this.#sendLooked(job, trace)
  }

  #sendLooked(job: Job, trace: Trace): void {
    const { query } = job
    this.#parts.send(query)
    // Its parameters could not be written: it was not sent.
    if (job.settled) return
    job.look = trace.sent(textOf(query), query.cursorFn === undefined && query.onlyDescribe !== true)
    if (!query.describeFirst) this.#sendLook(job, trace)
  }

  #sendLook(job: Job, trace: Trace): void {
    if (job.look === undefined) return
    job.readyAt++
    const { asides } = this.#parts
    asides.behind(job.look, (answer) => trace.answered(answer))
    asides.depart()
    job.look = undefined
  }

  /** The library has had what the server sent: it may have written the parameters. */
  delivered(job: Job): void {
    if (job.look === undefined || job.query.describeFirst || this.#trace === undefined) return
    this.#sendLook(job, this.#trace)
  }

  /** A statement has changed rows. */
  changed(): void {
    this.#trace?.changed()
  }

  /** Done with: what was to be sent behind it never was. */
  left(job: Job): void {
    if (job.look !== undefined) this.#trace?.missed()
  }
}
