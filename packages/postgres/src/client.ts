// The facade: what an application that used postgres.js sees. Queries, fragments and helpers are the library's own
// objects; only who carries a query out is ours: a lease of the pool, a transaction, or a reserved connection.

import { readFile } from 'node:fs/promises'
import {
  type Circumstances as CoreCircumstances,
  type Inside as CoreInside,
  describeGiven,
  InvalidOptionsError,
  type Lease,
  MooringsError,
  type SessionContext,
  type SessionOptions,
  type Source,
  type TransactionOptions,
  type TransactionScope,
} from '@moorings/core'
import type { ReservedSql, Sql, TransactionSql } from 'postgres'
import { ClientQuery, textQuery } from './client-query.js'
import { TableCodec } from './codec.js'
import type { PostgresConnection } from './connection.js'
import type { RunOptions } from './job.js'
import { type LibrarySql, type UnsafeOptions, writtenText } from './library.js'
import { noteStatement } from './noting-writes.js'
import { OneHandle } from './one-handle.js'
import { noteOrigin } from './origins.js'
import { PostgresPool } from './pool.js'
import { noteRunning, wasCancelled } from './running.js'
import { Single, type SingleParts } from './single.js'
import { parseModes } from './words.js'

type Body<T> = (sql: TransactionSql, inside: Inside) => T | Promise<T>

type Circumstances<T> = CoreCircumstances<PostgresConnection, T>
type Inside = CoreInside<PostgresConnection>

/** postgres.js's `sql`, on a pool of ours: `client.pool` is that pool. */
export interface Client extends Sql {
  readonly pool: PostgresPool
  /**
   * As `pool.transaction`, with the `sql` of the transaction for its body. Statements on the client itself in the body's
   * call chain join it.
   */
  transaction<T>(options: TransactionOptions, body: Body<T>, circumstances?: Circumstances<T>): Promise<T>
  /**
   * As `pool.session`, with a client for its body whose statements, transactions and reserved connections are the
   * session's, wherever they are called from. Those on the client itself are, in the body's call chain.
   */
  session<T>(options: SessionOptions, body: SessionBody<T>): Promise<T>
  /** The same client, of which every use is on the connections of that source, wherever it is called from. */
  on(source: Source<PostgresConnection>): Client
  /** Who gives its statements their connections in the current call chain: a session, or the pool. */
  source(): Source<PostgresConnection>
}

type SessionBody<T> = (client: Client, context: SessionContext) => T | Promise<T>

/** Carries a query out. */
type Carry = (query: ClientQuery) => void

/**
 * Makes a postgres.js-shaped client on a pool. Each has value mapping of its own: what an ORM changes in
 * `client.options.parsers` reaches no other client of the pool.
 *
 * @throws InvalidOptionsError when it is given no pool
 * @example
 * const sql = createClient(createPool('postgres://app@localhost/shop'))
 * const boats = await sql`select * from boats where berth = ${berth}`
 */
export function createClient(pool: PostgresPool): Client {
  const given: unknown = pool
  if (!(given instanceof PostgresPool)) {
    const allowed = 'a pool from createPool'
    throw new InvalidOptionsError([{ path: 'pool', given: describeGiven(given, true), allowed }])
  }
  const { driver, listener, resilience } = pool
  const { library } = driver.parsed
  const options = {
    ...library,
    // It never connects, and an application may print it.
    pass: null,
    max: 1,
    no_subscribe: true,
    socket: () => {
      throw new MooringsError('config', 'A facade never connects by itself')
    },
    parsers: { ...library.parsers },
    serializers: { ...library.serializers },
    parameters: {},
    shared: { retries: 0, typeArrayMap: driver.arrays.byElement },
  }
  const template = pool.librarySql(options)
  options.max = resilience.pool.max
  const codec = new TableCodec(options)

  const singles: SingleParts = { pool, codec }

  /** By itself, unless the call chain is in a transaction that everything joins. */
  const single = (from: Source<PostgresConnection>, query: ClientQuery): void => {
    let scope: TransactionScope<PostgresConnection> | undefined
    try {
      scope = from.joinable?.scope
    } catch (error) {
      query.reject(error)
      return
    }
    if (scope !== undefined) {
      inScope(scope, query)
      return
    }
    const lender = from.lenderOf?.(writtenText(query)) ?? from
    new Single(singles, lender, query).start()
  }

  const onReserved = (lease: Lease<PostgresConnection>, query: ClientQuery): void => {
    if (wasCancelled(query)) return
    try {
      const { connection } = lease
      noteStatement(pool, () => writtenText(query))
      noteRunning(query, connection)
      connection.run(query, codec)
    } catch (error) {
      query.reject(error)
    }
  }

  const inScope = (scope: TransactionScope<PostgresConnection>, query: ClientQuery): void => {
    // A statement that nobody awaits shows in the transaction's outcome, as with postgres.js.
    query.catch(() => {})
    if (wasCancelled(query)) return
    try {
      const { connection } = scope
      noteRunning(query, connection)
      connection.run(query, codec, new InScope(scope))
    } catch (error) {
      query.reject(error)
    }
  }

  /**
   * The `sql` of a transaction, or of a nested one.
   *
   * @param follows whether it goes on to mean the nested one, in that one's call chain: with postgres.js it is just as good
   */
  const scoped = (tx: Inside, follows: boolean): TransactionSql => {
    const handle = new OneHandle(pool)
    const meant = (): TransactionScope<PostgresConnection> => (follows ? handle.meant(tx) : tx).scope
    const carry: Carry = (query) => inScope(meant(), query)
    const members = {
      savepoint: (a: unknown, b?: unknown) => {
        const [label, nested] = typeof a === 'string' ? [a, b] : [undefined, a]
        return meant().savepoint((scope) => {
          handle.nests(scope)
          return body({ ...tx, scope }, asBody(nested), follows)
        }, label)
      },
      prepare: notOffered('prepare', 'two-phase commit is not offered'),
    }
    return complete(Object.assign(speak(template, carry), members), isTransactionSql)
  }

  const body = async <T>(tx: Inside, run: Body<T>, follows: boolean): Promise<T> => {
    const result = await settle(run(scoped(tx, follows), tx))
    // As with postgres.js, a statement that failed fails the transaction, even if its error was swallowed.
    tx.scope.assertSound()
    return result
  }

  const end = ({ timeout }: { timeout?: number | undefined } = {}): Promise<void> =>
    pool.close(timeout === undefined || timeout === null ? {} : { timeoutMs: timeout * 1_000 })

  /** @param bound who lends the connections; without one, whoever is around in the call chain */
  const facade = (bound?: Source<PostgresConnection>): Client => {
    const source = (): Source<PostgresConnection> => bound ?? pool.source
    // Replicas lend to statements alone: what holds a connection is the primary's, and a part of what is around it.
    const sessionSource = (): Source<PostgresConnection> => (bound?.repeatable === true ? pool.source : source())

    const transaction = <T>(
      options: TransactionOptions,
      run: Body<T>,
      circumstances?: Circumstances<T>,
      follows = false,
    ): Promise<T> =>
      pool.transaction(
        (scope, context) => body({ scope, context, joined: pool.scopes.current?.joined === true }, run, follows),
        options,
        bound === undefined ? circumstances : { source: bound, inside: bound.joinable ?? 'none', ...circumstances },
      )

    /** As postgres.js has it: for its own handle, unless the call chain is in a transaction that everything joins. */
    const begin = async <T>(options: TransactionOptions, run: Body<T>): Promise<T> =>
      transaction(options, run, { inside: source().joinable ?? 'none', joined: false, lenient: true }, true)

    const members = {
      pool,
      source,
      on: facade,
      transaction: <T>(options: TransactionOptions, run: Body<T>, circumstances?: Circumstances<T>): Promise<T> =>
        transaction(options, run, circumstances),
      session: <T>(options: SessionOptions, run: SessionBody<T>): Promise<T> =>
        pool.session((begun, context) => run(facade(begun), context), options, sessionSource()),
      begin: async (a: unknown, b?: unknown) =>
        typeof a === 'string' ? begin(parseModes(a), asBody(b)) : begin({}, asBody(a)),
      async reserve(): Promise<ReservedSql> {
        const lease = await source().acquire()
        const reserved: Carry = (query) => onReserved(lease, query)
        return complete(
          Object.assign(speak(template, reserved), members, {
            // The pool's would run on another connection than the one that was reserved.
            begin: notOffered('begin', 'on a reserved connection, send BEGIN and COMMIT yourself'),
            transaction: notOffered('transaction', 'on a reserved connection, send BEGIN and COMMIT yourself'),
            release: () => lease.release(),
          }),
          isReservedSql,
        )
      },
      listen: listener.listen.bind(listener),
      end,
      close: end,
      subscribe: notOffered(
        'subscribe',
        'logical replication needs a connection of its own: use postgres.js beside it',
      ),
      largeObject: notOffered('largeObject', 'use lo_* functions in a transaction'),
      options,
      PostgresError: template.PostgresError,
      CLOSE: template.CLOSE,
      END: template.CLOSE,
    }
    const client = Object.defineProperty(
      Object.assign(
        speak(template, (query) => single(source(), query)),
        members,
      ),
      'parameters',
      { get: () => driver.parameters, enumerable: true },
    )
    return complete(client, isClient)
  }

  return facade()
}

/** A class, as a connection's job is, and for the same reason. */
class InScope implements RunOptions {
  readonly #scope: TransactionScope<PostgresConnection>

  constructor(scope: TransactionScope<PostgresConnection>) {
    this.#scope = scope
  }

  failed(error: unknown): void {
    this.#scope.noteError(error)
  }
}

/** The tagged template and what belongs to it, its queries carried out by the given carrier. */
function speak(template: LibrarySql, carry: Carry) {
  function sql(strings: TemplateStringsArray, ...args: unknown[]): unknown {
    // A name, or an object to be written out.
    if (!isTemplate(strings)) return template(strings, ...args)
    noteOrigin(strings, sql)
    return new ClientQuery(strings, args, carry)
  }

  return Object.assign(sql, {
    unsafe(text: string, values: readonly unknown[] | UnsafeOptions = none, options?: UnsafeOptions) {
      if (isValues(values)) return textQuery(text, values, carry, options)
      return textQuery(text, none, carry, options ?? values)
    },
    file(path: string, values: readonly unknown[] | UnsafeOptions = none, options?: UnsafeOptions) {
      const [args, said = {}] = isValues(values) ? [values, options] : [none, options ?? values]
      const read = (query: ClientQuery) => {
        readFile(path, 'utf8').then(
          (text) => {
            query.strings = [text]
            carry(query)
          },
          (error: unknown) => query.reject(error),
        )
      }
      return new ClientQuery([], args, read, { simple: args.length === 0, ...said })
    },
    notify: (channel: string, payload: string) => sql`select pg_notify(${channel}, ${String(payload)})`,
    types: template.types,
    typed: template.typed,
    array: template.array,
    json: template.json,
  })
}

const none: readonly unknown[] = []

function isTemplate(strings: unknown): strings is TemplateStringsArray {
  return Array.isArray(strings) && 'raw' in strings
}

function isValues(given: readonly unknown[] | UnsafeOptions): given is readonly unknown[] {
  return Array.isArray(given)
}

/** As postgres.js does: a body may return an array of queries, which are then waited for together. */
function settle<T>(result: T | Promise<T>): T | Promise<T>
function settle(result: unknown): unknown {
  return Array.isArray(result) ? Promise.all(result) : result
}

function asBody(value: unknown): Body<unknown> {
  if (isBody(value)) return value
  throw new MooringsError('config', `A function that takes the transaction's sql was expected, not ${typeof value}`)
}

function isBody(value: unknown): value is Body<unknown> {
  return typeof value === 'function'
}

function notOffered(name: string, instead: string): () => never {
  return () => {
    throw new MooringsError('config', `sql.${name} is not offered on a Moorings pool: ${instead}`)
  }
}

// The library's types cannot be written down for a facade piece by piece, so it is checked to be whole.

const spoken = ['unsafe', 'file', 'notify', 'types', 'typed', 'array', 'json']
const rooted = [...spoken, 'begin', 'reserve', 'listen', 'end', 'subscribe', 'largeObject', 'options', 'parameters']

function has(value: unknown, names: readonly string[]): boolean {
  return typeof value === 'function' && names.every((name) => name in value)
}

function isTransactionSql(value: unknown): value is TransactionSql {
  return has(value, [...spoken, 'savepoint', 'prepare'])
}

function isReservedSql(value: unknown): value is ReservedSql {
  return has(value, [...spoken, 'release'])
}

function isClient(value: unknown): value is Client {
  return has(value, [...rooted, 'pool', 'transaction', 'session', 'on', 'source'])
}

function complete<T>(value: unknown, whole: (value: unknown) => value is T): T {
  if (whole(value)) return value
  throw new MooringsError('config', 'The facade lacks a member that postgres.js promises')
}
