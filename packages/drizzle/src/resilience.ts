// What a Drizzle database gets besides our client: its statements throw our errors themselves instead of wrapping them,
// and a transaction's settings travel with BEGIN. Two hooks on the session object, so that they fit the session classes
// of every release (0.45 and 1.0 differ in everything else).

import {
  addCallerFrames,
  type Circumstances,
  ConstraintViolationError,
  describeGiven,
  type Inside,
  InvalidOptionsError,
  isMooringsError,
  lendFields,
  type Propagation,
  PropagationError,
  type SessionContext,
  type SessionOptions,
  type TransactionContext,
  type TransactionOptions,
} from '@moorings/core'
import type { Client, PostgresConnection, PostgresPool } from '@moorings/postgres'
import type { TransactionSql } from 'postgres'
import { registerSchemaOf } from './registered-tables.js'
import type { Resilient } from './types.js'

interface AnyDatabase {
  transaction: (body: never) => unknown
}

export type Body<T = unknown, Tx = Transactional> = (tx: Tx, context: TransactionContext) => Promise<T> | T

/** What every release's database and transaction objects share. */
interface Transactional {
  readonly _: { readonly session: Session }
  transaction<T>(body: Body<T>, config?: object): Promise<T>
}

interface Session {
  readonly client: Client
  prepareQuery(...args: unknown[]): Prepared
  transaction<T>(body: Body<T>, config?: object): Promise<T>
}

interface Prepared {
  execute(...args: unknown[]): Promise<unknown>
  all?(...args: unknown[]): Promise<unknown>
}

/** Begins a transaction of a session, or one inside of another. */
type Begin = <T>(body: Body<T>, config: object | undefined, how: Circumstances<PostgresConnection, T>) => Promise<T>

/** A session that was made ours: how transactions are begun on it; and in which transaction it is, if it is one's. */
class Known {
  readonly begin: Begin
  /** Drizzle's own way to make the handle of a transaction. */
  readonly stock: Session['transaction']
  readonly style: Style
  readonly inside: Inside<PostgresConnection> | undefined

  constructor(begin: Begin, stock: Session['transaction'], style: Style, inside?: Inside<PostgresConnection>) {
    this.begin = begin
    this.stock = stock
    this.style = style
    this.inside = inside
  }
}

/** Between a session and the application: `db.transaction()`, one that chooses among replicas, and one to spare. */
const TAKING_DEPTH = 4

/** How errors are thrown: `resilience.errors.style`. */
type Style = PostgresPool['resilience']['errors']['style']

const known = new WeakMap<Session, Known>()

/**
 * Makes a Drizzle database on a Moorings client throw Moorings errors directly. `drizzle()` of this package has done it
 * already; it is for a database that another release's factory has made.
 *
 * @example
 * import { drizzle } from 'drizzle-orm/postgres-js' // 1.0.0-rc
 * const db = withResilience(drizzle({ client: createClient(pool), relations }))
 */
export function withResilience<Database extends AnyDatabase>(db: Database): Resilient<Database> {
  if (!isTransactional(db) || !('pool' in db._.session.client)) {
    throw new InvalidOptionsError([
      {
        path: 'db',
        given: 'something else',
        allowed: 'a postgres-js Drizzle database whose client is a Moorings client',
      },
    ])
  }
  adapt(db._.session)
  registerSchemaOf(db, db._.session.client.pool)
  if (isResilient(db)) return db
  throw notOurs(db)
}

function adapt(session: Session): void {
  if (known.has(session)) return
  const { client } = session
  const { style } = client.pool.resilience.errors
  throwInStyle(session, style)
  const stock = session.transaction
  const begin: Begin = (body, config, how) => {
    const { options, rest } = splitConfig(config)
    const inTransaction = (sql: TransactionSql, inside: Inside<PostgresConnection>) => {
      const begun = begunWith(session, stock, sql)
      return begun.transaction((tx) => body(adapted(tx, new Known(begin, stock, style, inside)), inside.context), rest)
    }
    return client.transaction(options, inTransaction, how)
  }
  known.set(session, new Known(begin, stock, style))
  // Not async: a promise less.
  const transaction: Session['transaction'] = (body, config) => {
    try {
      const inside = client.source().joinable ?? 'none'
      const taking = inside === 'none' ? client.pool.taking(transaction, TAKING_DEPTH) : undefined
      return begin(body, config, { inside, joined: false, lenient: true, taking })
    } catch (error) {
      return Promise.reject(error)
    }
  }
  session.transaction = transaction
}

/** Its own transaction calls `this.client.begin(run)`: what is begun there is begun already, and is this client's. */
function begunWith(session: Session, stock: Session['transaction'], client: TransactionSql | Client): Session {
  // Assigned: to define them takes several times as long.
  return Object.assign(Object.create(session), {
    client: { begin: (run: (sql: TransactionSql | Client) => Promise<unknown>) => run(client) },
    transaction: stock,
  })
}

function isResilient<Database extends AnyDatabase>(db: Database): db is Resilient<Database> {
  return isTransactional(db) && known.has(db._.session)
}

function adapted(tx: Transactional, found: Known): Transactional {
  const { begin, inside, style } = found
  throwInStyle(tx._.session, style)
  known.set(tx._.session, found)
  tx.transaction = (body, config) => begin(body, config, { inside, lenient: true })
  return tx
}

/**
 * Begins a session on a database, or one inside of a session, and gives the body a database that is on its connection.
 *
 * @throws InvalidOptionsError when it is no database of ours
 * @throws PropagationError when it is a transaction
 */
export async function stayOn<T>(
  db: unknown,
  body: (db: Transactional, context: SessionContext) => Promise<T> | T,
  options: SessionOptions,
): Promise<T> {
  const found = isTransactional(db) ? known.get(db._.session) : undefined
  if (!isTransactional(db) || found === undefined) throw notOurs(db)
  if (found.inside !== undefined) {
    throw new PropagationError('A session was asked for on the handle of a transaction: begin it on the root database')
  }
  return clientOf(db).session(options, async (client, context) => body(await onClient(db, client), context))
}

/** The same database on another client of its pool: what Drizzle makes for a transaction, without being one. */
export function onClient(db: unknown, client: Client): Promise<Transactional> {
  const found = isTransactional(db) ? known.get(db._.session) : undefined
  if (!isTransactional(db) || found === undefined) throw notOurs(db)
  return begunWith(db._.session, found.stock, client).transaction(async (tx) => {
    adapt(tx._.session)
    tx.transaction = (body, config) => tx._.session.transaction(body, config)
    return tx
  })
}

/**
 * Begins a transaction on a database, or one inside of a transaction, as a transaction that its whole call chain is in.
 * Where there is to be none the body is given the database itself.
 *
 * @throws InvalidOptionsError when it is no database of ours
 */
export function beginOn<T>(db: unknown, body: Body<T>, options: TransactionOptions<Propagation>): Promise<T> {
  const found = isTransactional(db) ? known.get(db._.session) : undefined
  if (!isTransactional(db) || found === undefined) throw notOurs(db)
  const { begin, inside } = found
  if (inside !== undefined) return begin(body, options, { joined: true, inside })
  return begin(body, options, { joined: true, without: (context) => body(db, context) })
}

/** What carries its statements. @throws InvalidOptionsError when it is no database of ours */
export function clientOf(db: unknown): Client {
  if (!isTransactional(db) || !known.has(db._.session)) throw notOurs(db)
  return db._.session.client
}

function notOurs(db: unknown): InvalidOptionsError {
  const allowed = 'a database of @moorings/drizzle, or one made by withResilience(), or a transaction of such a one'
  return new InvalidOptionsError([{ path: 'db', given: describeGiven(db, true), allowed }])
}

/** Drizzle wraps what the driver throws, and its wrapper's message holds the parameters: only if that is asked for. */
function throwInStyle(session: Session, style: Style): void {
  const rethrow = style === 'direct' ? rethrowDirectly : rethrowWrapped
  const stock = session.prepareQuery
  session.prepareQuery = (...args) => {
    const prepared = stock.apply(session, args)
    const { execute, all } = prepared
    prepared.execute = (...values) => execute.apply(prepared, values).catch(rethrow)
    if (all !== undefined) prepared.all = (...values) => all.apply(prepared, values).catch(rethrow)
    return prepared
  }
}

function rethrowDirectly(error: unknown): never {
  if (!(error instanceof Error) || isMooringsError(error) || !isMooringsError(error.cause)) throw error
  addCallerFrames(error.cause, error)
  throw error.cause
}

/** What a guard has told to be a violation has the fields of one, whichever is thrown. */
function rethrowWrapped(error: unknown): never {
  if (error instanceof Error && error.cause instanceof ConstraintViolationError) lendFields(error, error.cause)
  throw error
}

const plain: { readonly options: TransactionOptions; readonly rest: undefined } = { options: {}, rest: undefined }

function splitConfig(config: object | null | undefined): { options: TransactionOptions; rest: object | undefined } {
  if (config === undefined || config === null) return plain
  const { snapshot, ...options }: TransactionOptions & { snapshot?: unknown } = config
  // Not a mode of BEGIN: Drizzle sends it in a statement of its own.
  return { options, rest: snapshot === undefined ? undefined : { snapshot } }
}

function isTransactional(value: unknown): value is Transactional {
  if (typeof value !== 'object' || value === null) return false
  if (!('_' in value) || typeof value._ !== 'object' || value._ === null || !('session' in value._)) return false
  const { session } = value._
  return typeof session === 'object' && session !== null && 'client' in session && typeof session.client === 'function'
}
