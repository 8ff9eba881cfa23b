// One physical connection: one postgres.js instance that can connect once, on a socket we hold ourselves. So we know at
// once when it is lost, keep the server's reason, and can destroy it when it hangs.

import type { Duplex } from 'node:stream'
import {
  type CommitTicket,
  type Connection,
  type DeadlockError,
  type Endpoint,
  type ErrorSite,
  InvalidOptionsError,
  type MooringsError,
  ReadOnlyEndpointError,
  type Result,
  type Role,
  type SessionState,
  type Statement,
  StatementError,
  type TransactionSettings,
  type TransactionStatus,
} from '@moorings/core'
import { Asides } from './aside.js'
import { leaves, refusal } from './behind-pooler.js'
import { sendCancel } from './cancel.js'
import { classify, isUnprepared } from './classify.js'
import { closeCursor, textQuery } from './client-query.js'
import { type Codec, plain } from './codec.js'
import { streamRows } from './cursor.js'
import type { Deadlocks } from './deadlocks.js'
import type { RunOptions } from './job.js'
import { isObjectResult, isStream, type LibrarySql, type LibraryStatement } from './library.js'
import { Lifeline } from './lifeline.js'
import type { ParsedConnection } from './options.js'
import { OwnStatement } from './own-statement.js'
import { OwnTransaction, unlimited } from './own-transaction.js'
import type { QueueParts } from './queue-parts.js'
import type { Route } from './route.js'
import { greeting, type Server, serverOf } from './server.js'
import { SessionMarks } from './session-state.js'
import { addressOf, holdProcess } from './socket.js'
import { StatementQueue } from './statement-queue.js'
import type { BackendKey } from './wire.js'
import type { Wait } from './work-state.js'

/** Everything a connection is made of, once its socket is open. */
export interface ConnectionParts extends Omit<QueueParts, 'library' | 'send' | 'marks' | 'asides'> {
  readonly id: number
  readonly endpoint: Endpoint
  readonly socket: Duplex
  readonly sql: LibrarySql
  readonly parsed: ParsedConnection
  /** How values are mapped for whoever does not say. */
  readonly codec: Codec
  /** Of all connections of the driver. */
  readonly deadlocks: Deadlocks
  /** Of all that lead there. */
  readonly route: Route
  /** Told when it turns out that the way there keeps no prepared statements. */
  readonly unkept: (error: MooringsError) => void
}

export class PostgresConnection implements Connection {
  readonly id: number
  /** Who hears what is notified on it, instead of the application's `onnotify`. */
  notified: NotificationListener | undefined
  readonly #parts: ConnectionParts
  readonly #statements: StatementQueue
  readonly #marks = new SessionMarks()
  readonly #lifeline: Lifeline
  readonly #transaction: OwnTransaction
  readonly #madeAt: number
  /** Which of the addresses of its endpoint it leads to; undefined where that cannot be known. */
  readonly address: string | undefined
  #server: Server | undefined
  #askedRole: Role | undefined

  constructor(parts: ConnectionParts) {
    this.id = parts.id
    this.#parts = parts
    const { socket, librarySocket, reader, sql } = parts
    this.#madeAt = parts.deadlines.clock.now()
    this.address = addressOf(socket)
    const asides = new Asides(librarySocket, reader)
    // Any query of an instance carries the handler that sends it through that instance.
    const send = sql.unsafe('').handler
    this.#statements = new StatementQueue(this, { ...parts, asides, marks: this.#marks, library: sql.options, send })
    this.#transaction = new OwnTransaction(this, this.#statements.companions)
    // Ours come before the library's: the connection is known to be lost before anything in flight on it rejects.
    this.#lifeline = new Lifeline(socket, reader, parts.endpoint)
    socket.prependListener('data', (chunk: Buffer) => {
      const { deadlocks } = reader
      reader.push(chunk)
      if (reader.deadlocks !== deadlocks) parts.deadlocks.met(this)
      // The server's last words; the socket may stay open a while longer. At start-up they are the answer to the greeting.
      if (reader.fatal !== undefined && reader.readyCount > 0) {
        this.#lifeline.lose(undefined)
        if (this.lost !== undefined) this.unprepared(this.lost)
      }
      this.#statements.noteReady()
      if (asides.idle) librarySocket.deliver(chunk)
      else for (const piece of asides.sift(chunk)) librarySocket.deliver(piece)
      this.#statements.noteDelivered()
    })
    socket.prependListener('close', () => {
      // The library rejects what is in flight in its own `close` listener, next. If it ever did not, nobody must hang.
      setImmediate(() => this.#statements.abandon())
    })
  }

  get endpoint(): Endpoint {
    return this.#parts.endpoint
  }

  get route(): Route {
    return this.#parts.route
  }

  get lost(): MooringsError | undefined {
    return this.#lifeline.lost
  }

  get activity(): 'idle' | 'running' | 'cancelling' {
    return this.#statements.activity
  }

  get waitingSince(): number | undefined {
    return this.#statements.waitingSince
  }

  /** What is known here of a wait for the server. */
  get wait(): Wait {
    const { reader, deadlines } = this.#parts
    const now = deadlines.clock.now()
    return {
      ...this.#statements.sending,
      received: reader.received,
      ageMs: now - this.#madeAt,
      forMs: now - (this.waitingSince ?? now),
    }
  }

  /** A transaction of which nothing was sent yet is open: whoever gives the connection back leaves it behind. */
  get transactionStatus(): TransactionStatus {
    return this.#statements.companions.begun ? 'open' : this.#parts.reader.transactionStatus
  }

  get worn(): boolean {
    return this.#statements.worn
  }

  get statements(): number {
    return this.#statements.count
  }

  get sessionState(): 'clean' | 'dirty' | 'spoilt' {
    const { state } = this.#ownMarks
    // A transaction of which nothing was sent: only `reset` or `keepState` forgets it.
    return state === 'clean' && this.#statements.companions.begun ? 'dirty' : state
  }

  /** Whether a pooler lends it another session with each transaction. */
  get #sharesSessions(): boolean {
    return this.#server?.direct === false && this.#parts.route.lends === 'transaction'
  }

  get #ownMarks(): SessionMarks {
    if (this.#sharesSessions) this.#marks.keepSettingsOnly()
    return this.#marks
  }

  assertSession(needs: SessionState | 'session' = 'session'): void {
    if (this.#sharesSessions) throw refusal(needs, this.endpoint)
  }

  /** Why a statement is not to be sent, if it is not. */
  refusalOf({ strings }: LibraryStatement): MooringsError | undefined {
    if (!this.#sharesSessions) return undefined
    const left = leaves(strings.join(''), this.transactionStatus !== 'idle')
    return left && refusal(left, this.endpoint)
  }

  declare(left: SessionState): void {
    this.#marks.declare(left)
  }

  keepState(by: 'set-up' | 'statement'): void {
    this.#statements.companions.forgetBegin()
    this.#statements.settle()
    this.#marks.keep(by === 'set-up')
  }

  ref(): void {
    holdProcess(this.#parts.socket, true)
  }

  unref(): void {
    holdProcess(this.#parts.socket, false)
  }

  /** The server's settings as it reported them: `server_version`, `in_hot_standby`, … */
  get parameters(): Readonly<Record<string, string>> {
    return this.#parts.sql.parameters
  }

  get role(): Role | undefined {
    const { in_hot_standby: standby, default_transaction_read_only: readOnly } = this.parameters
    // Reported by PostgreSQL 14 and later. A pooler reports what it was once told.
    if (standby === undefined || this.#server?.direct === false) return this.#askedRole
    if (standby === 'on') return 'standby'
    return readOnly === 'on' ? 'read-only' : 'primary'
  }

  /** Where the server does not report its role by itself. */
  async askRole(): Promise<void> {
    if (this.role !== undefined) return
    const text = `select pg_is_in_recovery()::text as standby, current_setting('default_transaction_read_only') as read_only`
    const { rows } = await this.execute({ text }, { site: 'connect', timeoutMs: 0, codec: plain })
    const { standby, read_only: readOnly } = rows[0] ?? {}
    this.#askedRole = standby === 'true' ? 'standby' : readOnly === 'on' ? 'read-only' : 'primary'
  }

  /** What the server has said of itself; undefined where it cannot be asked about transactions. */
  get server(): Server | undefined {
    return this.#server
  }

  /**
   * The first statement: with it postgres.js connects.
   *
   * @returns false if it is not one to be asked this again
   */
  async greet(): Promise<boolean> {
    try {
      const said = await this.execute({ text: greeting }, { site: 'connect', timeoutMs: 0, codec: plain })
      this.#server = serverOf(said, this.backendKey?.pid)
      return true
    } catch (error) {
      // A session that has begun and was asked too much is ready again.
      if (this.lost !== undefined || this.#parts.reader.readyCount < 2) throw error
      const { code } = this.classify(error, 'connect')
      // No such function, no right to it, not offered.
      return code === undefined || !/^(42|0A)/.test(code)
    }
  }

  /** Process id of the backend, and the secret that lets one cancel what it does. */
  get backendKey(): BackendKey | undefined {
    return this.#parts.reader.backendKey
  }

  // --- statements ---

  /** Carries out a query of postgres.js, made by any instance. It is the query itself that resolves or rejects. */
  run(query: LibraryStatement, codec: Codec, options?: RunOptions): void {
    this.#statements.run(query, codec, options)
  }

  /** Ends a query that was given to `run`, wherever it is: its caller is told at once. */
  interrupt(query: LibraryStatement, error: MooringsError): void {
    this.#statements.interrupt(query, error)
  }

  get direct(): boolean {
    return this.#server?.direct === true
  }

  /** Nothing is prepared by itself behind a pooler: whether it finds it again shows too late, in the midst of a transaction. */
  get keepsPrepared(): boolean {
    const { route, sql } = this.#parts
    return route.keepsPrepared && Boolean(sql.options.prepare) && this.#server?.direct !== false
  }

  /** Where the session is the server's own, somebody has dropped it. Elsewhere the next one would not be found either. */
  unprepared(error: unknown): void {
    const { route, sql, unkept } = this.#parts
    const classified = classify(error, 'statement')
    if (!isUnprepared(classified) || this.direct) return
    // Also for what is about to be tried once more.
    sql.options.prepare = false
    if (!route.keepsPrepared) return
    route.keepsPrepared = false
    unkept(classified)
  }

  resume(): void {
    this.#parts.socket.resume()
  }

  stop(reason: MooringsError): void {
    this.#statements.stop(reason)
  }

  /** A write refused where the server itself takes writes was refused by the transaction's own access mode. */
  classify(error: unknown, at: ErrorSite): MooringsError {
    const classified = classify(error, at)
    const told = this.parameters.in_hot_standby !== undefined && this.#server?.direct !== false
    const writable = told && this.role === 'primary'
    if (!writable || !(classified instanceof ReadOnlyEndpointError)) return classified
    return new StatementError(classified.message, { code: classified.code, cause: error })
  }

  deadlocked(error: DeadlockError, text: string): void {
    this.#parts.deadlocks.noted(error, this, text)
  }

  /** What it was asked last, as far as it may be known to somebody else's deadlock. */
  get lately(): string | undefined {
    return this.#statements.lately
  }

  async cancel(signal: AbortSignal): Promise<void> {
    const { endpoint, parsed, reader } = this.#parts
    // Its name may mean another server by now, or several.
    const there = { ...endpoint, address: this.address }
    if (reader.backendKey !== undefined) await sendCancel(there, parsed, reader.backendKey, signal)
  }

  // --- statements of ours ---

  /**
   * @param options `codec`: how values are mapped; by default as postgres.js does it
   * @typeParam Row what the caller knows a row to be; it is the statement's text that decides
   */
  execute<Row = Record<string, unknown>>(
    statement: Statement,
    options: RunOptions & { readonly codec?: Codec } = {},
  ): Promise<Result<Row>> {
    const { text, values = none } = statement
    const prepare = statement.prepare === 'repeated' ? undefined : statement.prepare === true
    const written = options.written === true && values.every(isWritten)
    return new Promise((resolve, reject) => {
      const answered = (value: unknown) => resolve(resultOf<Row>(value))
      const query = new OwnStatement(text, values, { prepare, written }, answered, reject)
      this.run(query, options.codec ?? this.#parts.codec, options)
    })
  }

  /** Rows in chunks, the next chunk fetched when the last one was taken. Leaving the loop closes the cursor. */
  stream<Row = Record<string, unknown>>(
    statement: Statement,
    codec: Codec,
    chunkSize: number,
    options?: RunOptions,
  ): AsyncIterableIterator<readonly Row[]> {
    if (!Number.isInteger(chunkSize) || chunkSize < 1) {
      throw new InvalidOptionsError([{ path: 'chunkSize', given: String(chunkSize), allowed: 'an integer >= 1' }])
    }
    const query = textQuery(statement.text, statement.values ?? none, () => this.run(query, codec, options), undefined)
    return streamRows<Row>(query, chunkSize, closeCursor)
  }

  /** One of ours that has no rows: resolves with its tag. */
  command(text: string, options?: RunOptions): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const answered = (value: unknown) => {
        const result = resultOf(value)
        resolve(result instanceof Promise ? result.then(({ command }) => command) : result.command)
      }
      this.run(new OwnStatement(text, none, unprepared, answered, reject), plain, options)
    })
  }

  /**
   * Sends nothing: BEGIN travels with the next statement, whose caller hears what is wrong with it. COMMIT and ROLLBACK of
   * a transaction without any statement are not sent either.
   */
  begin(settings?: TransactionSettings, traced?: boolean): void {
    this.#transaction.begin(settings, traced)
  }

  get ticket(): CommitTicket | 'nothing' | undefined {
    return this.#transaction.ticket
  }

  commit(): Promise<'committed' | 'rolled-back'> {
    return this.#transaction.commit()
  }

  rollback(): Promise<void> {
    return this.#transaction.rollback()
  }

  savepoint(name: string): void | Promise<void> {
    return this.#transaction.savepoint(name)
  }

  rollbackTo(name: string): void | Promise<void> {
    return this.#transaction.rollbackTo(name)
  }

  release(name: string): void | Promise<void> {
    return this.#transaction.release(name)
  }

  async ping(_signal: AbortSignal): Promise<void> {
    await this.command('select 1', unlimited)
  }

  async reset(_signal: AbortSignal): Promise<void> {
    this.#statements.companions.forgetBegin()
    const known = this.#ownMarks.state !== 'clean'
    await this.#statements.quiet()
    if (this.transactionStatus !== 'idle') await this.rollback()
    const { undo, undoesSetUp } = this.#ownMarks
    if (undo === '') return
    await this.command(undo, unlimited)
    this.#marks.undone()
    // What a cancelled statement turned out to have left. Whoever asked could not know that the set-up is to run again.
    if (undoesSetUp && !known) this.#marks.declare('other')
  }

  // --- the end ---

  onLost(listener: (reason: MooringsError, how: 'lost' | 'destroyed') => void): void {
    this.#lifeline.onLost(listener)
  }

  close(signal: AbortSignal): Promise<void> {
    return this.#lifeline.close(signal)
  }

  destroy(reason: MooringsError): void {
    this.#lifeline.destroy(reason)
  }
}

const none: readonly unknown[] = []

const unprepared = { prepare: false, written: false } as const

/** No promise but for the data of a COPY. */
function resultOf<Row>(value: unknown): Result<Row> | Promise<Result<Row>> {
  // Several statements in one text: as with pg, the caller sees none of their rows.
  if (isObjectResult<Row>(value))
    return { rows: value, command: value.command ?? undefined, count: value.count ?? undefined }
  if (!isStream(value)) return { rows: [], command: undefined, count: undefined }
  return endCopy(value).then((command) => ({ rows: [], command, count: undefined }))
}

function isWritten(value: unknown): value is string | null {
  return typeof value === 'string' || value === null
}

/** A COPY where nobody can reach its stream: there is nothing to send, and what comes is thrown away. */
async function endCopy(stream: Duplex): Promise<string> {
  if (stream.writable && !stream.readable) {
    stream.destroy()
    throw new StatementError('COPY FROM STDIN has nothing to read from here; use sql`…`.writable()', { code: '57014' })
  }
  stream.resume()
  await new Promise((resolve) => stream.once('close', resolve))
  return 'COPY'
}

export type NotificationListener = (channel: string, payload: string) => void
