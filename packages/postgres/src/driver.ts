// Makes PostgreSQL connections for the pool: one attempt at one server, the password fetched anew each time.

import type { Duplex } from 'node:stream'
import {
  AuthenticationError,
  type CommitOutcome,
  type CommitTicket,
  ConnectError,
  type ConnectRequest,
  type ConstraintFacts,
  type ConstraintSite,
  type Constraints,
  type ConstraintViolationError,
  type Credentials,
  type Deadlines,
  type Driver,
  describeGiven,
  type Endpoint,
  type ErrorSite,
  type EventDetails,
  InvalidOptionsError,
  type LogPosition,
  type MooringsError,
  type NamedConstraint,
  type PoolIdentity,
  publish,
  type Resilience,
  type Target,
  type ViolationDetail,
  type WorkAsking,
  type WorkReport,
} from '@moorings/core'
import { ArrayTypes, arrayTypesQuery } from './array-types.js'
import { classify } from './classify.js'
import { type Codec, noTransform, plain, TableCodec } from './codec.js'
import { PostgresConnection } from './connection.js'
import { constraintsOf } from './constraints-of.js'
import { Deadlocks } from './deadlocks.js'
import { librarySql } from './library.js'
import { LibrarySocket } from './library-socket.js'
import { logPosition } from './log-position.js'
import { namedConstraints } from './named-constraints.js'
import { describeEndpoint, type ParsedConnection, type ServerAddress } from './options.js'
import { outcomeOf } from './outcome.js'
import { standbyReads } from './plain-reads.js'
import { Repeats } from './repeats.js'
import { Route } from './route.js'
import { openSocket } from './socket.js'
import { detailOf } from './violation-detail.js'
import { warn } from './warn.js'
import { BackendReader } from './wire.js'
import { followed, type Headway, WorkAsker } from './works-on.js'

export class PostgresDriver implements Driver<PostgresConnection> {
  readonly system = 'postgresql'
  readonly usualSchema = 'public'
  readonly parsed: ParsedConnection
  readonly endpoints: readonly ServerAddress[]
  readonly target: Target
  readonly arrays: ArrayTypes
  readonly deadlocks: Deadlocks = new Deadlocks()
  /** Of the pool that it makes connections for: what violations are completed by, before their callers hear of them. */
  constraints: Constraints<PostgresConnection> | undefined
  /** The same pool, as whose its events are told. */
  pool: PoolIdentity | undefined
  readonly #deadlines: Deadlines
  readonly #statement: Resilience['statement']
  /** postgres.js's own mapping, with the application's `types`. */
  readonly #codec: Codec
  readonly #repeats: Repeats
  readonly #behindPooler: Resilience['session']['behindPooler']
  readonly #routes = new Map<string, Route>()
  /** Endpoints that do not understand the greeting. */
  readonly #strangers = new Set<string>()
  readonly #works = new WorkAsker((endpoint, { signal, credentials }, headway) =>
    this.#connectTo({ endpoint, signal, credentials }, headway),
  )
  #ids = 0
  #parameters: Readonly<Record<string, string>> = {}

  /** @param arrays what another pool of the same database has learnt */
  constructor(parsed: ParsedConnection, resilience: Resilience, deadlines: Deadlines, arrays?: ArrayTypes) {
    this.parsed = parsed
    this.endpoints = parsed.endpoints
    this.target = parsed.targetSessionAttrs ?? 'any'
    this.arrays = arrays ?? new ArrayTypes(parsed.fetchTypes)
    this.#deadlines = deadlines
    this.#codec = new TableCodec(parsed.library)
    const { prepare, maxPrepared } = resilience.statement
    this.#repeats = new Repeats(prepare === 'never' ? 0 : maxPrepared)
    this.#statement = resilience.statement
    this.#behindPooler = resilience.session.behindPooler
  }

  /** The server's settings as the newest connection saw them. */
  get parameters(): Readonly<Record<string, string>> {
    return this.#parameters
  }

  classify(error: unknown, at: ErrorSite): MooringsError {
    return classify(error, at)
  }

  /**
   * Asks `pg_xact_status`, until it is decided; a backend that is still at it is terminated.
   *
   * @returns `unknown` for a server of another identity or timeline, and for a transaction of too long ago
   * @throws when it could not be asked, as of a standby, or the signal fires
   */
  outcomeOf(ticket: CommitTicket, connection: PostgresConnection, signal: AbortSignal): Promise<CommitOutcome> {
    return outcomeOf(ticket, connection, signal)
  }

  constraintsOf(
    site: ConstraintSite,
    connection: PostgresConnection,
    signal: AbortSignal,
  ): Promise<readonly ConstraintFacts[]> {
    return constraintsOf(site, connection, signal)
  }

  namedConstraints(
    connection: PostgresConnection,
    signal: AbortSignal,
    among?: readonly string[],
  ): Promise<readonly NamedConstraint[]> {
    return namedConstraints(connection, signal, among)
  }

  /** Asks `pg_stat_activity`, as the user that the pool connects as: of others' sessions a server tells nothing. */
  worksOn(connections: readonly PostgresConnection[], asking: WorkAsking): Promise<WorkReport<PostgresConnection>> {
    return this.#works.ask(connections, asking)
  }

  logPosition(connection: PostgresConnection, signal: AbortSignal): Promise<LogPosition> {
    return logPosition(connection, signal)
  }

  standbyCan(text: string): boolean {
    return standbyReads(text)
  }

  detailOf({ cause }: ConstraintViolationError): ViolationDetail | undefined {
    return detailOf(cause)
  }

  /** @param endpoint one of {@link endpoints}, or where the same server is to be reached once more */
  async connect(request: ConnectRequest): Promise<PostgresConnection> {
    const connection = await this.#connectTo(request)
    if (connection.server?.direct === false) await this.#learn(connection, request)
    this.#parameters = connection.parameters
    return connection
  }

  /** How long sessions are lent for on the way there. Whatever a pooler is asked for that ends with the connect. */
  async #learn(connection: PostgresConnection, { credentials, signal }: ConnectRequest): Promise<void> {
    if (this.#behindPooler === 'allow') return
    const { endpoint, address, route } = connection
    const there: ServerAddress = { ...endpoint, address }
    const asking = [connection]
    const giveUp = () => {
      for (const one of asking) one.destroy(classify(signal.reason, 'connect'))
    }
    const beside = async (late: AbortSignal) => {
      const ends = AbortSignal.any([late, signal])
      const other = await this.#connectTo({ endpoint: there, signal: ends, credentials })
      asking.push(other)
      if (signal.aborted) giveUp()
      return other
    }
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    const found = await route.learn(connection, beside).finally(() => signal.removeEventListener('abort', giveUp))
    if (found) this.#tell('moorings:pooler:found', { endpoint: describeEndpoint(endpoint) })
    if (connection.lost !== undefined) throw classify(connection.lost, 'connect')
  }

  #routeTo(endpoint: Endpoint): Route {
    const name = describeEndpoint(endpoint)
    const route = this.#routes.get(name) ?? new Route(this.#deadlines)
    this.#routes.set(name, route)
    return route
  }

  #tell<Name extends 'moorings:pooler:found' | 'moorings:prepare:disabled'>(
    name: Name,
    details: EventDetails[Name],
  ): void {
    if (this.pool !== undefined) publish(name, this.pool, () => details)
  }

  async #connectTo(
    { endpoint, signal, credentials }: Pick<ConnectRequest, 'endpoint' | 'signal' | 'credentials'>,
    headway?: Headway,
  ): Promise<PostgresConnection> {
    const { parsed } = this
    const { user, password: given } = this.#credentials(credentials)
    const password = typeof given === 'string' ? given : await this.#ask(given, signal)
    if (headway !== undefined) headway.stage = 'dialling'
    const socket = await openSocket(endpoint, parsed, signal)
    try {
      if (headway !== undefined) followed(headway, socket)
      return await this.#speak(endpoint, signal, { socket, user, password })
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  async #speak(
    endpoint: Endpoint,
    signal: AbortSignal,
    { socket, user, password }: { readonly socket: Duplex; readonly user: string; readonly password: string },
  ): Promise<PostgresConnection> {
    const { parsed } = this
    const librarySocket = new LibrarySocket(socket)
    const onnotify = guarded(parsed.onnotify)
    let used = false
    const sql = librarySql({
      ...parsed.library,
      host: [endpoint.host],
      port: [endpoint.port],
      user,
      pass: password,
      max: 1,
      // Once: postgres.js would reconnect behind the back of whoever holds the connection.
      socket: () => {
        if (used) throw new ConnectError('A connection of Moorings connects once')
        used = true
        return librarySocket
      },
      // The pool owns TLS, time and types.
      ssl: false,
      sslnegotiation: null,
      keep_alive: null,
      idle_timeout: null,
      max_lifetime: null,
      connect_timeout: null,
      target_session_attrs: null,
      fetch_types: false,
      no_subscribe: true,
      backoff: 0,
      max_pipeline: 100,
      prepare: parsed.prepare,
      debug: parsed.debug,
      onnotice: guarded(parsed.onnotice) ?? (() => {}),
      onnotify: (channel: string, payload: string) => (connection.notified ?? onnotify)?.(channel, payload),
      onparameter: guarded(parsed.onparameter),
      onclose: undefined,
      parsers: {},
      serializers: {},
      transform: { ...noTransform, column: { ...noTransform.column } },
      parameters: {},
      shared: { retries: 0, typeArrayMap: this.arrays.byElement },
    })
    const connection = new PostgresConnection({
      id: ++this.#ids,
      endpoint,
      socket,
      librarySocket,
      sql,
      parsed,
      reader: new BackendReader(),
      arrays: this.arrays,
      codec: this.#codec,
      deadlines: this.#deadlines,
      deadlocks: this.deadlocks,
      route: this.#routeTo(endpoint),
      repeats: this.#repeats,
      unkept: (error) => this.#tell('moorings:prepare:disabled', { endpoint: describeEndpoint(endpoint), error }),
      timeoutMs: this.#statement.timeoutMs,
      cancelTimeoutMs: this.#statement.cancelTimeoutMs,
      complete: (error, completion) => this.constraints?.complete(error, completion),
      hurry: (error) => this.constraints?.hurry(error),
    })
    const abort = () => connection.destroy(classify(signal.reason, 'connect'))
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    try {
      await this.#greet(connection)
    } catch (error) {
      connection.destroy(new ConnectError('The connection was not fit to be used', { cause: error }))
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
    this.deadlocks.watch(connection, socket)
    return connection
  }

  /** Learns the array types, who the server is, and its role where that matters. */
  async #greet(connection: PostgresConnection): Promise<void> {
    const options = { site: 'connect', timeoutMs: 0 } as const
    if (this.arrays.stale) {
      const { rows } = await connection.execute({ text: arrayTypesQuery }, { ...options, codec: plain })
      this.arrays.learn(rows)
    }
    const name = describeEndpoint(connection.endpoint)
    // Each time would be an error in the server's log.
    if (this.#strangers.has(name)) await connection.execute({ text: 'select 1' }, options)
    else if (!(await connection.greet())) this.#strangers.add(name)

    if (this.target !== 'any' || this.endpoints.length > 1) await connection.askRole()
  }

  /** Those of this connect go before the configured ones. They are checked here: nobody has seen them before. */
  #credentials(given: Credentials | undefined): AsWhom {
    const { user, password } = given ?? {}
    const problems = []
    // As where it is configured: behind a zero byte, the startup message would go on with parameters of the user's making.
    if (user !== undefined && (typeof user !== 'string' || user === '' || user.includes('\0'))) {
      const allowed = 'a string that is not empty, without zero byte'
      problems.push({ path: 'credentials.user', given: describeGiven(user, true), allowed })
    }
    if (password !== undefined && typeof password !== 'string') {
      problems.push({ path: 'credentials.password', given: describeGiven(password, true), allowed: 'a string' })
    }
    if (problems.length > 0) throw new InvalidOptionsError(problems)
    return { user: user ?? this.parsed.user, password: password ?? this.parsed.password }
  }

  /** Ours to call: postgres.js turns a rejection of it into an unhandled one. */
  async #ask(password: PasswordFunction, signal: AbortSignal): Promise<string> {
    let stop: () => void = () => {}
    const aborted = new Promise<never>((_, reject) => {
      stop = () => reject(classify(signal.reason, 'connect'))
      signal.addEventListener('abort', stop, { once: true })
    })
    let given: unknown
    try {
      given = await Promise.race([Promise.resolve().then(password), aborted])
    } catch (error) {
      if (signal.aborted) throw error
      throw new AuthenticationError('The password function failed', { cause: error })
    } finally {
      signal.removeEventListener('abort', stop)
    }
    // The library would fail on it where nobody can catch it.
    if (typeof given !== 'string') {
      throw new AuthenticationError(
        `The password function returned ${given === null ? 'null' : typeof given}, no string`,
      )
    }
    return given
  }
}

type PasswordFunction = Exclude<ParsedConnection['password'], string>

interface AsWhom {
  readonly user: string
  readonly password: string | PasswordFunction
}

/** A callback of the application's that throws must not take the connection, or the process, with it. */
function guarded<Args extends unknown[]>(callback: ((...args: Args) => void) | undefined) {
  if (callback === undefined) return undefined
  return (...args: Args): void => {
    try {
      callback(...args)
    } catch (error) {
      warn(error)
    }
  }
}
