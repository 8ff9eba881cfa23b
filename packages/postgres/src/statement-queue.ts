// What a connection does, one statement after the other: a codec, a deadline and a cancel always mean the statement they
// were given for. postgres.js could send several at once, but then a parameter that cannot be written rejects the wrong
// one, and a cancel hits whichever happens to be running. Only BEGIN goes ahead of a statement and a look at what the
// transaction has written behind it, as asides.

import type { Duplex } from 'node:stream'
import {
  addCallerFrames,
  type Completion,
  ConnectError,
  ConnectionLostError,
  type Deadlines,
  DeadlockError,
  type ErrorSite,
  type MooringsError,
} from '@moorings/core'
import type { ArrayTypes } from './array-types.js'
import type { AsideAnswer, Asides } from './aside.js'
import type { Codec } from './codec.js'
import { type Job, jobFor, keepParameters, type Lead, mapChunks, mapValue, type RunOptions } from './job.js'
import { Lately } from './lately.js'
import { isResult, type LibraryOptions, type LibraryQuery, serverError } from './library.js'
import type { LibrarySocket } from './library-socket.js'
import { originOf } from './origins.js'
import type { SessionMarks } from './session-state.js'
import { behindCursor, cancelled, leftOpen, outOfStep, ranOutside, timedOut } from './statement-errors.js'
import type { Trace } from './trace.js'
import type { BackendReader } from './wire.js'

/** What the queue needs of its connection. */
export interface QueueOwner {
  readonly lost: MooringsError | undefined
  classify(error: unknown, at: ErrorSite): MooringsError
  cancel(signal: AbortSignal): Promise<void>
  /** The server has ended a statement to end a deadlock; nobody has heard of it yet. */
  deadlocked(error: DeadlockError, text: string): void
  destroy(reason: MooringsError): void
  /** Reads on from a socket that was paused for a COPY whose stream is gone. */
  resume(): void
}

export interface QueueParts {
  readonly reader: BackendReader
  /** The connection's socket, as the library has it. */
  readonly librarySocket: LibrarySocket
  readonly asides: Asides
  readonly marks: SessionMarks
  readonly arrays: ArrayTypes
  readonly deadlines: Deadlines
  /** The options of the instance that sends: it reads its serializers from there for every statement. */
  readonly library: LibraryOptions
  readonly send: (query: LibraryQuery) => void
  readonly timeoutMs: number
  readonly cancelTimeoutMs: number
  /** Adds to the error of a violated constraint what is known of that. It may take a while; it never rejects. */
  readonly complete?: (error: unknown, completion: Completion) => Promise<void> | undefined
}

export class StatementQueue {
  readonly #owner: QueueOwner
  readonly #parts: QueueParts
  readonly #waiting: Job[] = []
  readonly #whenQuiet: (() => void)[] = []
  readonly #lately = new Lately()
  #count = 0
  #current: Job | undefined
  /** What the library had written when it was given the current statement. */
  #writesBefore = 0
  /** A transaction that has begun, for all but the server. */
  #begun: Lead | undefined
  /** Of the transaction under way, if it is to be known what becomes of it. */
  #trace: Trace | undefined
  #codec: Codec | undefined

  constructor(owner: QueueOwner, parts: QueueParts) {
    this.#owner = owner
    this.#parts = parts
  }

  /** Statements started so far. */
  get count(): number {
    return this.#count
  }

  get activity(): 'idle' | 'running' | 'cancelling' {
    const job = this.#current
    return job === undefined ? 'idle' : job.interrupted ? 'cancelling' : 'running'
  }

  /** What the server was doing for this connection, for whom the deadlock of another one ends just now. */
  get lately(): string | undefined {
    const job = this.#current
    return this.#lately.at(this.#parts.deadlines.clock.now(), job === undefined ? '' : textOf(job.query))
  }

  /** Carries out a query of postgres.js, made by any instance. It is the query itself that resolves or rejects. */
  run(query: LibraryQuery, codec: Codec, options: RunOptions = {}): void {
    const job = jobFor(query, codec, options)
    const { signal, timeoutMs = this.#parts.timeoutMs } = options
    if (signal?.aborted === true) {
      this.#tell(job, cancelled(signal.reason))
      options.done?.()
      return
    }
    if (this.#current?.suspended === true) {
      this.#tell(job, behindCursor())
      options.done?.()
      return
    }
    if (timeoutMs > 0) {
      job.deadline = this.#parts.deadlines.add(timeoutMs, () => this.#interrupt(job, timedOut(timeoutMs)))
    }
    if (signal !== undefined) {
      job.aborted = () => this.#interrupt(job, cancelled(signal.reason))
      signal.addEventListener('abort', job.aborted, { once: true })
    }
    job.lead = this.#begun
    this.#begun = undefined
    if (this.#current === undefined) this.#start(job)
    else this.#waiting.push(job)
  }

  #start(job: Job): void {
    this.#current = job
    this.#count++
    if (this.#owner.lost !== undefined) this.#tell(job, this.#explain(undefined, job))
    // Also when it was interrupted between its turn and now.
    if (job.told) {
      this.#passOn(job)
      this.#next(job)
      return
    }
    job.started = true
    this.#lately.started(this.#parts.deadlines.clock.now())
    job.readyAt = this.#parts.reader.readyCount + 1
    this.#use(job.codec)
    const { query } = job
    mapChunks(job, this.#parts.arrays, () => this.#owner.lost !== undefined)
    if (query.options.prepare !== false) keepParameters(query)
    query.resolve = (value) => this.#resolved(job, value)
    query.reject = (error) => this.#rejected(job, error)
    this.#writesBefore = this.#parts.librarySocket.writes
    // Not before: what was given to us ahead of COMMIT, and not waited for, may write as well.
    if (job.options.site === 'commit') (job.lead?.trace ?? this.#trace)?.close()
    if (job.lead !== undefined) this.#sendLed(job, job.lead)
    else if (this.#trace !== undefined) this.#sendTraced(job, this.#trace)
    else this.#parts.send(query)
    this.#parts.marks.sent(textOf(query))
  }

  // --- BEGIN ---

  /** With the next statement; whatever was given before it is not part of the transaction. */
  begin(text: string, trace: Trace | undefined): void {
    this.#begun = { text, trace, answered: false, refused: undefined, whenAnswered: undefined }
  }

  /** Whether nothing was ever sent of the transaction. */
  get begun(): boolean {
    return this.#begun !== undefined
  }

  /** @returns whether there was one of which nothing was ever sent */
  forgetBegin(): boolean {
    const { begun } = this
    this.#begun = undefined
    return begun
  }

  /** It is never sent: the one behind it takes its BEGIN along. */
  #passOn(job: Job, behind = 0): void {
    if (job.lead === undefined) return
    const next = this.#waiting[behind]
    if (next === undefined) this.#begun ??= job.lead
    else next.lead ??= job.lead
    job.lead = undefined
  }

  #sendLed(job: Job, lead: Lead): void {
    const { asides } = this.#parts
    this.#count++
    job.readyAt++
    asides.hold()
    asides.ahead(lead.text, (answer) => this.#led(lead, answer))
    this.#trace = lead.trace
    if (lead.trace === undefined) this.#parts.send(job.query)
    else this.#sendLooked(job, lead.trace)
    asides.release()
  }

  #led(lead: Lead, { error, status }: AsideAnswer): void {
    lead.answered = true
    if (error !== undefined) lead.refused = { error: serverError(error), status }
    lead.whenAnswered?.()
  }

  /**
   * BEGIN was refused, and not a statement of the transaction's settings: there is none, for whatever is sent now either.
   *
   * @param carriedOut whether the statement behind it was
   */
  #unbegun(job: Job, carriedOut: boolean): void {
    const refused = job.lead?.refused
    if (refused === undefined) return
    const outside = refused.status === 'idle'
    if (carriedOut) this.#tell(job, outside ? ranOutside(refused.error) : this.#explain(refused.error, job))
    if (outside && this.#owner.lost === undefined) this.#owner.destroy(outOfStep())
  }

  // --- what a transaction has written ---

  #sendTraced(job: Job, trace: Trace): void {
    const { asides, reader, send } = this.#parts
    if (reader.transactionStatus !== 'open') {
      // In a failed one there is nothing to be seen.
      if (reader.transactionStatus === 'idle') {
        trace.left()
        this.#trace = undefined
      }
      send(job.query)
      return
    }
    asides.hold()
    this.#sendLooked(job, trace)
    asides.release()
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
    this.#parts.asides.behind(job.look, (answer) => trace.answered(answer))
    job.look = undefined
  }

  /** To be called when the library has had what the server sent: it may have written the parameters. */
  noteDelivered(): void {
    const job = this.#current
    if (job?.look === undefined || job.query.describeFirst || this.#trace === undefined) return
    const { asides } = this.#parts
    asides.hold()
    this.#sendLook(job, this.#trace)
    asides.release()
  }

  #rejected(job: Job, error: unknown): void {
    job.settled = true
    const explained = this.#explain(error, job)
    this.#tell(job, explained)
    this.#unbegun(job, false)
    const { lost } = this.#owner
    if (job.stream !== undefined) {
      // Whoever reads or writes it cannot be kept waiting.
      this.#parts.complete?.(explained, { wait: false })
      job.stream.destroy(explained instanceof Error ? explained : undefined)
      // The library would end the stream with the next statement's success.
      if (job.stream.writableEnded && lost === undefined) this.#owner.destroy(outOfStep())
    } else if (job.query.cursorFn !== undefined && job.thrown === undefined && lost === undefined) {
      // Where the implicit commit fails, the library asks twice whether the server is ready: the second answer would be
      // taken for the next statement's. Inside a transaction nothing is committed there.
      if (this.#parts.reader.transactionStatus === 'idle') this.#owner.destroy(outOfStep())
    }
    this.#finish(job)
  }

  #resolved(job: Job, value: unknown): void {
    if (isStream(value)) {
      job.stream = value
      this.#unbegun(job, true)
      // A COPY. Whoever reads or writes it hears of a failure through the stream; nobody listening must not end the process.
      value.on('error', () => {})
      value.once('close', () => this.#copied(job, value))
      this.#answer(job, value)
      return
    }
    job.settled = true
    if (changedRows(value)) this.#trace?.changed()
    this.#unbegun(job, true)
    try {
      if (!job.told) mapValue(job, value, this.#parts.arrays)
      if (job.options.alone === true && this.#parts.reader.transactionStatus !== 'idle') throw leftOpen()
    } catch (error) {
      this.#tell(job, error)
    }
    this.#finish(job)
    // The last chunk's callback is not waited for by the library, and its failure is the query's.
    if (job.taken === undefined) this.#answer(job, value)
    else
      job.taken.then(
        () => this.#answer(job, value),
        () => this.#tell(job, job.thrown?.error),
      )
  }

  #copied(job: Job, stream: Duplex): void {
    this.#owner.resume()
    // Left before its end: the library would stop reading from the socket, and nobody start again.
    if (!job.settled && isReadable(stream) && !stream.readableEnded) {
      this.#giveUp(outOfStep())
    }
    job.settled = true
    this.#finish(job)
  }

  #answer(job: Job, value: unknown): void {
    if (job.told) return
    job.told = true
    job.resolve(value)
  }

  #tell(job: Job, error: unknown): void {
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
    job.hurry = tell
    void completing.then(tell)
  }

  /** The next may start once the server has said that it is ready, and no cancel is on its way that could hit it. */
  #finish(job: Job): void {
    if (this.#current !== job || !job.settled) return
    if (this.#owner.lost === undefined && (job.cancelling || this.#parts.reader.readyCount < job.readyAt)) return
    this.#next(job)
  }

  #next(done: Job): void {
    const next = this.#waiting.shift()
    this.#current = next
    if (done.look !== undefined) this.#trace?.missed()
    const { reader, marks } = this.#parts
    const text = textOf(done.query)
    this.#lately.ended(text)
    if (reader.tags !== 0) {
      marks.answered(reader.tags, reader.sets, text)
      reader.forgetTags()
    }
    // Whoever hears of its end may give the connection back.
    this.#leave(done)
    // Not at once: the library is still inside its handling of the last message.
    if (next !== undefined) queueMicrotask(() => this.#start(next))
    else if (this.#current === undefined) for (const quiet of this.#whenQuiet.splice(0)) quiet()
  }

  #leave(job: Job): void {
    if (job.hurry === undefined) this.#forget(job)
    job.options.done?.()
  }

  #forget({ deadline, aborted, options }: Job): void {
    if (deadline !== undefined) this.#parts.deadlines.delete(deadline)
    if (aborted !== undefined) options.signal?.removeEventListener('abort', aborted)
  }

  // --- values ---

  /** The library reads these from its options for every statement. */
  #use(codec: Codec): void {
    this.#parts.library.serializers = codec.serializers(this.#parts.arrays)
    if (this.#codec === codec) return
    this.#codec = codec
    this.#parts.library.transform.undefined = codec.transform.undefined
    this.#parts.library.transform.column.to = codec.transform.column.to
  }

  // --- limits and cancelling ---

  /** Ends a query that was given to `run`, wherever it is. */
  interrupt(query: LibraryQuery, error: MooringsError): void {
    const job = this.#current?.query === query ? this.#current : this.#waiting.find((queued) => queued.query === query)
    if (job !== undefined) this.#interrupt(job, error)
  }

  /** The caller is told at once; the connection is free again when the server has confirmed, or it is destroyed. */
  #interrupt(job: Job, error: MooringsError): void {
    if (job.stream !== undefined && !job.settled) {
      job.stream.destroy(error)
      this.#giveUp(error)
    }
    if (job.told) {
      job.hurry?.()
      return
    }
    this.#tell(job, error)
    const queued = this.#waiting.indexOf(job)
    if (queued >= 0) {
      this.#waiting.splice(queued, 1)
      this.#passOn(job, queued)
      this.#leave(job)
    }
    if (job !== this.#current || !job.started) return
    job.interrupted = true
    const { deadlines, cancelTimeoutMs } = this.#parts
    job.cancelling = true
    const deadline = deadlines.add(cancelTimeoutMs, () => {
      this.#owner.destroy(new ConnectionLostError(`The server did not confirm a cancel within ${cancelTimeoutMs} ms`))
    })
    if (job.deadline !== undefined) deadlines.delete(job.deadline)
    job.deadline = deadline
    const cancel = () =>
      this.#cancel().finally(() => {
        job.cancelling = false
        this.#finish(job)
      })
    const { lead } = job
    // It must not hit BEGIN: what is behind it would run outside of any transaction.
    if (lead === undefined || lead.answered) cancel()
    else lead.whenAnswered = cancel
  }

  /** Ends whatever runs or waits: what it does is to be undone. */
  stop(error: MooringsError): void {
    for (const job of [...this.#waiting]) this.#interrupt(job, error)
    if (this.#current !== undefined) this.#interrupt(this.#current, error)
  }

  /** The connection cannot be used any more, and the server is told to stop what it does for it. */
  #giveUp(reason: MooringsError): void {
    this.#owner.destroy(reason)
    void this.#cancel()
  }

  /** It may outlive the connection, for which the server is to hear of it; but not its limit, nor the pool. */
  #cancel(): Promise<void> {
    const { deadlines, cancelTimeoutMs } = this.#parts
    const abort = new AbortController()
    const deadline = deadlines.awaited(cancelTimeoutMs, () => abort.abort())
    return this.#owner.cancel(abort.signal).finally(() => deadlines.delete(deadline))
  }

  /** The server may have said that it is ready: to be called after each chunk the reader was given. */
  noteReady(): void {
    const job = this.#current
    if (job?.settled === true) queueMicrotask(() => this.#finish(job))
  }

  /** Resolves when nothing is under way. */
  async quiet(): Promise<void> {
    if (this.#current !== undefined) await new Promise<void>((resolve) => this.#whenQuiet.push(resolve))
  }

  /** The connection is gone, and whatever the library has not settled by now it never will. */
  abandon(): void {
    const job = this.#current
    if (job === undefined) return
    if (!job.settled) this.#tell(job, this.#explain(undefined, job))
    job.settled = true
    // Those that wait behind it find the connection lost when their turn comes.
    this.#finish(job)
  }

  /** What to tell the caller: why the connection is gone says more than how its statement noticed. */
  #explain(error: unknown, job: Job): unknown {
    if (job.thrown !== undefined) return job.thrown.error
    const lost = this.#owner.lost
    if (lost === undefined) {
      // What follows a refused BEGIN is refused for that.
      const classified = this.#owner.classify(job.lead?.refused?.error ?? error, job.options.site ?? 'statement')
      if (classified instanceof DeadlockError) this.#owner.deadlocked(classified, textOf(job.query))
      const origin = originOf(job.query.strings)
      if (origin !== undefined) addCallerFrames(classified, origin)
      return classified
    }
    const options = { code: lost.code, cause: error ?? lost.cause ?? lost }
    if (job.options.site === 'connect') return new ConnectError(lost.message, options)
    return new ConnectionLostError(lost.message, { ...options, sent: this.#askedFor(job) ? undefined : false })
  }

  /** Whether the server may have been asked to carry it out. What was written at once may be its description only. */
  #askedFor({ started, query }: Job): boolean {
    const written = started && this.#parts.librarySocket.writes !== this.#writesBefore
    return written && !query.describeFirst
  }
}

/** With its fragments put in, as the library has sent it; empty before that. */
export function textOf({ string }: LibraryQuery & { readonly string?: unknown }): string {
  return typeof string === 'string' ? string : ''
}

export function isStream(value: unknown): value is Duplex {
  return typeof value === 'object' && value !== null && 'once' in value && typeof value.once === 'function'
}

/** Of several statements in one text as well. */
function changedRows(value: unknown): boolean {
  if (!Array.isArray(value)) return false
  if (!isResult(value)) return value.some((one) => isResult(one) && changedRows(one))
  return (value.count ?? 0) > 0 && /^(?:INSERT|UPDATE|DELETE|MERGE|COPY)$/.test(value.command ?? '')
}

function isReadable(stream: Duplex): boolean {
  return typeof stream.read === 'function'
}
