// Kysely's driver: connections are leases bound late, transactions are core's. What Kysely logs are the statements that
// begin and end a transaction, too, so those go through `executeQuery` like any other.

import {
  type Ambient,
  describeGiven,
  followCallChains,
  InvalidOptionsError,
  PoolClosedError,
  TransactionAbortedError,
  type TransactionScope,
} from '@moorings/core'
import { beginStatement, type PostgresConnection, type PostgresPool, quoted } from '@moorings/postgres'
import {
  CompiledQuery,
  type DatabaseConnection,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type TransactionSettings,
} from 'kysely'
import type { Codec } from './codec.js'
import { LeasedConnection, type Values, valuesOf } from './connection.js'

/** Told when a Kysely instance begins to use the pool, and when it was destroyed. */
export interface Usage {
  started(): PostgresPool
  ended(): Promise<void>
}

/** What `withTransaction` has begun or joined, for the one handle of Kysely's that is to stand for it. */
export const adoptable = new WeakSet<Ambient<TransactionScope<PostgresConnection>>>()

/** Kysely's own frames, from where it has a transaction begun to where the application has asked for it, and one of that. */
const TAKING_DEPTH = 5

/** Kysely recognises its own error by this, also in a copy of the package; then it knows that nothing is left to roll back. */
const kyselyAborted = Symbol.for('kysely.AbortedTransactionError')

export class ResilientPostgresDriver implements Driver {
  #pool: PostgresPool | undefined
  readonly #values: Values
  readonly #usage: Usage

  constructor(codec: Codec, usage: Usage) {
    this.#values = valuesOf(codec)
    this.#usage = usage
    // Before the first call of Kysely's, which waits for one thing after the other before it begins a transaction.
    followCallChains()
  }

  // Its options carry the signal of whichever call came first: not to be heeded.
  async init(): Promise<void> {
    this.#pool ??= this.#usage.started()
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#pool === undefined) throw new PoolClosedError('This driver was not initialised')
    return new LeasedConnection(this.#pool, this.#values)
  }

  async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    const { isolationLevel, accessMode } = settings
    if (isolationLevel === 'snapshot') {
      const allowed = 'a level of PostgreSQL; its snapshot isolation is called repeatable read'
      throw new InvalidOptionsError([{ path: 'isolationLevel', given: '"snapshot"', allowed }])
    }
    const wanted = { isolationLevel, accessMode } as const
    const handle = leased(connection)
    const around = handle.enter()
    // Its own BEGIN, and the one that is waited for: what comes later in the same call chain is nested.
    if (around !== undefined && adoptable.delete(around)) {
      await handle.control(beginStatement(wanted), async () => handle.adopt(around))
      return
    }
    const taking = around === undefined ? handle.pool.taking(this.beginTransaction, TAKING_DEPTH) : undefined
    const text = around === undefined ? beginStatement(wanted) : 'savepoint'
    await handle.control(text, () => handle.begin(wanted, around, taking))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    const handle = leased(connection)
    try {
      await handle.control('commit', () => handle.commit())
    } catch (error) {
      if (error instanceof TransactionAbortedError) Object.defineProperty(error, kyselyAborted, { value: true })
      throw error
    }
  }

  /** Never rejects: Kysely calls it while it holds the error that the application should see. */
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    const handle = leased(connection)
    if (handle.inTransaction) await handle.control('rollback', () => handle.rollback())
  }

  async savepoint(connection: DatabaseConnection, name: string): Promise<void> {
    leased(connection).savepoint(name)
    await connection.executeQuery(CompiledQuery.raw(`savepoint ${quoted(name)}`))
  }

  async rollbackToSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`rollback to ${quoted(name)}`))
    leased(connection).recovered(name)
  }

  async releaseSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`release ${quoted(name)}`))
  }

  releaseConnection(connection: DatabaseConnection): Promise<void> {
    return leased(connection).release()
  }

  async destroy(): Promise<void> {
    await this.#usage.ended()
  }
}

export function leased(connection: DatabaseConnection): LeasedConnection {
  if (connection instanceof LeasedConnection) return connection
  throw new TypeError('A connection of another driver was given to ResilientPostgresDriver')
}

/** What statements of this instance run on. Nothing is taken from the pool for that. */
export function handleOf<DB>(db: Kysely<DB>): Promise<LeasedConnection> {
  if (typeof db !== 'object' || db === null || typeof db.getExecutor !== 'function') throw notOurs(db)
  const executor = db.getExecutor()
  // Before it is asked for a connection: another driver would make one for that.
  if (!ourAdapters.has(executor.adapter)) throw notOurs(db)
  return executor.provideConnection(async (connection) => leased(connection))
}

/** @throws InvalidOptionsError when it is no database of ours */
export function poolOf<DB>(db: Pick<Kysely<DB>, 'getExecutor'>): PostgresPool {
  const ours =
    typeof db === 'object' && db !== null && typeof db.getExecutor === 'function'
      ? ourAdapters.get(db.getExecutor().adapter)
      : undefined
  if (ours === undefined) throw notOurs(db)
  return ours.pool
}

/** What tells an instance of this dialect, whatever plugins it has, and whatever was made from it. */
export const ourAdapters = new WeakMap<DialectAdapter, { readonly pool: PostgresPool }>()

function notOurs(db: unknown): InvalidOptionsError {
  const given = typeof db === 'object' && db !== null ? 'another database' : describeGiven(db)
  const allowed = 'a Kysely database whose dialect is a ResilientPostgresDialect'
  return new InvalidOptionsError([{ path: 'db', given, allowed }])
}
