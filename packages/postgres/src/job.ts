// One statement on its way through a connection, and what its values go through: the codec of whoever sent it.

import type { Duplex } from 'node:stream'
import type { ConnectionLostError, Deadline, ErrorSite, ExecuteOptions, TransactionStatus } from '@moorings/core'
import type { ArrayTypes } from './array-types.js'
import { type Codec, mapResult, rowMapper, type Shape } from './codec.js'
import { isResult, type LibraryStatement } from './library.js'
import type { Trace } from './trace.js'

export interface RunOptions extends ExecuteOptions {
  readonly site?: ErrorSite
  /** Refuse what leaves a transaction open: the connection goes back to the pool after this statement. */
  readonly alone?: boolean
  /**
   * Whether values that are text or null go to the server as they are, whatever type it makes of them. Then it need not be
   * asked for their types first, which takes a round trip.
   */
  readonly written?: boolean
  /** The error of a violated constraint is told as it is: whoever asked completes it. */
  readonly bare?: boolean
  /** Called with the error the caller gets, before the caller gets it. */
  readonly failed?: (error: unknown) => void
  /**
   * Called when the connection was lost under the statement, before the caller hears of it.
   *
   * @returns what the caller is to be told; undefined for nothing, as the statement is carried out elsewhere
   */
  readonly lost?: (error: ConnectionLostError, job: Job) => unknown
  /** Called once, when the server is done with the statement, whatever became of it. */
  readonly done?: () => void
}

/** What a transaction, or a savepoint, begins or ends with, on its way ahead of the statement that follows. */
export class Lead {
  readonly text: string
  /** Whether a transaction begins with it. */
  readonly begins: boolean
  readonly trace: Trace | undefined
  /** The server has answered it. */
  answered = false
  /** It was not carried out. */
  refused: { readonly error: unknown; readonly status: TransactionStatus } | undefined = undefined
  whenAnswered: (() => void) | undefined = undefined

  constructor(text: string, begins: boolean, trace?: Trace) {
    this.text = text
    this.begins = begins
    this.trace = trace
  }
}

/**
 * A class, as V8 makes what comes of a literal old from its birth once it has seen enough of them survive a collection, which
 * those under way always do; and an old one keeps all that it refers to until the next full collection.
 */
export class Job {
  readonly query: LibraryStatement
  readonly codec: Codec
  readonly options: RunOptions
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  /** The caller has its answer. */
  told = false
  /** It was given to the library. */
  started = false
  /** The library has settled it. */
  settled = false
  /** The caller was told before the server was done with it. */
  interrupted = false
  /** A CancelRequest for it is on its way. */
  cancelling = false
  /** What the application's own code (a callback, a parser) threw: it comes out as it is. */
  thrown: { readonly error: unknown } | undefined = undefined
  /** A cursor's chunk that the application is still busy with. */
  taken: Promise<unknown> | undefined = undefined
  /** A cursor waits for its consumer. */
  suspended = false
  /** The data of a COPY. */
  stream: Duplex | undefined = undefined
  /** What the library had written when it was given it. */
  writtenBefore = 0
  /** By the connection's clock. */
  startedAt = 0
  /** How many statements the server had taken the parameters of, and carried out, when this one was sent. */
  boundBefore = 0
  completedBefore = 0
  /** Whether it is a transaction of its own. */
  lone = true
  /** Whether it was the connection that had it prepared. */
  chosen = false
  /** Refused for what it meant when it was prepared, and carried out once more, unprepared. */
  again: 'no' | 'due' | 'made' = 'no'
  /** It would not have been refused if it had not been prepared when things were otherwise. */
  outdated = false
  /** How often the server will have said that it is ready when it is done with all that was sent for this. */
  readyAt = 0
  /** BEGIN, which travels with it. */
  lead: Lead | undefined = undefined
  /** To be sent behind it as soon as that can be. */
  look: string | undefined = undefined
  deadline: Deadline | undefined = undefined
  aborted: (() => void) | undefined = undefined
  /** Tells the caller what is being completed for it, as far as that has come. */
  hurry: (() => void) | undefined = undefined

  constructor(query: LibraryStatement, codec: Codec, options: RunOptions) {
    this.query = query
    this.codec = codec
    this.options = options
    this.resolve = query.resolve
    this.reject = query.reject
  }
}

/** Maps what a query resolves with. */
export function mapValue(job: Job, value: unknown, arrays: ArrayTypes): void {
  if (job.query.onlyDescribe === true || !Array.isArray(value)) return
  const shape = shapeOf(job.query)
  const results = isResult(value) ? [value] : value.filter(isResult)
  // With a forEach the rows were mapped one by one, and the result has none.
  for (const result of results) mapResult(result, shape, job.codec, arrays)
}

/**
 * Has what reaches the application's callbacks mapped first, and keeps what they throw.
 *
 * @param lost whether the connection is gone: then the library must not go on
 */
export function mapChunks(job: Job, arrays: ArrayTypes, lost: () => boolean): void {
  const { query, codec } = job
  const { cursorFn, forEachFn } = query
  // The library writes on the error it is given, which may be frozen: it gets one of its own.
  const thrown = (error: unknown): never => {
    job.thrown = { error }
    throw new Error('The callback of a query failed')
  }
  // Going on would make the library write to a socket that is gone.
  const alive = <T>(go: () => T): T | Promise<never> => (lost() ? new Promise(() => {}) : go())
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

/**
 * A plan that went stale, or is not there, makes the library try once more, with the parameters as it has written them the
 * first time: `true` would become `'f'`. Without them it takes the query's own again; text it writes as it is.
 *
 * @param retrying is told why, before it is tried once more
 */
export function keepParameters(query: LibraryStatement, retrying: (error: unknown) => void): void {
  query.retrying = (error) => {
    if (query.args.length > 0) query.parameters = undefined
    retrying(error)
  }
}

function shapeOf(query: LibraryStatement): Shape {
  return query.isRaw === true ? 'buffers' : query.isRaw === 'values' ? 'values' : 'objects'
}
