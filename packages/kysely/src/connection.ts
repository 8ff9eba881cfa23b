// What Kysely holds as a connection: a lease that is taken with the first statement and kept until Kysely gives the
// connection back, so that `db.connection()` is one session and a handle that is never used costs nothing.

import {
  AcquireAbortedError,
  type AcquireOptions,
  type Ambient,
  addCallerFrames,
  type Inside,
  type Lease,
  LeaseReleasedError,
  ReadOnlyEndpointError,
  type Resends,
  type Source,
  type Statement,
  StatementCancelledError,
  saidIdempotent,
  Transaction,
  TransactionEndedError,
  type TransactionMark,
  type TransactionScope,
  type TransactionSettings,
} from '@moorings/core'
import {
  noTransform,
  noteRead,
  noteStatement,
  OneHandle,
  type Codec as PostgresCodec,
  type PostgresConnection,
  type PostgresPool,
  type RunOptions,
  resendsOf,
} from '@moorings/postgres'
import { CompiledQuery, type DatabaseConnection, type QueryResult } from 'kysely'
import { binarySerializers, type Codec } from './codec.js'
import { nestIn, type Part, RolledBack } from './part.js'
import { isReplicaRead } from './replica-reads.js'

interface Options {
  readonly signal?: AbortSignal
}

/** How values travel, for all connections of a driver. */
export interface Values {
  readonly prepare: Codec['prepareParameter']
  readonly codec: PostgresCodec
}

export function valuesOf(codec: Codec): Values {
  return {
    prepare: codec.prepareParameter,
    codec: { parser: (oid) => codec.parserOf(oid), serializers: () => binarySerializers, transform: noTransform },
  }
}

type Scope = TransactionScope<PostgresConnection>

/** How a statement is carried out. A class, as a connection's job is, and for the same reason: it lives as long. */
class Run implements RunOptions {
  readonly codec: PostgresCodec
  readonly written = true
  readonly bare: boolean
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number | undefined
  readonly #scope: Scope | undefined

  constructor(
    codec: PostgresCodec,
    scope: Scope | undefined,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ) {
    this.codec = codec
    this.bare = scope === undefined
    this.signal = signal
    this.timeoutMs = timeoutMs
    this.#scope = scope
  }

  failed(error: unknown): void {
    this.#scope?.noteError(error)
  }
}

export class LeasedConnection implements DatabaseConnection {
  readonly #pool: PostgresPool
  /** Where it is to have its connection from, wherever it is used. */
  #on: Source<PostgresConnection> | undefined
  readonly #values: Values
  #lease: Lease<PostgresConnection> | undefined
  /** Statements and transactions that its own lease was wanted for. */
  #uses = 0
  /** How long the lease was waited for. */
  #waitedMs = 0
  /** Begun on this handle's own lease. */
  #transaction: Transaction<PostgresConnection> | undefined
  /** That is not to write. */
  #readOnly = false
  /** Those that have ended, until the connection is back. */
  #ended: Transaction<PostgresConnection>[] | undefined
  /** A transaction that was begun elsewhere, or a savepoint in one, which this handle is a part of. */
  #part: Part | undefined
  readonly #handle: OneHandle
  #marks: Map<string, TransactionMark> | undefined
  /** Handles of statements under way that read from replicas. */
  #replicas: Set<LeasedConnection> | undefined
  #released = false
  #killed = false
  #control: { readonly query: CompiledQuery; readonly run: () => Promise<void> } | undefined
  /** Cancels the statement under way, when it was given a signal. */
  #cancel: AbortController | undefined

  /** Kysely has one for each statement: nothing is made before it is needed. */
  constructor(pool: PostgresPool, values: Values) {
    this.#pool = pool
    this.#values = values
    this.#handle = new OneHandle(pool)
  }

  get pool(): PostgresPool {
    return this.#pool
  }

  /** To be called before it is used. */
  stayOn(source: Source<PostgresConnection>): void {
    this.#on = source
  }

  /** Where it is told to have it from; undefined for wherever it is used. */
  get bound(): Source<PostgresConnection> | undefined {
    return this.#on
  }

  /** Who gives it its connection, in the current call chain. */
  get source(): Source<PostgresConnection> {
    return this.#on ?? this.#pool.source
  }

  async executeQuery<R>(compiledQuery: CompiledQuery, options: Options = {}): Promise<QueryResult<R>> {
    if (this.#control?.query === compiledQuery) {
      await this.#control.run()
      return { rows: [] }
    }
    const replica = this.#replicaFor(compiledQuery)
    if (replica !== undefined) return this.#beside(replica, compiledQuery, options)
    const { signal } = options
    let resends: Resends<PostgresConnection> | undefined
    let scope: TransactionScope<PostgresConnection> | undefined
    try {
      scope = this.#scope
      if (scope === undefined) {
        this.#note(compiledQuery)
        const waiting = this.#ready(signal)
        if (waiting !== undefined) await waiting
      }
      for (;;) {
        const lease = this.#lease
        try {
          // Nothing between this and sending: a transaction that ends meanwhile must not let the statement through.
          const connection = this.#connectionIn(scope)
          if (scope === undefined) this.#noteRead(compiledQuery)
          const {
            rows: result,
            command,
            count,
          } = await connection.execute<R>(
            this.#statement(compiledQuery),
            new Run(this.#values.codec, scope, this.#cancellable(signal), resends?.timeoutMs),
          )
          // An array and nothing else, as pg's: postgres.js's own shows its count and command when printed.
          const rows = result.slice()
          return { numAffectedRows: changesRows(command) ? BigInt(count ?? 0) : undefined, rows }
        } catch (error) {
          this.#refused(error, lease)
          if (lease === undefined || !this.#mayMove(lease, signal)) throw error
          resends ??= this.#resendsOf(compiledQuery)
          if (!resends.again(error, lease)) throw resends.told(error)
          await this.#move(lease, resends, signal)
        }
      }
    } catch (error) {
      if (this.#heard(signal, error)) return { rows: [] }
      if (scope === undefined) await this.#completed(error)
      addCallerFrames(error, new Error())
      throw error
    } finally {
      this.#cancel = undefined
      this.#letGo()
    }
  }

  async *streamQuery<R>(
    compiledQuery: CompiledQuery,
    chunkSize: number,
    options: Options = {},
  ): AsyncIterableIterator<QueryResult<R>> {
    const replica = this.#replicaFor(compiledQuery)
    if (replica !== undefined) {
      try {
        yield* replica.streamQuery<R>(compiledQuery, chunkSize, options)
      } finally {
        await this.#endBeside(replica)
      }
      return
    }
    const { signal } = options
    let scope: TransactionScope<PostgresConnection> | undefined
    try {
      scope = this.#scope
      if (scope === undefined) {
        this.#note(compiledQuery)
        await this.#ready(signal)
      }
    } catch (error) {
      if (this.#heard(signal, error)) return
      throw error
    }
    const noteError = (error: unknown) => scope?.noteError(error)
    const run = { bare: scope === undefined, failed: noteError, signal }
    try {
      const connection = this.#connectionIn(scope)
      if (scope === undefined) this.#noteRead(compiledQuery)
      for await (const rows of connection.stream<R>(
        this.#statement(compiledQuery),
        this.#values.codec,
        chunkSize,
        run,
      )) {
        yield { rows: rows.slice() }
      }
    } catch (error) {
      if (this.#heard(signal, error)) return
      if (scope === undefined) await this.#completed(error)
      throw error
    } finally {
      this.#letGo()
    }
  }

  // --- reading from a replica ---

  /**
   * A handle for that one statement, if it is to be read from a replica: on its own it would have to stay where it was, for
   * whatever else comes on this handle. One that has a connection already reads on that.
   */
  #replicaFor(query: CompiledQuery): LeasedConnection | undefined {
    const { replicas } = this.#pool
    if (replicas === undefined || this.#released || !isReplicaRead(query)) return undefined
    if (this.#lease !== undefined || this.#on !== undefined || this.ambient !== undefined) return undefined
    if (replicas.lenderOf(query.sql) !== replicas) return undefined
    const handle = new LeasedConnection(this.#pool, this.#values)
    handle.stayOn(replicas)
    this.#replicas ??= new Set()
    this.#replicas.add(handle)
    return handle
  }

  async #beside<R>(replica: LeasedConnection, query: CompiledQuery, options: Options): Promise<QueryResult<R>> {
    try {
      return await replica.executeQuery<R>(query, options)
    } finally {
      await this.#endBeside(replica)
    }
  }

  async #endBeside(replica: LeasedConnection): Promise<void> {
    this.#replicas?.delete(replica)
    await replica.release()
  }

  /** For reads that are to see what it writes. */
  #note({ sql }: CompiledQuery): void {
    if (this.source.repeatable !== true) noteStatement(this.#pool, () => sql)
  }

  #noteRead({ sql }: CompiledQuery): void {
    if (this.#lease !== undefined && this.source.repeatable === true) noteRead(this.#pool, this.#lease, () => sql)
  }

  // --- aborting (Kysely 0.29) ---

  /** Kysely has told the caller of the abort already, and would print this as a failure in the background. */
  #heard(signal: AbortSignal | undefined, error: unknown): boolean {
    return signal?.aborted === true && (this.#killed || wasAborted(error))
  }

  /** By a CancelRequest of our own, not through another connection of the pool, which may be exhausted. */
  async cancelQuery(): Promise<void> {
    this.#cancel?.abort()
    for (const replica of this.#replicas ?? []) await replica.cancelQuery()
  }

  async killSession(): Promise<void> {
    for (const replica of this.#replicas ?? []) await replica.killSession()
    const connection = this.#lease?.lost === false && !this.#lease.released ? this.#lease.connection : undefined
    if (connection === undefined) return
    // First, so that nobody else is lent it meanwhile; the server would go on until it writes to a socket that is gone.
    this.#killed = true
    connection.destroy(new StatementCancelledError('The session was killed, as its signal asked for'))
    await connection.cancel(AbortSignal.timeout(this.#pool.resilience.statement.cancelTimeoutMs))
  }

  // --- transactions ---

  get inTransaction(): boolean {
    return this.#part !== undefined || this.#transaction?.ambient.open() === true
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

  /**
   * Kysely runs a transaction's body in the call chain that begins it: from here on that is inside of it. To be called
   * before the first `await`, and before `begin`.
   *
   * @returns the transaction it is to be a part of, if any
   */
  enter(): Ambient<TransactionScope<PostgresConnection>> | undefined {
    const { joinable } = this.source
    this.#pool.holdFromHere(
      () => this.#lease,
      () => this.ambient,
    )
    return joinable
  }

  /** What whoever is in this handle's transaction is inside of. */
  get ambient(): Ambient<TransactionScope<PostgresConnection>> | undefined {
    return this.#part?.ambient ?? this.#transaction?.ambient
  }

  /** The transaction, or the part of it, that this handle means in the current call chain. */
  get inside(): Inside<PostgresConnection> | undefined {
    const own = this.ambient
    return own && this.#handle.meant(own)
  }

  /** It was begun in this handle's transaction, by this handle, wherever that was used. */
  nests(scope: TransactionScope<PostgresConnection>): void {
    this.#handle.nests(scope)
  }

  /** It is what `withTransaction` has begun: BEGIN and its end are not this handle's. */
  adopt(ambient: Ambient<TransactionScope<PostgresConnection>>): void {
    this.#part = { ambient, end: undefined }
  }

  /** @param taking where it is asked for, if anybody will want to know */
  async begin(
    settings: TransactionSettings,
    around: Inside<PostgresConnection> | undefined,
    taking: AcquireOptions['taking'],
  ): Promise<void> {
    if (around !== undefined) {
      this.#part = await nestIn(around)
      return
    }
    this.#uses++
    if (this.#lease === undefined) await this.#take({ brief: false, taking })
    if (this.#lease === undefined) return
    this.#pool.prolong(this.#lease)
    const { exactlyOnce } = this.#pool.resilience.transaction
    this.#readOnly = settings.accessMode === 'read only'
    const transaction = await Transaction.begin(this.#pool, this.#lease, { settings, exactlyOnce })
    this.#lease.whenLost = (reason) => transaction.giveUp(reason)
    this.#transaction = transaction
  }

  savepoint(name: string): void {
    const scope = this.ambient?.scope
    if (scope === undefined) return
    this.#marks ??= new Map()
    this.#marks.set(name, scope.mark)
  }

  /** A savepoint was gone back to: what has failed since is undone. */
  recovered(name: string): void {
    const mark = this.#marks?.get(name)
    if (mark !== undefined) this.ambient?.scope.backTo(mark)
  }

  async commit(): Promise<void> {
    if (this.#part !== undefined) {
      const { end } = this.#part
      await end?.(undefined)
      this.#part = undefined
      return
    }
    if (this.#transaction === undefined) throw new TransactionEndedError('There is no transaction to commit')
    await this.#end((transaction) => transaction.commit())
  }

  /** Never rejects. */
  async rollback(): Promise<void> {
    const { end } = this.#part ?? {}
    this.#part = undefined
    await end?.(new RolledBack()).catch(() => {})
    await this.#end((transaction) => transaction.rollback())
  }

  /**
   * `db.connection()` goes on being a connection after a transaction on it. After one whose end has failed it does not: who
   * goes on as if it were open would write outside of it.
   */
  async #end(how: (transaction: Transaction<PostgresConnection>) => Promise<unknown>): Promise<void> {
    const transaction = this.#transaction
    if (transaction === undefined) return
    await how(transaction)
    this.#transaction = undefined
    this.#readOnly = false
    this.#marks = undefined
    this.#over(transaction)
  }

  #over(transaction: Transaction<PostgresConnection>): void {
    this.#ended ??= []
    this.#ended.push(transaction)
  }

  release(): Promise<void> {
    this.#released = true
    this.#lease?.release()
    if (this.#transaction !== undefined) this.#over(this.#transaction)
    this.#transaction = undefined
    return this.#ended === undefined ? released : finish(this.#ended.splice(0))
  }

  // --- the lease ---

  /** @returns undefined when it was there at once */
  #take(options: AcquireOptions): Promise<void> | undefined {
    if (this.#released) throw new LeaseReleasedError()
    const { source } = this
    const lease = options.brief === true ? source.tryAcquire() : undefined
    if (lease === undefined) return this.#waitFor(source, options)
    this.#hold(lease)
    return undefined
  }

  #hold(lease: Lease<PostgresConnection>): void {
    // Given back, or taken by another statement, while it was waited for.
    if (this.#released || this.#lease !== undefined) lease.release()
    else this.#lease = lease
  }

  async #waitFor(source: Source<PostgresConnection>, options: AcquireOptions): Promise<void> {
    const { clock } = this.#pool.deadlines
    const askedAt = clock.now()
    const lease = await source.acquire(options)
    this.#waitedMs = clock.now() - askedAt
    this.#hold(lease)
  }

  /**
   * Whether its statement may go on on another connection: the first one of a handle, which no other has followed. What an
   * earlier one had left on the session would be missing there, and a session's connection is not to be had twice.
   */
  #mayMove(lease: Lease<PostgresConnection>, signal: AbortSignal | undefined): boolean {
    const own = this.#uses === 1 && this.#lease === lease && lease.session === undefined
    return own && this.ambient === undefined && !this.#released && !this.#killed && signal?.aborted !== true
  }

  #resendsOf({ sql }: CompiledQuery): Resends<PostgresConnection> {
    const said = { idempotent: saidIdempotent(), repeatable: this.source.repeatable === true }
    return resendsOf(this.#pool, this.#waitedMs, said, () => sql)
  }

  /** A write that its server does not take: the next is not to meet the same again. */
  #refused(error: unknown, lease: Lease<PostgresConnection> | undefined): void {
    if (!(error instanceof ReadOnlyEndpointError) || this.#readOnly) return
    if (lease !== undefined && !lease.lost && !lease.released) this.#pool.demoted(lease.connection)
  }

  /**
   * What a constraint refused is told when it is known what of. Its connection goes back before that, where it is no longer
   * needed for what was left on it: whatever comes next on this handle takes another one.
   */
  async #completed(error: unknown): Promise<void> {
    const lease = this.#lease
    const free = lease !== undefined && this.#isFree(lease)
    const completing = this.#pool.constraints.complete(error, { holds: lease !== undefined && !free })
    if (completing === undefined) return
    if (free) {
      this.#lease = undefined
      lease.release()
    }
    await completing
  }

  #isFree(lease: Lease<PostgresConnection>): boolean {
    if (this.#uses !== 1 || lease.session !== undefined || lease.released) return false
    // Outside of a transaction a cursor that fails takes its connection with it.
    if (lease.lost) return true
    return lease.connection.sessionState === 'clean' && lease.connection.transactionStatus === 'idle'
  }

  async #move(
    from: Lease<PostgresConnection>,
    resends: Resends<PostgresConnection>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#lease = undefined
    from.release()
    this.#hold(await resends.acquire(this.source, signal))
  }

  /** A session's connection is its own: between statements others are to have it, and a transaction has it alone. */
  #letGo(): void {
    if (this.#lease?.session === undefined || this.#transaction !== undefined) return
    this.#lease.release()
    this.#lease = undefined
  }

  /** @returns undefined when it is */
  #ready(signal: AbortSignal | undefined): Promise<void> | undefined {
    this.#uses++
    this.#pool.retryBudget.begun()
    if (this.#lease === undefined) return this.#take({ brief: true, signal })
    this.#pool.prolong(this.#lease)
    return undefined
  }

  /** The transaction a statement belongs to; for a handle that has neither one nor a lease, what the root database joins. */
  get #scope(): TransactionScope<PostgresConnection> | undefined {
    if (this.#lease === undefined && this.ambient === undefined) return this.source.joinable?.scope
    return this.inside?.scope
  }

  #connectionIn(scope: TransactionScope<PostgresConnection> | undefined): PostgresConnection {
    if (scope !== undefined) return scope.connection
    if (this.#transaction !== undefined) return this.#transaction.connection
    if (this.#lease === undefined) throw new LeaseReleasedError()
    return this.#lease.connection
  }

  #statement({ sql, parameters }: CompiledQuery): Statement {
    return { text: sql, values: parameters.map(this.#values.prepare), prepare: 'repeated' }
  }

  #cancellable(signal: AbortSignal | undefined): AbortSignal | undefined {
    if (signal === undefined) return undefined
    this.#cancel = new AbortController()
    return this.#cancel.signal
  }
}

const released = Promise.resolve()

async function finish(ended: readonly Transaction<PostgresConnection>[]): Promise<void> {
  for (const transaction of ended) await transaction.finish()
}

function changesRows(command: string | undefined): boolean {
  return command === 'INSERT' || command === 'UPDATE' || command === 'DELETE' || command === 'MERGE'
}

function wasAborted(error: unknown): boolean {
  return error instanceof AcquireAbortedError || error instanceof StatementCancelledError
}
