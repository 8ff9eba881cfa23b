// What the caller of a statement is told, once: its result, or an error that says what happened to it.

import {
  addCallerFrames,
  ConnectError,
  ConnectionLostError,
  DeadlockError,
  type MooringsError,
  StatementError,
} from '@moorings/core'
import { isAboutRows, leavesNothing } from './about-rows.js'
import { isUnprepared } from './classify.js'
import type { Job } from './job.js'
import { textOf } from './library.js'
import { originOf } from './origins.js'
import type { QueueOwner, QueueParts } from './queue-parts.js'

/** Nobody terminates a statement for its own sake that has run for so short a time. */
const SHORT_MS = 1_000
/** `terminating connection due to administrator command`: a shutdown, a restart, a fail-over, `pg_terminate_backend`. */
const terminated = '57P01'

export class Answers {
  readonly #owner: QueueOwner
  readonly #parts: QueueParts

  constructor(owner: QueueOwner, parts: QueueParts) {
    this.#owner = owner
    this.#parts = parts
  }

  answer(job: Job, value: unknown): void {
    if (job.told) return
    job.told = true
    job.resolve(value)
  }

  tell(job: Job, error: unknown): void {
    if (job.told) return
    job.told = true
    const { options } = job
    options.failed?.(error)
    const lost = this.#owner.lost !== undefined && error instanceof ConnectionLostError
    const told = lost && options.lost !== undefined ? options.lost(error, job) : error
    if (told === undefined) return
    const completing = this.#complete(job, told)
    if (completing === undefined) job.reject(told)
    else this.#tellLater(job, told, completing)
  }

  /** Not what the application's own code threw, which may be about anything. */
  #complete({ options, thrown }: Job, error: unknown): Promise<void> | undefined {
    // Those at COMMIT are the transaction's to complete: it has ended, and lets its connection go first.
    if (options.bare === true || options.site === 'commit' || thrown !== undefined) return undefined
    // A statement by itself gives its connection back meanwhile.
    const holds = options.done === undefined || this.#parts.reader.transactionStatus !== 'idle'
    return this.#parts.complete?.(error, { holds })
  }

  /** The connection goes on at once. Its caller's signal and limit hold for this as well: then it hears what there is. */
  #tellLater(job: Job, error: unknown, completing: Promise<void>): void {
    const tell = () => {
      if (job.hurry === undefined) return
      job.hurry = undefined
      this.#forget(job)
      job.reject(error)
    }
    job.hurry = () => {
      if (typeof error === 'object' && error !== null) this.#parts.hurry?.(error)
      tell()
    }
    void completing.then(tell)
  }

  /** What to tell the caller: why the connection is gone says more than how its statement noticed. */
  explain(error: unknown, job: Job): unknown {
    if (job.thrown !== undefined) return job.thrown.error
    const lost = this.#owner.lost
    if (lost === undefined) {
      // What follows a refused BEGIN is refused for that.
      const classified = this.#owner.classify(job.lead?.refused?.error ?? error, job.options.site ?? 'statement')
      if (classified instanceof DeadlockError) this.#owner.deadlocked(classified, textOf(job.query))
      const origin = originOf(job.query.strings)
      if (origin !== undefined) addCallerFrames(classified, origin)
      // The next time it is not prepared.
      if (job.outdated)
        return new StatementError(classified.message, { code: classified.code, cause: error, retry: 'transaction' })
      return classified
    }
    const options = { code: lost.code, cause: error ?? lost.cause ?? lost }
    if (job.options.site === 'connect') return new ConnectError(lost.message, options)
    const sent = this.#askedFor(job) && !isUnprepared(lost) && !this.#surelyUndone(job, lost) ? undefined : false
    return new ConnectionLostError(lost.message, { ...options, sent })
  }

  /** Whether the server may have been asked to carry it out. What was written at once may be its description only. */
  #askedFor({ started, writtenBefore, query }: Job): boolean {
    const written = started && this.#parts.librarySocket.written !== writtenBefore
    return written && !query.describeFirst
  }

  /**
   * Whether the statement, though it was sent, surely did not come to its end: then it is rolled back, as a statement on its own
   * is committed after its end was told, and by the last thing that is sent for it.
   */
  #surelyUndone(job: Job, lost: MooringsError): boolean {
    const { query, lone } = job
    // What the application has had of it cannot be taken back.
    if (!lone || query.cursorFn !== undefined || query.forEachFn !== undefined) return false
    if (this.#parts.reader.completed !== job.completedBefore || !isAboutRows(textOf(query))) return false
    return failedToWrite(lost.cause) || this.#broughtDown(job)
  }

  /** Whoever terminates what has run for a while does so for the statement: it is his not to be run again. */
  #broughtDown({ query, startedAt }: Job): boolean {
    const { reader, deadlines } = this.#parts
    if (reader.fatal?.code !== terminated || !this.#owner.direct) return false
    return deadlines.clock.now() - startedAt < SHORT_MS && leavesNothing(textOf(query))
  }

  /** The server is done with it. */
  leave(job: Job): void {
    if (job.hurry === undefined) this.#forget(job)
    job.options.done?.()
  }

  #forget({ deadline, aborted, options }: Job): void {
    if (deadline !== undefined) this.#parts.deadlines.delete(deadline)
    if (aborted !== undefined) options.signal?.removeEventListener('abort', aborted)
  }
}

/** The socket was gone before the last of it could be handed to the system. */
function failedToWrite(cause: unknown): boolean {
  return typeof cause === 'object' && cause !== null && 'syscall' in cause && cause.syscall === 'write'
}
