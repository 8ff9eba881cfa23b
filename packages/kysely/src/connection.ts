// What Kysely holds as a connection: a lease that is taken with the first statement and kept until Kysely gives the
// connection back, so that `db.connection()` is one session and a handle that is never used costs nothing.

import {
  AcquireAbortedError,
  addCallerFrames,
  type Lease,
  LeaseReleasedError,
  StatementCancelledError,
  Transaction,
  TransactionEndedError,
  type TransactionSettings,
} from '@moorings/core'
import {
  noTransform,
  type Codec as PostgresCodec,
  type PostgresConnection,
  type PostgresPool,
} from '@moorings/postgres'
import { CompiledQuery, type DatabaseConnection, type QueryResult } from 'kysely'
import { binarySerializers, type Codec, type Parameter } from './codec.js'

interface Options {
  readonly signal?: AbortSignal
}

export class LeasedConnection implements DatabaseConnection {
  readonly #pool: PostgresPool
  readonly #values: Codec
  readonly #codec: PostgresCodec
  #lease: Lease<PostgresConnection> | undefined
  #transaction: Transaction<PostgresConnection> | undefined
  #released = false
  #killed = false
  #control: { readonly query: CompiledQuery; readonly run: () => Promise<void> } | undefined
  /** Cancels the statement under way, when it was given a signal. */
  #cancel: AbortController | undefined

  constructor(pool: PostgresPool, values: Codec) {
    this.#pool = pool
    this.#values = values
    this.#codec = {
      parser: (oid) => values.parserOf(oid),
      serializers: () => binarySerializers,
      transform: noTransform,
    }
  }

  async executeQuery<R>(compiledQuery: CompiledQuery, options: Options = {}): Promise<QueryResult<R>> {
    if (this.#control?.query === compiledQuery) {
      await this.#control.run()
      return { rows: [] }
    }
    const { signal } = options
    try {
      if (this.#lease === undefined) await this.#take(signal)
      else this.#pool.prolong(this.#lease)
      // Nothing between this and sending: a transaction that ends meanwhile must not let the statement through.
      const connection = this.#connection
      const {
        rows: result,
        command,
        count,
      } = await connection.execute<R>(this.#statement(compiledQuery), {
        codec: this.#codec,
        failed: this.#noteError,
        signal: this.#cancellable(signal),
      })
      // An array and nothing else, as pg's: postgres.js's own shows its count and command when printed.
      const rows = [...result]
      return { numAffectedRows: changesRows(command) ? BigInt(count ?? 0) : undefined, rows }
    } catch (error) {
      if (this.#heard(signal, error)) return { rows: [] }
      addCallerFrames(error, new Error())
      throw error
    } finally {
      this.#cancel = undefined
    }
  }

  async *streamQuery<R>(
    compiledQuery: CompiledQuery,
    chunkSize: number,
    options: Options = {},
  ): AsyncIterableIterator<QueryResult<R>> {
    const { signal } = options
    try {
      if (this.#lease === undefined) await this.#take(signal)
      else this.#pool.prolong(this.#lease)
    } catch (error) {
      if (this.#heard(signal, error)) return
      throw error
    }
    const run = { failed: this.#noteError, signal }
    try {
      for await (const rows of this.#connection.stream<R>(
        this.#statement(compiledQuery),
        this.#codec,
        chunkSize,
        run,
      )) {
        yield { rows: [...rows] }
      }
    } catch (error) {
      if (this.#heard(signal, error)) return
      throw error
    }
  }

  // --- aborting (Kysely 0.29) ---

  /** Kysely has told the caller of the abort already, and would print this as a failure in the background. */
  #heard(signal: AbortSignal | undefined, error: unknown): boolean {
    return signal?.aborted === true && (this.#killed || wasAborted(error))
  }

  /** By a CancelRequest of our own, not through another connection of the pool, which may be exhausted. */
  async cancelQuery(): Promise<void> {
    this.#cancel?.abort()
  }

  async killSession(): Promise<void> {
    const connection = this.#lease?.lost === false && !this.#lease.released ? this.#lease.connection : undefined
    if (connection === undefined) return
    // First, so that nobody else is lent it meanwhile; the server would go on until it writes to a socket that is gone.
    this.#killed = true
    connection.destroy(new StatementCancelledError('The session was killed, as its signal asked for'))
    await connection.cancel(AbortSignal.timeout(this.#pool.resilience.statement.cancelTimeoutMs))
  }

  // --- transactions ---

  get inTransaction(): boolean {
    return this.#transaction?.state === 'open'
  }

  /** Runs a step of a transaction as if it were this statement: Kysely logs what passes through `executeQuery`. */
  async control(sql: string, run: () => Promise<void>): Promise<void> {
    const query = CompiledQuery.raw(sql)
    this.#control = { query, run }
    try {
      await this.executeQuery(query)
    } finally {
      this.#control = undefined
    }
  }

  async begin(settings: TransactionSettings): Promise<void> {
    if (this.#lease === undefined) await this.#take(undefined)
    if (this.#lease === undefined) return
    this.#pool.prolong(this.#lease)
    this.#transaction = await Transaction.begin(this.#pool, this.#lease, settings)
  }

  /** Kysely runs a transaction's body in the call chain that begins it. */
  holdFromHere(): void {
    this.#pool.holdFromHere(() => this.#lease)
  }

  /** A savepoint was gone back to: what has failed since is undone. */
  recovered(): void {
    this.#transaction?.forgetError()
  }

  async commit(): Promise<void> {
    if (this.#transaction === undefined) throw new TransactionEndedError('There is no transaction to commit')
    await this.#transaction.commit()
    this.#transaction = undefined
  }

  async rollback(): Promise<void> {
    await this.#transaction?.rollback()
    this.#transaction = undefined
  }

  release(): void {
    this.#released = true
    this.#lease?.release()
  }

  // --- the lease ---

  async #take(signal: AbortSignal | undefined): Promise<void> {
    if (this.#released) throw new LeaseReleasedError()
    const lease = this.#pool.tryAcquire() ?? (await this.#pool.acquire({ signal, brief: true }))
    // Given back, or taken by another statement, while it was waited for.
    if (this.#released || this.#lease !== undefined) lease.release()
    else this.#lease = lease
  }

  get #connection(): PostgresConnection {
    if (this.#transaction !== undefined) return this.#transaction.connection
    if (this.#lease === undefined) throw new LeaseReleasedError()
    return this.#lease.connection
  }

  #statement({ sql, parameters }: CompiledQuery): { text: string; values: Parameter[] } {
    return { text: sql, values: parameters.map(this.#values.prepareParameter) }
  }

  #cancellable(signal: AbortSignal | undefined): AbortSignal | undefined {
    if (signal === undefined) return undefined
    this.#cancel = new AbortController()
    return this.#cancel.signal
  }

  readonly #noteError = (error: unknown): void => this.#transaction?.noteError(error)
}

function changesRows(command: string | undefined): boolean {
  return command === 'INSERT' || command === 'UPDATE' || command === 'DELETE' || command === 'MERGE'
}

function wasAborted(error: unknown): boolean {
  return error instanceof AcquireAbortedError || error instanceof StatementCancelledError
}
