// What a connection does, one statement after the other: a codec, a deadline and a cancel always mean the statement they
// were given for. postgres.js could send several at once, but then a parameter that cannot be written rejects the wrong
// one, and a cancel hits whichever happens to be running. Only BEGIN goes ahead of a statement and a look at what the
// transaction has written behind it, as asides.

import type { Duplex } from 'node:stream'
import type { MooringsError } from '@moorings/core'
import { Answers } from './answers.js'
import { Cancelling } from './cancelling.js'
import type { Codec } from './codec.js'
import { Companions } from './companions.js'
import { Job, keepParameters, mapChunks, mapValue, type RunOptions } from './job.js'
import { Lately } from './lately.js'
import { isPrepared, isResult, isStream, type LibraryStatement, leavesPreparing, textOf } from './library.js'
import { Names } from './names.js'
import { Preparing } from './preparing.js'
import type { QueueOwner, QueueParts } from './queue-parts.js'
import { behindCursor, cancelled, leftOpen, outOfStep, ranOutside, timedOut } from './statement-errors.js'

/** The server has no such prepared statement: somebody has dropped it, and nothing is said of any other. */
const notThere = '26000'

export class StatementQueue {
  readonly #owner: QueueOwner
  readonly #parts: QueueParts
  readonly #waiting: Job[] = []
  readonly #whenQuiet: (() => void)[] = []
  readonly #lately = new Lately()
  /** What travels with the statements of a transaction. */
  readonly companions: Companions
  readonly #answers: Answers
  readonly #cancelling: Cancelling
  readonly #names: Names
  readonly #preparing: Preparing
  #count = 0
  #current: Job | undefined
  #codec: Codec | undefined
  /** The library tries a prepared one once more. */
  readonly #retrying = (error: unknown): void => {
    this.#owner.unprepared(error)
    this.#preparing.renewed(this.#owner.classify(error, 'statement').code !== notThere)
  }

  constructor(owner: QueueOwner, parts: QueueParts) {
    this.#owner = owner
    this.#parts = parts
    this.companions = new Companions(parts)
    this.#answers = new Answers(owner, parts)
    this.#cancelling = new Cancelling(owner, parts)
    this.#names = new Names(parts.marks, parts.reader)
    this.#preparing = new Preparing(parts.repeats, this.#names)
  }

  /** Statements started so far. */
  get count(): number {
    return this.#count
  }

  /** Whether a new connection would do better. */
  get worn(): boolean {
    return this.#preparing.worn
  }

  /** What was set or made on the session stays, and names may mean something else from now on. */
  settle(): void {
    if (this.#names.moved) this.#preparing.bar()
  }

  get activity(): 'idle' | 'running' | 'cancelling' {
    const job = this.#current
    return job === undefined ? 'idle' : job.interrupted ? 'cancelling' : 'running'
  }

  /** When the statement under way was sent; undefined while the server owes nothing, or waits for us itself. */
  get waitingSince(): number | undefined {
    const job = this.#current
    if (job === undefined || !job.started || job.interrupted || job.suspended) return undefined
    const { stream } = job
    const held = stream !== undefined && (stream.writable || this.#parts.librarySocket.paused)
    return held ? undefined : this.#lately.startedAt
  }

  /** What was sent for the statement under way: how many bytes, and whether it is a COPY. */
  get sending(): { readonly bytes: number; readonly copies: boolean } {
    const job = this.#current
    const bytes = job === undefined ? 0 : this.#parts.librarySocket.written - job.writtenBefore
    return { bytes, copies: job?.stream !== undefined }
  }

  /** What the server was doing for this connection, for whom the deadlock of another one ends just now. */
  get lately(): string | undefined {
    const job = this.#current
    return this.#lately.at(this.#parts.deadlines.clock.now(), job === undefined ? '' : textOf(job.query))
  }

  /** Carries out a query of postgres.js, made by any instance. It is the query itself that resolves or rejects. */
  run(query: LibraryStatement, codec: Codec, options: RunOptions = {}): void {
    const job = new Job(query, codec, options)
    const { signal, timeoutMs = this.#parts.timeoutMs } = options
    if (signal?.aborted === true) {
      this.#answers.tell(job, cancelled(signal.reason))
      options.done?.()
      return
    }
    if (this.#current?.suspended === true) {
      this.#answers.tell(job, behindCursor())
      options.done?.()
      return
    }
    const refusal = this.#owner.refusalOf(query)
    if (refusal !== undefined) {
      this.#answers.tell(job, refusal)
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
    this.companions.join(job)
    if (this.#current === undefined) this.#start(job)
    else this.#waiting.push(job)
  }

  #start(job: Job): void {
    this.#current = job
    this.#count++
    if (this.#owner.lost !== undefined) this.#answers.tell(job, this.#answers.explain(undefined, job))
    // Also when it was interrupted between its turn and now.
    if (job.told) {
      this.companions.passOn(job, this.#waiting[0])
      this.#next(job)
      return
    }
    job.started = true
    job.startedAt = this.#parts.deadlines.clock.now()
    this.#lately.started(job.startedAt)
    job.lone = job.lead === undefined && this.#parts.reader.transactionStatus === 'idle'
    job.readyAt = this.#parts.reader.readyCount + 1
    this.#use(job.codec)
    const { query } = job
    if (query.cursorFn !== undefined || query.forEachFn !== undefined) {
      mapChunks(job, this.#parts.arrays, () => this.#owner.lost !== undefined)
    }
    if (job.lead !== undefined) this.#names.begins(job.lead.text)
    if (leavesPreparing(query) && this.#owner.keepsPrepared) job.chosen = this.#preparing.choose(query, !job.lone)
    if (isPrepared(query)) keepParameters(query, this.#retrying)
    query.resolve = (value) => this.#resolved(job, value)
    query.reject = (error) => this.#rejected(job, error)
    this.#noteState(job)
    if (job.lead !== undefined) this.#count++
    this.companions.send(job)
    this.#preparing.given(query)
    const text = textOf(query)
    if (this.#parts.marks.sent(text)) this.#names.calls(text)
  }

  /** What there was before it was sent. */
  #noteState(job: Job): void {
    const { librarySocket, reader } = this.#parts
    job.writtenBefore = librarySocket.written
    job.boundBefore = reader.bound
    job.completedBefore = reader.completed
  }

  /**
   * Whether it was refused for what its names and parameters meant when it was prepared, as far as one can know: the server
   * understood it then, and has not begun it now. A statement on its own is carried out once more.
   */
  #isOutdated(job: Job, error: unknown): boolean {
    const { query, lone } = job
    if (!job.chosen || job.again !== 'no' || query.prepared !== true || this.#owner.lost !== undefined) return false
    const [kind] = /^(?:22|42)/.exec(this.#owner.classify(error, 'statement').code ?? '') ?? []
    if (kind === undefined || this.#parts.reader.bound !== job.boundBefore) return false
    if (lone) job.again = 'due'
    else if (kind === '22') this.#preparing.suspect(query)
    else {
      this.#preparing.outdated(query)
      job.outdated = true
    }
    return lone
  }

  #repeat(job: Job): void {
    const { query } = job
    const { lost } = this.#owner
    if (job.told || lost !== undefined) {
      if (lost !== undefined) this.#answers.tell(job, this.#answers.explain(undefined, job))
      this.#next(job)
      return
    }
    job.again = 'made'
    job.settled = false
    job.readyAt = this.#parts.reader.readyCount + 1
    this.#use(job.codec)
    query.options.prepare = false
    if (query.args.length > 0) query.parameters = undefined
    this.#noteState(job)
    this.companions.send(job)
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
    if (carriedOut)
      this.#answers.tell(job, outside ? ranOutside(refused.error) : this.#answers.explain(refused.error, job))
    if (outside && this.#owner.lost === undefined) this.#owner.destroy(outOfStep())
  }

  #rejected(job: Job, error: unknown): void {
    job.settled = true
    if (this.#isOutdated(job, error)) {
      this.#finish(job)
      return
    }
    const explained = this.#answers.explain(error, job)
    this.#answers.tell(job, explained)
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
      this.#answers.answer(job, value)
      return
    }
    job.settled = true
    if (changedRows(value)) this.companions.changed()
    if (job.again === 'made') this.#preparing.outdated(job.query)
    else this.#preparing.carriedOut(job.query)
    this.#unbegun(job, true)
    try {
      if (!job.told) mapValue(job, value, this.#parts.arrays)
      if (job.options.alone === true && this.#parts.reader.transactionStatus !== 'idle') throw leftOpen()
    } catch (error) {
      this.#answers.tell(job, error)
    }
    this.#finish(job)
    // The last chunk's callback is not waited for by the library, and its failure is the query's.
    if (job.taken === undefined) this.#answers.answer(job, value)
    else
      job.taken.then(
        () => this.#answers.answer(job, value),
        () => this.#answers.tell(job, job.thrown?.error),
      )
  }

  #copied(job: Job, stream: Duplex): void {
    this.#owner.resume()
    // Left before its end: the library would stop reading from the socket, and nobody start again.
    if (!job.settled && isReadable(stream) && !stream.readableEnded) {
      this.#cancelling.giveUp(outOfStep())
    }
    job.settled = true
    this.#finish(job)
  }

  /** The next may start once the server has said that it is ready, and no cancel is on its way that could hit it. */
  #finish(job: Job): void {
    if (this.#current !== job || !job.settled) return
    if (this.#owner.lost === undefined && (job.cancelling || this.#parts.reader.readyCount < job.readyAt)) return
    if (job.again === 'due') queueMicrotask(() => this.#repeat(job))
    else this.#next(job)
  }

  #next(done: Job): void {
    const next = this.#waiting.shift()
    this.#current = next
    this.companions.left(done)
    const { reader, marks } = this.#parts
    const text = textOf(done.query)
    this.#lately.ended(text)
    if (reader.tags !== 0) {
      marks.answered(reader.tags, reader.sets, text)
      this.#names.set(text)
      reader.forgetTags()
    }
    // Whoever hears of its end may give the connection back.
    this.#answers.leave(done)
    // Not at once: the library is still inside its handling of the last message.
    if (next !== undefined) queueMicrotask(() => this.#start(next))
    else if (this.#current === undefined) for (const quiet of this.#whenQuiet.splice(0)) quiet()
  }

  // --- values ---

  /** The library reads these from its options for every statement. */
  #use(codec: Codec): void {
    if (!this.#parts.route.keepsPrepared) this.#parts.library.prepare = false
    this.#parts.library.serializers = codec.serializers(this.#parts.arrays)
    if (this.#codec === codec) return
    this.#codec = codec
    this.#parts.library.transform.undefined = codec.transform.undefined
    this.#parts.library.transform.column.to = codec.transform.column.to
  }

  // --- limits and cancelling ---

  /** Ends a query that was given to `run`, wherever it is. */
  interrupt(query: LibraryStatement, error: MooringsError): void {
    const job = this.#current?.query === query ? this.#current : this.#waiting.find((queued) => queued.query === query)
    if (job !== undefined) this.#interrupt(job, error)
  }

  /** The caller is told at once; the connection is free again when the server has confirmed, or it is destroyed. */
  #interrupt(job: Job, error: MooringsError): void {
    if (job.stream !== undefined && !job.settled) {
      job.stream.destroy(error)
      this.#cancelling.giveUp(error)
    }
    if (job.told) {
      job.hurry?.()
      return
    }
    this.#answers.tell(job, error)
    const queued = this.#waiting.indexOf(job)
    if (queued >= 0) {
      this.#waiting.splice(queued, 1)
      this.companions.passOn(job, this.#waiting[queued])
      this.#answers.leave(job)
    }
    if (job !== this.#current || !job.started) return
    this.#cancelling.begin(job, () => this.#finish(job))
  }

  /** Ends whatever runs or waits: what it does is to be undone. */
  stop(error: MooringsError): void {
    for (const job of [...this.#waiting]) this.#interrupt(job, error)
    if (this.#current !== undefined) this.#interrupt(this.#current, error)
  }

  /** The server may have said that it is ready: to be called after each chunk the reader was given. */
  noteReady(): void {
    const job = this.#current
    if (job?.settled === true) queueMicrotask(() => this.#finish(job))
  }

  /** To be called when the library has had each chunk. */
  noteDelivered(): void {
    if (this.#current !== undefined) this.companions.delivered(this.#current)
  }

  /** Resolves when nothing is under way. */
  async quiet(): Promise<void> {
    if (this.#current !== undefined) await new Promise<void>((resolve) => this.#whenQuiet.push(resolve))
  }

  /** The connection is gone, and whatever the library has not settled by now it never will. */
  abandon(): void {
    const job = this.#current
    if (job === undefined) return
    if (!job.settled) this.#answers.tell(job, this.#answers.explain(undefined, job))
    job.settled = true
    // Those that wait behind it find the connection lost when their turn comes.
    this.#finish(job)
  }
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
