// What a user says about the connection, checked and taken apart. `connection` is what postgres.js takes (a URL, options,
// or a client made already) minus what the pool owns. Whatever is wrong is reported at once, and never with a password.

import {
  type Checked,
  checkBy,
  checkResilience,
  describeGiven,
  InvalidOptionsError,
  type OptionProblem,
  problemsIn,
  type Resilience,
  type ResilienceOptions,
} from '@moorings/core'
import { isParsedOptions, type ParsedOptions, parseByLibrary, timersOff } from './options-library.js'
import { connectionOptions, foreignNames, isRecord, ownedByPool } from './options-schema.js'
import { type CheckedUrl, checkUrl } from './options-url.js'
import { fromLibrary, type ParsedConnection } from './parsed-connection.js'

export type { ParsedOptions } from './options-library.js'
export type { SocketFactory, Ssl } from './options-schema.js'
export { describe, describeEndpoint, type ParsedConnection, type ServerAddress } from './parsed-connection.js'

/** As `parseConnection`, but tells the problems instead of throwing them. */
function checkConnection(connection: unknown, extra?: unknown, path = 'connection'): Checked<ParsedConnection> {
  const wanted = 'a postgres:// URL, an object of postgres.js options, or a postgres.js client'
  const refuse = (problem: Partial<OptionProblem>): Checked<never> => ({
    ok: false,
    problems: [{ path, given: describeGiven(connection), allowed: wanted, ...problem }],
  })
  const client = clientOptions(connection)
  if (client !== undefined) return fromClient(client, path)
  if (extra !== undefined && !isRecord(extra)) return refuse({ given: describeGiven(extra), allowed: 'an object' })
  if (typeof connection === 'string') return checkParts(checkUrl(connection, path), { ...extra }, path)
  if (connection instanceof URL) return checkParts(checkUrl(connection.href, path), { ...extra }, path)
  if (!isRecord(connection) || isOpaque(connection)) return refuse({})

  const { url, ...options } = { ...connection, ...extra }
  const elsewhere = options.host || options.hostname || options.path
  if (!('url' in connection) || (url === undefined && elsewhere)) return checkParts(undefined, options, path)
  return checkParts(checkUrl(url instanceof URL ? url.href : url, `${path}.url`), options, path)
}

/** Something made by a class, with nothing to be seen in it: taken for options it would mean localhost. */
function isOpaque(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null
  return !plain && Object.keys(value).length === 0
}

/** Without a URL, the options and the environment say it all. */
function checkParts(
  url: Checked<CheckedUrl> | undefined,
  given: Record<string, unknown>,
  path: string,
): Checked<ParsedConnection> {
  const written = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const options = checkBy(connectionOptions, written, path)
  if (options.ok && url?.ok !== false) {
    const library = parseByLibrary(options.value, url?.value, path)
    return library.ok ? fromLibrary(library.value, path) : library
  }
  const problems = [options, ...(url === undefined ? [] : [url])].flatMap(problemsIn)
  return { ok: false, problems: problems.map((problem) => withForeignName(problem, path)) }
}

function withForeignName(problem: OptionProblem, path: string): OptionProblem {
  const ours = foreignNames.get(problem.path.slice(path.length + 1))
  if (ours === undefined || !problem.path.startsWith(`${path}.`)) return problem
  return { ...problem, allowed: `nothing by this name; postgres.js calls it ${ours}` }
}

/**
 * Checks what postgres.js takes for a connection and takes it apart. Opens nothing.
 *
 * @param connection a URL, an options object (also with `url` inside), or the parsed `options` of a client
 * @param extra the second argument of `postgres(url, options)`
 * @throws InvalidOptionsError with every problem there is, none of which shows a password
 */
export function parseConnection(connection: unknown, extra?: unknown): ParsedConnection {
  const checked = checkConnection(connection, extra)
  if (checked.ok) return checked.value
  throw new InvalidOptionsError(checked.problems)
}

/** A client made by `postgres(…)`: a function that carries its parsed options. */
export interface StockClient {
  readonly options: ParsedOptions
  end(options?: { timeout?: number | undefined }): Promise<void>
}

export function isStockClient(value: unknown): value is StockClient {
  return typeof value === 'function' && 'options' in value && 'unsafe' in value && isParsedOptions(value.options)
}

function clientOptions(value: unknown): ParsedOptions | undefined {
  if (isParsedOptions(value)) return value
  return isStockClient(value) ? value.options : undefined
}

/** From a copy: the client's own stay as they are, and nobody's changes to its parsers reach ours. */
function fromClient(options: ParsedOptions, path: string): Checked<ParsedConnection> {
  const { parsers, serializers, parameters, connection, shared } = options
  const library = {
    ...options,
    parsers: { ...parsers },
    serializers: { ...serializers },
    parameters: { ...parameters },
    connection: { ...connection },
    shared: { ...shared, typeArrayMap: { ...shared.typeArrayMap } },
    ...timersOff,
    onclose: undefined,
    no_subscribe: true,
  }
  const checked = fromLibrary(library, path)
  const onclose: unknown = Reflect.get(options, 'onclose')
  if (typeof onclose !== 'function') return checked
  const problem = { path: `${path}.onclose`, given: 'a function', allowed: ownedByPool.get('onclose') ?? 'nothing' }
  return { ok: false, problems: [...problemsIn(checked), problem] }
}

/** What a stock client was made with: its connection, and what its own pool's settings are called here. */
export interface AdoptedClient {
  readonly connection: ParsedConnection
  /** To be beaten by what the user says of resilience. */
  readonly resilience: ResilienceOptions
}

function resilienceOf(options: ParsedOptions): ResilienceOptions {
  const { max, idle_timeout, max_lifetime, connect_timeout }: Record<string, unknown> = { ...options }
  return {
    pool: {
      ...(max === undefined ? {} : { max: Number(max) }),
      ...milliseconds('idleTimeoutMs', idle_timeout),
      // Its default is a function; `null` was written by somebody and means: for ever.
      ...milliseconds('maxLifetimeMs', max_lifetime === null ? 0 : max_lifetime),
      // 0 is no limit there; here there always is one.
      ...(connect_timeout === 0 ? {} : milliseconds('connectTimeoutMs', connect_timeout)),
    },
  }
}

function milliseconds(name: string, seconds: unknown): Record<string, number> {
  if (typeof seconds !== 'number' || !(seconds >= 0)) return {}
  return { [name]: Math.min(Math.round(seconds * 1000), 2 ** 31 - 1) }
}

/**
 * Takes over a client that a stock application made: `drizzle(postgres(url, { max: 20 }), …)`. The client itself is left
 * alone, and opens nothing as long as nobody uses it.
 *
 * @throws InvalidOptionsError when it has settings the pool cannot honour
 */
export function adoptClientOptions(client: unknown): AdoptedClient {
  const options = clientOptions(client)
  if (options === undefined) {
    const given = describeGiven(client)
    throw new InvalidOptionsError([{ path: 'client', given, allowed: 'a client made by postgres.js (3.4)' }])
  }
  const checked = fromClient(options, 'client.options')
  if (checked.ok) return { connection: checked.value, resilience: resilienceOf(options) }
  throw new InvalidOptionsError(checked.problems)
}

/** What a pool is made of. */
export interface PoolInput {
  /** A URL, postgres.js options, a stock client, or its options. */
  readonly connection: unknown
  readonly resilience?: unknown
}

/** Both halves of a pool's options. */
export interface ParsedPoolOptions {
  readonly connection: ParsedConnection
  readonly resilience: Resilience
}

const poolPaths = { connection: 'connection', resilience: 'resilience' }

/**
 * As `parsePoolOptions`, but tells the problems instead of throwing them.
 *
 * @param paths what the user would write to reach each half
 */
export function checkPoolOptions(input: PoolInput, paths: typeof poolPaths = poolPaths): Checked<ParsedPoolOptions> {
  const client = clientOptions(input.connection)
  const connection = checkConnection(input.connection, undefined, paths.connection)
  const written = client === undefined ? input.resilience : beaten(resilienceOf(client), input.resilience)
  const resilience = checkResilience(written, paths.resilience)
  if (connection.ok && resilience.ok) {
    return { ok: true, value: { connection: connection.value, resilience: resilience.value } }
  }
  return { ok: false, problems: [connection, resilience].flatMap(problemsIn) }
}

/**
 * Both halves of a pool's options, with the problems of both in one error.
 *
 * @throws InvalidOptionsError
 */
export function parsePoolOptions(input: PoolInput): ParsedPoolOptions {
  const checked = checkPoolOptions(input)
  if (checked.ok) return checked.value
  throw new InvalidOptionsError(checked.problems)
}

/** What the user wrote of resilience goes before what came with a client. */
function beaten(adopted: ResilienceOptions, written: unknown): unknown {
  if (written === undefined) return adopted
  if (!isRecord(written) || (written.pool !== undefined && !isRecord(written.pool))) return written
  const pool = Object.entries(written.pool ?? {}).filter(([, value]) => value !== undefined)
  return { ...written, pool: { ...adopted.pool, ...Object.fromEntries(pool) } }
}
