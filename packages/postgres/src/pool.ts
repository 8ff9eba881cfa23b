// A pool of PostgreSQL connections, from a URL or options.

import {
  type ConstraintsCheck,
  Deadlines,
  type DeadlockReport,
  deadlockReport,
  describeGiven,
  InvalidOptionsError,
  type OptionProblem,
  Pool,
  problemsIn,
  Replicas,
  type ResilienceOptions,
  type StartOptions,
  sharedPool,
  systemClock,
  unknownOption,
} from '@moorings/core'
import type { Options, PostgresType, Sql } from 'postgres'
import type { PostgresConnection } from './connection.js'
import { PostgresDriver } from './driver.js'
import { relationsOf } from './foreign-keys-without-index.js'
import { type LibrarySql, librarySql } from './library.js'
import { Listener } from './listener.js'
import { checkPoolOptions, type ParsedPoolOptions, parsePoolOptions, type StockClient } from './options.js'
import { type CheckedReplicas, checkReplicas, type ReplicaInput, type ReplicasInput } from './replicas.js'

/** How long a report waits for a connection, and for an answer. */
const ASK_MS = 5_000

/** What the pool decides itself; asking for it is an error that names the option of ours. */
type OwnedByPool =
  | 'max'
  | 'idle_timeout'
  | 'timeout'
  | 'connect_timeout'
  | 'max_lifetime'
  | 'max_pipeline'
  | 'backoff'
  | 'onclose'
  | 'publications'

/** postgres.js's options, minus what the pool decides itself. */
export type ConnectionOptions = Omit<Options<Record<string, PostgresType>>, OwnedByPool | 'host' | 'port'> & {
  url?: string | undefined
  /** One, or several: then `target_session_attrs` says which of them will do. */
  host?: string | readonly string[] | undefined
  /** One for all hosts, or one for each. */
  port?: number | readonly number[] | undefined
}

/** Where and as whom to connect: a `postgres://` URL, options, or a postgres.js client whose options are taken over. */
export type ConnectionInput = string | URL | ConnectionOptions | Sql

/** What a pool is made with besides its connection. */
export interface PostgresPoolOptions {
  /** How the pool behaves; see {@link ResilienceOptions}. */
  readonly resilience?: ResilienceOptions | undefined
  /** Names the pool in events. Default `default`. */
  readonly name?: string | undefined
  /**
   * Standbys of the same server that reads may go to, each with a pool like this one: connections, or
   * `{ connections, maxLagMs, checkEveryMs }`. Nothing is read from them unless it is asked for, as `drizzle({ connection,
   * replicas })`, `withReplica(db)` of Kysely, and `createClient(pool).on(pool.replicas)` do.
   */
  readonly replicas?: ReplicasInput | undefined
}

export interface CreatePoolOptions extends PostgresPoolOptions {
  /**
   * For development servers that evaluate modules anew after each edit (hot module reloading), which would leave a pool
   * behind each time: gives the pool that was made in this process under this `name`, instead of another one. If the
   * connection or the options have changed since, or it was closed, a new one takes its place, and the old one is closed
   * in the background, its callers having its `closeTimeoutMs` to finish. Needs a `name` of its own; default false.
   *
   * Functions among the options count as the same when their source text is the same, whatever they close over, and what
   * a class has made (a logger) when the name of its class is; the pool goes on with those it was made with. A pool
   * whose name nobody asks for any more stays open.
   */
  readonly shared?: boolean | undefined
}

// Symbol.for: a pool made by another copy of this package, as bundlers of development servers make them, carries it, too.
const brand: unique symbol = Symbol.for('moorings.postgres.pool') as never

/**
 * One pool, which several ORMs may share. Opens nothing before its first use.
 *
 * `instanceof` works across two copies of the package: pools are recognised by a brand, not by the identity of the class.
 */
export class PostgresPool extends Pool<PostgresConnection> {
  declare readonly driver: PostgresDriver
  readonly listener: Listener
  /** Where reads may go. It begins to look after them with the first read, or with `start()`. */
  readonly replicas: Replicas<PostgresConnection> | undefined
  /** For its clients: a piece of SQL means nothing to another copy of postgres.js than the one its connections have. */
  readonly librarySql: (options: object) => LibrarySql = librarySql

  static {
    Object.defineProperty(this.prototype, brand, { value: true })
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (!Object.hasOwn(this.prototype, brand)) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && brand in value
  }

  /** @param primary whose replica it is: one database, with the same types */
  constructor(connection: unknown, options: PostgresPoolOptions = {}, primary?: PostgresPool) {
    const { resilience: wanted, name, replicas } = checkedOptions(options, ['resilience', 'name', 'replicas'])
    const { pool: parsed, readable } = parsedWithReplicas({ resilience: wanted, connection }, replicas)
    const { resilience } = parsed
    const deadlines = new Deadlines(systemClock)
    const driver = new PostgresDriver(parsed.connection, resilience, deadlines, primary?.driver.arrays)
    super({ driver, resilience, name, deadlines })
    driver.constraints = this.constraints
    driver.pool = this.identity
    this.listener = new Listener((signal) => this.connectAside(signal), deadlines, resilience.pool)
    this.replicas = readable && new Replicas(this, this.#poolsOf(readable.replicas, name), readable.options)
  }

  #poolsOf(replicas: readonly ReplicaInput[], name: string | undefined): PostgresPool[] {
    const called = (at: number) => `${name === undefined ? '' : `${name} `}replica ${at + 1}`
    return replicas.map(
      ({ connection, resilience }, at) => new PostgresPool(connection, { resilience, name: called(at) }, this),
    )
  }

  /**
   * With replicas, it also waits until it is known which of them will do, within the same time; that none does, or that it
   * is not known by then, is no failure.
   */
  override async start(options?: StartOptions): Promise<void> {
    const { clock } = this.deadlines
    const until = clock.now() + (options?.timeoutMs ?? this.resilience.pool.acquireTimeoutMs)
    await super.start(options)
    await this.replicas?.start(Math.max(0, until - clock.now()))
  }

  /**
   * The deadlocks that this pool's statements were victims of: which statements were in each other's way, how often, how
   * bad it is, and what may be done about it; also those that `withTransaction` has run again. For the tables involved the
   * catalogue is asked, on a connection of the pool, for foreign keys without an index; where it does not answer within
   * five seconds, the report does without. Never rejects.
   *
   * @param options `reset`: counts from zero again, after this answer
   */
  async deadlockReport({ reset = false }: { readonly reset?: boolean } = {}): Promise<DeadlockReport> {
    const { log } = this.driver.deadlocks
    const report = await deadlockReport(log, (names, ids) =>
      this.lease(({ connection }) => relationsOf(connection, names, ids, ASK_MS), { timeoutMs: ASK_MS }),
    )
    if (reset) log.reset()
    return report
  }

  /**
   * Holds the names in `resilience.errors.constraints` and `columns` against the constraints that the database has, for a
   * test or a start: a misspelt one is not heard of otherwise.
   *
   * @throws when no connection could be had, or the catalogue did not answer within ten seconds
   * @example
   * expect((await pool.checkConstraints()).unknown).toEqual([])
   */
  checkConstraints(): Promise<ConstraintsCheck> {
    return this.constraints.check()
  }

  protected override closeOthers(timeoutMs: number): Promise<void> {
    return Promise.all([this.listener.end(timeoutMs), this.replicas?.close({ timeoutMs })]).then(() => {})
  }
}

/** @throws InvalidOptionsError with what is wrong with any of them */
function parsedWithReplicas(
  input: { readonly connection: unknown; readonly resilience: ResilienceOptions | undefined },
  replicas: ReplicasInput | undefined,
): { readonly pool: ParsedPoolOptions; readonly readable: CheckedReplicas | undefined } {
  const pool = checkPoolOptions(input)
  const readable = replicas === undefined ? undefined : checkReplicas(replicas, input.resilience)
  if (pool.ok && readable?.ok !== false) return { pool: pool.value, readable: readable?.value }
  throw new InvalidOptionsError([...problemsIn(pool), ...(readable === undefined ? [] : problemsIn(readable))])
}

function checkedOptions<Options extends CreatePoolOptions>(options: Options, known: readonly string[]): Options {
  const given: unknown = options
  if (typeof given !== 'object' || given === null) {
    const allowed = `{ ${known.join(', ')} }`
    throw new InvalidOptionsError([{ path: 'options', given: describeGiven(given, true), allowed }])
  }
  const problems = optionProblems(options, 'options', known)
  if (options.shared === true && (options.name === undefined || options.name === '')) {
    const allowed = 'a name of its own, by which the shared pool is found again'
    problems.push({ path: 'options.name', given: describeGiven(options.name), allowed })
  }
  if (problems.length > 0) throw new InvalidOptionsError(problems)
  return options
}

/** What is wrong with the options themselves; `resilience` is looked at together with the connection. */
export function optionProblems(options: CreatePoolOptions, path: string, known: readonly string[]): OptionProblem[] {
  const { name, shared } = options
  const problems = Object.entries(options)
    .filter(([option]) => !known.includes(option))
    .map(([option, value]) => unknownOption(path, option, value, known))
  if (name !== undefined && typeof name !== 'string') {
    problems.push({ path: `${path}.name`, given: describeGiven(name), allowed: 'a string' })
  }
  if (shared !== undefined && typeof shared !== 'boolean') {
    problems.push({ path: `${path}.shared`, given: describeGiven(shared), allowed: 'true or false' })
  }
  return problems
}

const poolsOf = new WeakMap<StockClient, PostgresPool>()

/**
 * The pool that takes the place of a postgres.js client, for an application that made one for its ORM and goes on ending
 * it: `client.end()` ends the pool, too. Without `resilience` of their own, several ORMs on one client share one pool.
 */
export function takeOver(client: StockClient, resilience?: ResilienceOptions): PostgresPool {
  const shared = resilience === undefined ? poolsOf.get(client) : undefined
  if (shared !== undefined) return shared
  const pool = new PostgresPool(client, { resilience })
  if (resilience === undefined) poolsOf.set(client, pool)
  const { end } = client
  client.end = async (options) => {
    const timeout = options?.timeout
    const closed = pool.close(typeof timeout === 'number' ? { timeoutMs: timeout * 1_000 } : {})
    await Promise.all([closed, end(options)])
  }
  return pool
}

/**
 * Makes a pool. Nothing is opened until it is used.
 *
 * @param connection a `postgres://` URL, postgres.js options (host, user, ssl, types, …), or a postgres.js client, whose
 *   options are taken over and which itself never connects
 * @param options with `shared: true` and a `name`, the pool of an earlier evaluation of the module is found again
 * @throws InvalidOptionsError listing everything that is wrong
 * @example
 * const pool = createPool('postgres://app@localhost/shop', { resilience: { pool: { max: 20 } } })
 * const orders = drizzle({ client: pool, schema })
 * const reports = new Kysely<DB>({ dialect: new ResilientPostgresDialect({ client: pool }) })
 */
export function createPool(connection: ConnectionInput, options: CreatePoolOptions = {}): PostgresPool {
  const { shared, ...own } = checkedOptions(options, ['resilience', 'name', 'replicas', 'shared'])
  const make = () => new PostgresPool(connection, own)
  if (shared !== true) return make()
  const { pool, readable } = parsedWithReplicas({ connection, resilience: own.resilience }, own.replicas)
  const replicas = readable?.replicas.map((replica) => madeWith(parsePoolOptions(replica)))
  return sharedPool({
    system: 'postgresql',
    name: own.name ?? '',
    madeWith: [...madeWith(pool), replicas, readable?.options],
    make,
    isPool: (value) => value instanceof PostgresPool,
  })
}

/** What a client that was in use has heard from its server is not what it was made with. */
function madeWith({ connection, resilience }: ParsedPoolOptions): readonly unknown[] {
  const { parameters: _parameters, shared: _shared, ...library } = connection.library
  return [library, resilience]
}
