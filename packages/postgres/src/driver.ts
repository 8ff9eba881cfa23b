// Makes PostgreSQL connections for the pool: over the known endpoints in turn, the role checked, the password fetched
// anew each time.

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
  InvalidOptionsError,
  type MooringsError,
  type NamedConstraint,
  type Resilience,
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
import { namedConstraints } from './named-constraints.js'
import { describeEndpoint, type ParsedConnection, type TargetSessionAttrs } from './options.js'
import { outcomeOf } from './outcome.js'
import { openSocket } from './socket.js'
import { detailOf } from './violation-detail.js'
import { warn } from './warn.js'
import { BackendReader } from './wire.js'
import { followed, type Headway, WorkAsker } from './works-on.js'

export class PostgresDriver implements Driver<PostgresConnection> {
  readonly system = 'postgresql'
  readonly usualSchema = 'public'
  readonly parsed: ParsedConnection
  readonly arrays: ArrayTypes
  readonly deadlocks: Deadlocks = new Deadlocks()
  /** Of the pool that it makes connections for: what violations are completed by, before their callers hear of them. */
  constraints: Constraints<PostgresConnection> | undefined
  readonly #deadlines: Deadlines
  readonly #statement: Resilience['statement']
  readonly #connectTimeoutMs: number
  /** postgres.js's own mapping, with the application's `types`. */
  readonly #codec: Codec
  /** Endpoints that do not understand the greeting. */
  readonly #strangers = new Set<string>()
  readonly #works = new WorkAsker((endpoint, { signal, credentials }, headway) =>
    this.#connectTo(endpoint, undefined, signal, this.#credentials(credentials), undefined, headway),
  )
  #ids = 0
  #parameters: Readonly<Record<string, string>> = {}

  constructor(parsed: ParsedConnection, resilience: Resilience, deadlines: Deadlines) {
    this.parsed = parsed
    this.arrays = new ArrayTypes(parsed.fetchTypes)
    this.#deadlines = deadlines
    this.#codec = new TableCodec(parsed.library)
    this.#statement = resilience.statement
    this.#connectTimeoutMs = resilience.pool.connectTimeoutMs
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

  detailOf({ cause }: ConstraintViolationError): ViolationDetail | undefined {
    return detailOf(cause)
  }

  async connect(request: ConnectRequest, notified?: NotificationListener): Promise<PostgresConnection> {
    const { exclude = [], signal } = request
    const credentials = this.#credentials(request.credentials)
    const { targetSessionAttrs, endpoints } = this.parsed
    const candidates = endpoints.filter(({ host, port }) => !exclude.some((e) => e.host === host && e.port === port))
    const rounds = targetSessionAttrs === 'prefer-standby' ? (['standby', undefined] as const) : [targetSessionAttrs]
    const failures: MooringsError[] = []
    for (const target of rounds) {
      for (const endpoint of candidates) {
        // One that swallows packets must leave time for the others.
        const share = this.#connectTimeoutMs / (candidates.length * rounds.length)
        const limit = new AbortController()
        const late = () => limit.abort(new ConnectError(`No connection to ${endpoint.host} within ${share} ms`))
        const deadline = this.#deadlines.add(share, late)
        try {
          const both = AbortSignal.any([signal, limit.signal])
          const connection = await this.#connectTo(endpoint, target, both, credentials, notified)
          this.#parameters = connection.parameters
          return connection
        } catch (error) {
          const failure = classify(error, 'connect')
          // Refused credentials, an unknown database, a deadline that has passed: another endpoint would say the same.
          if (failure.retry === 'never' || signal.aborted) throw failure
          failures.push(failure)
        } finally {
          this.#deadlines.delete(deadline)
        }
      }
    }
    const [first] = failures
    if (first !== undefined && failures.length === 1) throw first
    throw new ConnectError(`None of the endpoints will do: ${failures.map((f) => f.message).join('; ')}`, {
      cause: new AggregateError(failures),
    })
  }

  async #connectTo(
    endpoint: Endpoint,
    target: TargetSessionAttrs | undefined,
    signal: AbortSignal,
    { user, password: given }: AsWhom,
    notified: NotificationListener | undefined,
    headway?: Headway,
  ): Promise<PostgresConnection> {
    const { parsed } = this
    const password = typeof given === 'string' ? given : await this.#ask(given, signal)
    if (headway !== undefined) headway.stage = 'dialling'
    const socket = await openSocket(endpoint, parsed, signal)
    try {
      if (headway !== undefined) followed(headway, socket)
      return await this.#speak(endpoint, target, signal, { socket, user, password }, notified)
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  async #speak(
    endpoint: Endpoint,
    target: TargetSessionAttrs | undefined,
    signal: AbortSignal,
    { socket, user, password }: { readonly socket: Duplex; readonly user: string; readonly password: string },
    notified: NotificationListener | undefined,
  ): Promise<PostgresConnection> {
    const { parsed } = this
    const librarySocket = new LibrarySocket(socket)
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
      onnotify: guarded(notified ?? parsed.onnotify),
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
      timeoutMs: this.#statement.timeoutMs,
      cancelTimeoutMs: this.#statement.cancelTimeoutMs,
      complete: (error, completion) => this.constraints?.complete(error, completion),
      hurry: (error) => this.constraints?.hurry(error),
    })
    const abort = () => connection.destroy(classify(signal.reason, 'connect'))
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    try {
      await this.#greet(connection, target)
    } catch (error) {
      connection.destroy(new ConnectError('The connection was not fit to be used', { cause: error }))
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
    this.deadlocks.watch(connection, socket)
    return connection
  }

  /** Learns the array types and who the server is, and checks its role. */
  async #greet(connection: PostgresConnection, target: TargetSessionAttrs | undefined): Promise<void> {
    const options = { site: 'connect', timeoutMs: 0 } as const
    if (this.arrays.stale) {
      const { rows } = await connection.execute({ text: arrayTypesQuery }, { ...options, codec: plain })
      this.arrays.learn(rows)
    }
    const name = describeEndpoint(connection.endpoint)
    // Each time would be an error in the server's log.
    if (this.#strangers.has(name)) await connection.execute({ text: 'select 1' }, options)
    else if (!(await connection.greet())) this.#strangers.add(name)

    if (target === undefined) return
    const { standby, readOnly } = await this.#role(connection)
    const wrong =
      (target === 'read-write' && readOnly) ||
      (target === 'read-only' && !readOnly) ||
      (target === 'primary' && standby) ||
      (target === 'standby' && !standby)
    if (!wrong) return
    const { host, port } = connection.endpoint
    throw new ConnectError(
      `${host}:${port} is a ${standby ? 'standby' : 'primary'}${readOnly ? ' and read-only' : ''}; target_session_attrs asks for ${target}`,
    )
  }

  /** From what the server reports by itself (PostgreSQL 14 and later), or by asking. */
  async #role(connection: PostgresConnection): Promise<{ standby: boolean; readOnly: boolean }> {
    const { in_hot_standby: hotStandby, default_transaction_read_only: readOnlyDefault } = connection.parameters
    if (hotStandby !== undefined && readOnlyDefault !== undefined) {
      const standby = hotStandby === 'on'
      return { standby, readOnly: standby || readOnlyDefault === 'on' }
    }
    const question = `select pg_is_in_recovery()::text as standby, current_setting('transaction_read_only') as read_only`
    const { rows } = await connection.execute({ text: question }, { site: 'connect', timeoutMs: 0, codec: plain })
    const [row] = rows
    const standby = row?.standby === 'true'
    return { standby, readOnly: standby || row?.read_only === 'on' }
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

export type NotificationListener = (channel: string, payload: string) => void
