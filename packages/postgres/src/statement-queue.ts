// What a connection does, one statement after the other: a codec, a deadline and a cancel always mean the statement they
// were given for. postgres.js could send several at once, but then a parameter that cannot be written rejects the wrong
// one, and a cancel hits whichever happens to be running.

import type { Duplex } from 'node:stream'
import {
  ConnectionLostError,
  type Deadline,
  type Deadlines,
  type ErrorSite,
  type ExecuteOptions,
  type MooringsError,
  StatementCancelledError,
  StatementError,
  StatementTimeoutError,
} from '@moorings/core'
import type { ArrayTypes } from './array-types.js'
import { type Codec, mapResult, rowMapper, type Shape } from './codec.js'
import { isResult, type LibraryOptions, type LibraryQuery } from './library.js'
import type { BackendReader } from './wire.js'

export interface RunOptions extends ExecuteOptions {
  readonly site?: ErrorSite
  /** Refuse what leaves a transaction open: the connection goes back to the pool after this statement. */
  readonly alone?: boolean
  /** Called with the error the caller gets, before the caller gets it. */
  readonly failed?: (error: unknown) => void
  /** Called once, when the server is done with the statement, whatever became of it. */
  readonly done?: () => void
}

/** What the queue needs of its connection. */
export interface QueueOwner {
  readonly lost: MooringsError | undefined
  classify(error: unknown, at: ErrorSite): MooringsError
  cancel(signal: AbortSignal): Promise<void>
  destroy(reason: MooringsError): void
}

export interface QueueParts {
  readonly reader: BackendReader
  readonly arrays: ArrayTypes
  readonly deadlines: Deadlines
  /** The options of the instance that sends: it reads its serializers from there for every statement. */
  readonly library: LibraryOptions
  readonly send: (query: LibraryQuery) => void
  readonly timeoutMs: number
  readonly cancelTimeoutMs: number
}

interface Job {
  readonly query: LibraryQuery
  readonly codec: Codec
  readonly options: RunOptions
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  /** The caller has its answer. */
  told: boolean
  /** It was given to the library. */
  started: boolean
  /** The library has settled it. */
  settled: boolean
  /** The caller was told before the server was done with it. */
  interrupted: boolean
  /** A CancelRequest for it is on its way. */
  cancelling: boolean
  /** What the application's own code (a callback, a parser) threw: it comes out as it is. */
  thrown: unknown
  readyBefore: number
  deadline: Deadline | undefined
  aborted: (() => void) | undefined
}

export class StatementQueue {
  readonly #owner: QueueOwner
  readonly #parts: QueueParts
  readonly #waiting: Job[] = []
  readonly #whenQuiet: (() => void)[] = []
  #current: Job | undefined
  #codec: Codec | undefined

  constructor(owner: QueueOwner, parts: QueueParts) {
    this.#owner = owner
    this.#parts = parts
  }

  get activity(): 'idle' | 'running' | 'cancelling' {
    const job = this.#current
    return job === undefined ? 'idle' : job.interrupted ? 'cancelling' : 'running'
  }

  /** Carries out a query of postgres.js, made by any instance. It is the query itself that resolves or rejects. */
  run(query: LibraryQuery, codec: Codec, options: RunOptions = {}): void {
    const job: Job = {
      query,
      codec,
      options,
      resolve: query.resolve,
      reject: query.reject,
      told: false,
      started: false,
      settled: false,
      interrupted: false,
      cancelling: false,
      thrown: undefined,
      readyBefore: 0,
      deadline: undefined,
      aborted: undefined,
    }
    const { signal, timeoutMs = this.#parts.timeoutMs } = options
    if (signal?.aborted === true) {
      this.#tell(job, cancelled(signal.reason))
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
    if (this.#current === undefined) this.#start(job)
    else this.#waiting.push(job)
  }

  #start(job: Job): void {
    this.#current = job
    if (this.#owner.lost !== undefined) this.#tell(job, this.#explain(undefined, job))
    // Also when it was interrupted between its turn and now.
    if (job.told) {
      this.#next(job)
      return
    }
    job.started = true
    job.readyBefore = this.#parts.reader.readyCount
    this.#use(job.codec)
    const { query } = job
    this.#mapChunks(job)
    query.resolve = (value) => this.#resolved(job, value)
    query.reject = (error) => {
      job.settled = true
      this.#tell(job, this.#explain(error, job))
      this.#finish(job)
    }
    this.#parts.send(query)
  }

  #resolved(job: Job, value: unknown): void {
    if (isStream(value)) {
      // A COPY. Whoever reads or writes it hears of a failure through the stream; nobody listening must not end the process.
      value.on('error', () => {})
      value.once('close', () => {
        job.settled = true
        this.#finish(job)
      })
      this.#answer(job, value)
      return
    }
    job.settled = true
    try {
      if (!job.told) this.#map(job, value)
      if (job.options.alone === true && this.#parts.reader.transactionStatus !== 'idle') throw leftOpen()
    } catch (error) {
      this.#tell(job, error)
    }
    this.#finish(job)
    this.#answer(job, value)
  }

  #answer(job: Job, value: unknown): void {
    if (job.told) return
    job.told = true
    job.resolve(value)
  }

  #tell(job: Job, error: unknown): void {
    if (job.told) return
    job.told = true
    job.options.failed?.(error)
    job.reject(error)
  }

  /** The next may start once the server has said that it is ready, and no cancel is on its way that could hit it. */
  #finish(job: Job): void {
    if (this.#current !== job || !job.settled) return
    if (this.#owner.lost === undefined && (job.cancelling || this.#parts.reader.readyCount === job.readyBefore)) return
    this.#next(job)
  }

  #next(done: Job): void {
    const next = this.#waiting.shift()
    this.#current = next
    this.#leave(done)
    // Not at once: the library is still inside its handling of the last message.
    if (next !== undefined) queueMicrotask(() => this.#start(next))
    else if (this.#current === undefined) for (const quiet of this.#whenQuiet.splice(0)) quiet()
  }

  #leave(job: Job): void {
    if (job.deadline !== undefined) this.#parts.deadlines.delete(job.deadline)
    if (job.aborted !== undefined) job.options.signal?.removeEventListener('abort', job.aborted)
    job.options.done?.()
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

  #map(job: Job, value: unknown): void {
    if (job.query.onlyDescribe === true || !Array.isArray(value)) return
    const { arrays } = this.#parts
    const shape = shapeOf(job.query)
    const results = isResult(value) ? [value] : value.filter(isResult)
    // With a forEach the rows were mapped one by one, and the result has none.
    for (const result of results) mapResult(result, shape, job.codec, arrays)
  }

  #mapChunks(job: Job): void {
    const { query, codec } = job
    const { arrays } = this.#parts
    const { cursorFn, forEachFn } = query
    const thrown = (error: unknown): never => {
      job.thrown = error
      throw error
    }
    if (cursorFn !== undefined) {
      query.cursorFn = (chunk) => {
        try {
          mapResult(chunk, shapeOf(query), codec, arrays, query.statement?.columns)
          const taken = cursorFn(chunk)
          return taken instanceof Promise ? taken.catch(thrown) : taken
        } catch (error) {
          return thrown(error)
        }
      }
    }
    if (forEachFn !== undefined) {
      let map: ReturnType<typeof rowMapper> | null = null
      query.forEachFn = (row, result) => {
        try {
          if (map === null) map = rowMapper(query.statement?.columns ?? [], shapeOf(query), codec, arrays)
          return forEachFn(map === undefined ? row : map(row), result)
        } catch (error) {
          return thrown(error)
        }
      }
    }
  }

  // --- limits and cancelling ---

  /** Ends a query that was given to `run`, wherever it is. */
  interrupt(query: LibraryQuery, error: MooringsError): void {
    const job = this.#current?.query === query ? this.#current : this.#waiting.find((queued) => queued.query === query)
    if (job !== undefined) this.#interrupt(job, error)
  }

  /** The caller is told at once; the connection is free again when the server has confirmed, or it is destroyed. */
  #interrupt(job: Job, error: MooringsError): void {
    if (job.told) return
    this.#tell(job, error)
    const queued = this.#waiting.indexOf(job)
    if (queued >= 0) {
      this.#waiting.splice(queued, 1)
      this.#leave(job)
    }
    if (job !== this.#current || !job.started) return
    job.interrupted = true
    const { deadlines, cancelTimeoutMs } = this.#parts
    const abort = new AbortController()
    job.cancelling = true
    const deadline = deadlines.add(cancelTimeoutMs, () => {
      this.#owner.destroy(new ConnectionLostError(`The server did not confirm a cancel within ${cancelTimeoutMs} ms`))
      abort.abort()
    })
    if (job.deadline !== undefined) deadlines.delete(job.deadline)
    job.deadline = deadline
    this.#owner.cancel(abort.signal).finally(() => {
      job.cancelling = false
      this.#finish(job)
    })
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
    if (job === undefined || job.settled) return
    this.#tell(job, this.#explain(undefined, job))
    job.settled = true
    // Those that wait behind it find the connection lost when their turn comes.
    this.#finish(job)
  }

  /** What to tell the caller: why the connection is gone says more than how its statement noticed. */
  #explain(error: unknown, job: Job): unknown {
    if (error !== undefined && error === job.thrown) return error
    const lost = this.#owner.lost
    if (lost === undefined) return this.#owner.classify(error, job.options.site ?? 'statement')
    return new ConnectionLostError(lost.message, { code: lost.code, cause: error ?? lost.cause ?? lost })
  }
}

function shapeOf(query: LibraryQuery): Shape {
  return query.isRaw === true ? 'buffers' : query.isRaw === 'values' ? 'values' : 'objects'
}

export function isStream(value: unknown): value is Duplex {
  return typeof value === 'object' && value !== null && 'once' in value && typeof value.once === 'function'
}

function leftOpen(): MooringsError {
  return new StatementError('A transaction is begun with sql.begin() or on a connection from sql.reserve()', {
    code: 'UNSAFE_TRANSACTION',
  })
}

function timedOut(timeoutMs: number): MooringsError {
  return new StatementTimeoutError(`The statement took longer than its limit of ${timeoutMs} ms`, { code: '57014' })
}

function cancelled(reason: unknown): MooringsError {
  return new StatementCancelledError('The statement was cancelled by its signal', { code: '57014', cause: reason })
}
