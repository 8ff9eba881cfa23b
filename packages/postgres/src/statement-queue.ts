// What a connection does, one statement after the other: a codec, a deadline and a cancel always mean the statement they
// were given for. postgres.js could send several at once, but then a parameter that cannot be written rejects the wrong
// one, and a cancel hits whichever happens to be running.

import type { Duplex } from 'node:stream'
import {
  ConnectError,
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
  /** Reads on from a socket that was paused for a COPY whose stream is gone. */
  resume(): void
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
  thrown: { readonly error: unknown } | undefined
  /** A cursor's chunk that the application is still busy with. */
  taken: Promise<unknown> | undefined
  /** A cursor waits for its consumer. */
  suspended: boolean
  /** The data of a COPY. */
  stream: Duplex | undefined
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
      taken: undefined,
      suspended: false,
      stream: undefined,
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
    if (query.options.prepare !== false) keepParameters(query)
    query.resolve = (value) => this.#resolved(job, value)
    query.reject = (error) => this.#rejected(job, error)
    this.#parts.send(query)
  }

  #rejected(job: Job, error: unknown): void {
    job.settled = true
    const explained = this.#explain(error, job)
    this.#tell(job, explained)
    const { lost } = this.#owner
    if (job.stream !== undefined) {
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
      // A COPY. Whoever reads or writes it hears of a failure through the stream; nobody listening must not end the process.
      value.on('error', () => {})
      value.once('close', () => this.#copied(job, value))
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
    // The library writes on the error it is given, which may be frozen: it gets one of its own.
    const thrown = (error: unknown): never => {
      job.thrown = { error }
      throw new Error('The callback of a query failed')
    }
    // Going on would make the library write to a socket that is gone.
    const alive = <T>(go: () => T): T | Promise<never> =>
      this.#owner.lost === undefined ? go() : new Promise(() => {})
    if (cursorFn !== undefined) {
      query.cursorFn = (chunk) => {
        let taken: unknown
        try {
          mapResult(chunk, shapeOf(query), codec, arrays, query.statement?.columns)
          taken = cursorFn(chunk)
        } catch (error) {
          return thrown(error)
        }
        if (!(taken instanceof Promise)) return taken
        job.suspended = true
        const resumed = taken
          .finally(() => {
            job.suspended = false
          })
          .then(
            (answer: unknown) => alive(() => answer),
            (error: unknown) => alive(() => thrown(error)),
          )
        resumed.catch(() => {})
        job.taken = resumed
        return resumed
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
    if (job.stream !== undefined && !job.settled) {
      job.stream.destroy(error)
      this.#giveUp(error)
    }
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

  /** Ends whatever runs or waits: what it does is to be undone. */
  stop(error: MooringsError): void {
    for (const job of [...this.#waiting]) this.#interrupt(job, error)
    if (this.#current !== undefined) this.#interrupt(this.#current, error)
  }

  /** The connection cannot be used any more, and the server is told to stop what it does for it. */
  #giveUp(reason: MooringsError): void {
    const { deadlines, cancelTimeoutMs } = this.#parts
    this.#owner.destroy(reason)
    deadlines.limit(cancelTimeoutMs, outOfStep, (signal) => this.#owner.cancel(signal)).catch(() => {})
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
    if (job.thrown !== undefined) return job.thrown.error
    const lost = this.#owner.lost
    if (lost === undefined) return this.#owner.classify(error, job.options.site ?? 'statement')
    const Kind = job.options.site === 'connect' ? ConnectError : ConnectionLostError
    return new Kind(lost.message, { code: lost.code, cause: error ?? lost.cause ?? lost })
  }
}

function shapeOf(query: LibraryQuery): Shape {
  return query.isRaw === true ? 'buffers' : query.isRaw === 'values' ? 'values' : 'objects'
}

export function isStream(value: unknown): value is Duplex {
  return typeof value === 'object' && value !== null && 'once' in value && typeof value.once === 'function'
}

function isReadable(stream: Duplex): boolean {
  return typeof stream.read === 'function'
}

/**
 * A plan that went stale makes the library try once more, with the parameters as it has written them the first time:
 * `true` would become `'f'`. Without them it takes the query's own again.
 */
function keepParameters(query: LibraryQuery): void {
  let retried: unknown
  Object.defineProperty(query, 'retried', {
    configurable: true,
    get: () => retried,
    set: (error: unknown) => {
      retried = error
      query.parameters = undefined
    },
  })
}

function outOfStep(): ConnectionLostError {
  return new ConnectionLostError('The connection was given up: its statement ended in a way that leaves it out of step')
}

function behindCursor(): MooringsError {
  return new StatementError(
    'A cursor on this connection waits for its reader: read it to its end first, or use another connection',
    { code: 'CURSOR_OPEN' },
  )
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
