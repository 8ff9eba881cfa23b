// A statement by itself: on a lease of its own, and on another one if its connection was lost and it may be sent again. One
// object for each, which is also what the connection is told of it: it carries nothing more while nothing fails.

import {
  type ConnectionLostError,
  type Lease,
  ReadOnlyEndpointError,
  Resends,
  type Role,
  type Source,
  saidIdempotent,
} from '@moorings/core'
import { type ClientQuery, standInFor } from './client-query.js'
import type { Codec } from './codec.js'
import type { PostgresConnection } from './connection.js'
import type { Job, RunOptions } from './job.js'
import { textOf, writtenText } from './library.js'
import { noteRead, noteStatement } from './noting-writes.js'
import { readsOnly } from './plain-reads.js'
import type { PostgresPool } from './pool.js'
import { evidentlyReads } from './reads.js'
import { noteRunning, noteStandIn, wasCancelled } from './running.js'

/** What all statements of a client share. */
export interface SingleParts {
  readonly pool: PostgresPool
  readonly codec: Codec
}

/**
 * Whether and how a statement is sent again.
 *
 * @param waitedMs how long its connection was waited for
 * @param said whether its caller has said that it is idempotent, and whether replicas were to carry it out
 * @param text of the statement, asked for when it may have been carried out
 */
export function resendsOf(
  pool: PostgresPool,
  waitedMs: number,
  { idempotent, repeatable }: { readonly idempotent: boolean; readonly repeatable: boolean },
  text: () => string,
): Resends<PostgresConnection> {
  const { idempotentReads } = pool.resilience.statement
  // The primary, standing in for a replica, carries out what a function writes.
  const unwritten = (role: Role | undefined) => role === 'standby' || evidentlyReads(text())
  return new Resends(
    pool,
    waitedMs,
    ({ role }) => idempotent || (repeatable && unwritten(role)) || (idempotentReads && readsOnly(text())),
  )
}

export class Single implements RunOptions {
  /** In a session it may leave a transaction open: the next statement meets it again. */
  alone = true
  timeoutMs: number | undefined
  readonly #parts: SingleParts
  readonly #source: Source<PostgresConnection>
  readonly #idempotent: boolean
  #query: ClientQuery
  #lease: Lease<PostgresConnection> | undefined
  #waitedMs = 0
  #resends: Resends<PostgresConnection> | undefined
  /** It is to be sent again as soon as its connection is back. */
  #again = false
  /** Its server takes no writes. */
  #refused = false

  constructor(parts: SingleParts, source: Source<PostgresConnection>, query: ClientQuery) {
    this.#parts = parts
    this.#source = source
    this.#query = query
    this.#idempotent = saidIdempotent()
  }

  get #repeatable(): boolean {
    return this.#source.repeatable === true
  }

  /** It is the query itself that resolves or rejects. */
  start(): void {
    const { pool } = this.#parts
    if (!this.#repeatable) noteStatement(pool, () => writtenText(this.#query))
    pool.retryBudget.begun()
    const lease = this.#source.tryAcquire()
    if (lease === undefined) this.#wait()
    else this.#runOn(lease)
  }

  #wait(): void {
    const { clock } = this.#parts.pool.deadlines
    const askedAt = clock.now()
    this.#source.acquire({ brief: true }).then(
      (lease) => {
        this.#waitedMs = clock.now() - askedAt
        this.#runOn(lease)
      },
      (error: unknown) => this.#query.reject(error),
    )
  }

  #runOn(lease: Lease<PostgresConnection>): void {
    this.#lease = lease
    this.alone = lease.session === undefined
    const query = this.#query
    if (wasCancelled(query)) {
      this.done()
      return
    }
    let connection: PostgresConnection
    try {
      connection = lease.connection
    } catch (error) {
      if (!this.#takeBack(error)) query.reject(this.#told(error))
      this.done()
      return
    }
    const { pool, codec } = this.#parts
    if (this.#repeatable) noteRead(pool, lease, () => writtenText(this.#query))
    noteRunning(query, connection)
    connection.run(query, codec, this)
  }

  failed(error: unknown): void {
    this.#refused = error instanceof ReadOnlyEndpointError
  }

  /** The server is done with it. */
  done(): void {
    const lease = this.#lease
    // The next is not to meet the same again.
    if (this.#refused && lease !== undefined && !lease.lost) this.#parts.pool.demoted(lease.connection)
    lease?.release()
    if (!this.#again) return
    this.#again = false
    this.#resend()
  }

  #resend(): void {
    const resends = this.#resends
    if (resends === undefined) return
    resends.acquire(this.#source).then(
      (lease) => {
        this.timeoutMs = resends.timeoutMs
        this.#runOn(lease)
      },
      (error: unknown) => this.#query.reject(error),
    )
  }

  // --- when its connection was lost ---

  /** @returns what its caller is to be told; undefined for nothing yet */
  lost(error: ConnectionLostError, job: Job): unknown {
    const query = this.#query
    // What was handed out cannot be had back, and what is written or read beside it begins once.
    const handsOut = query.cursorFn !== undefined || query.forEachFn !== undefined || query.streaming === true
    if (handsOut || !this.#takeBack(error)) return this.#told(error)
    // The library may still have something to say about the one it was given.
    this.#query = standInFor(query, job)
    noteStandIn(query, this.#query)
    return undefined
  }

  #takeBack(error: unknown): boolean {
    const lease = this.#lease
    // A session's connection is not to be had twice.
    if (lease === undefined || !this.alone) return false
    const said = { idempotent: this.#idempotent, repeatable: this.#repeatable }
    this.#resends ??= resendsOf(this.#parts.pool, this.#waitedMs, said, () => textOf(this.#query))
    this.#again = this.#resends.again(error, lease)
    return this.#again
  }

  #told(error: unknown): unknown {
    return this.#resends === undefined ? error : this.#resends.told(error)
  }
}
