// A connection's settings as the rest of this package uses them, made from the options postgres.js parsed, whoever had
// them parsed. The last checks are here: those of values that only show once everything is put together.

import { isIP } from 'node:net'
import { type Checked, checkBy, describeGiven, type Endpoint, type OptionProblem, problemsIn } from '@moorings/core'
import type { ParsedOptions } from './options-library.js'
import {
  connectionOptions,
  isPort,
  type Password,
  parseSsl,
  type SocketFactory,
  type Ssl,
  type TargetSessionAttrs,
} from './options-schema.js'

/** One server that may be connected to. */
export interface ServerAddress extends Endpoint {
  /** The file of a Unix socket; `host` is the same then, for messages. */
  readonly path?: string
  /** What `host` was found to mean: this is dialled instead. */
  readonly address?: string | undefined
}

/** A connection's settings, ready for use. The password and the library's options are in no JSON and no inspection. */
export interface ParsedConnection {
  readonly endpoints: readonly ServerAddress[]
  readonly ssl: Ssl
  /** `direct`: TLS from the first byte, without asking (PostgreSQL 17 and later). */
  readonly sslnegotiation: 'postgres' | 'direct'
  readonly user: string
  readonly password: Password
  readonly database: string
  readonly targetSessionAttrs: TargetSessionAttrs | undefined
  /** 0 = no TCP keepalive. */
  readonly keepAliveSeconds: number
  readonly prepare: boolean
  readonly fetchTypes: boolean
  readonly debug: boolean | ((connection: number, query: string, parameters: unknown[], types: unknown[]) => void)
  readonly onnotice: ((notice: Record<string, string>) => void) | undefined
  readonly onnotify: ((channel: string, payload: string) => void) | undefined
  readonly onparameter: ((key: string, value: unknown) => void) | undefined
  readonly socket: SocketFactory | undefined
  /**
   * The library's options as it parsed them, its timers off. A connection is built from a copy with a host, a port, a
   * `parameters` and a `shared` of its own.
   */
  readonly library: ParsedOptions
}

const settings = connectionOptions.pick({
  ssl: true,
  sslnegotiation: true,
  target_session_attrs: true,
  keep_alive: true,
  debug: true,
  onnotice: true,
  onnotify: true,
  onparameter: true,
  socket: true,
})

/** The connection's settings from the library's parsed options, whoever had them parsed. */
export function fromLibrary(library: ParsedOptions, path: string): Checked<ParsedConnection> {
  const given: Record<string, unknown> = Object.fromEntries(
    Object.keys(settings.shape).map((name) => [name, Reflect.get(library, name)]),
  )
  // A query of an adopted client's URL may have left words here.
  if (given.ssl !== undefined) given.ssl = parseSsl(given.ssl) ?? given.ssl
  if (typeof given.debug === 'string') given.debug = true
  const checked = checkBy(settings, given, path)
  const problems: OptionProblem[] = [...problemsIn(checked), ...checkPlaces(library, path)]
  if (!checked.ok || problems.length > 0) return { ok: false, problems }

  const { value } = checked
  const parsed: ParsedConnection = {
    endpoints: Object.freeze(endpointsOf(library)),
    ssl: parseSsl(value.ssl) ?? false,
    sslnegotiation: value.sslnegotiation ?? 'postgres',
    user: library.user,
    password: library.pass,
    database: library.database,
    targetSessionAttrs: value.target_session_attrs ?? undefined,
    keepAliveSeconds: value.keep_alive || 0,
    prepare: Boolean(library.prepare),
    fetchTypes: Boolean(library.fetch_types),
    debug: value.debug ?? false,
    onnotice: value.onnotice ?? undefined,
    onnotify: value.onnotify ?? undefined,
    onparameter: value.onparameter ?? undefined,
    socket: value.socket ?? undefined,
    library,
  }
  Object.defineProperty(parsed, 'password', { enumerable: false })
  Object.defineProperty(parsed, 'library', { enumerable: false })
  return { ok: true, value: Object.freeze(parsed) }
}

function endpointsOf({ host, port, path }: ParsedOptions): ServerAddress[] {
  if (path) return [Object.freeze({ host: path, port: port[0] ?? 5432, path })]
  return host.map((name, i) => Object.freeze({ host: name, port: port[i] ?? 5432 }))
}

function checkPlaces(library: ParsedOptions, path: string): OptionProblem[] {
  const { host, port, user, database, connection } = library
  const problems: OptionProblem[] = []
  if (!library.path) {
    for (const name of host) {
      if (!isHostName(name)) {
        problems.push({
          path: `${path} (host)`,
          given: describeGiven(name, typeof name === 'string' && name !== ''),
          allowed: 'a host name, an address or a socket directory',
        })
      }
    }
    if (host.length !== port.length) {
      const given = `${port.length} ports for ${host.length} hosts`
      problems.push({ path: `${path} (port)`, given, allowed: 'one port, or one for each host' })
    }
  }
  for (const number of port) {
    if (!isPort(number)) {
      problems.push({ path: `${path} (port)`, given: describeGiven(number), allowed: 'an integer from 1 to 65535' })
    }
  }
  // The startup message separates its texts by zero bytes: one inside would let a value set other parameters.
  const startup = { user, database, ...connection }
  for (const [name, value] of Object.entries(startup)) {
    if (`${name}${value}`.includes('\0')) {
      problems.push({ path: `${path} (${name.replaceAll('\0', '')})`, given: '(hidden)', allowed: 'no zero byte' })
    }
  }
  return problems
}

/** An IPv6 address may name its zone behind a percent sign; anywhere else one is a piece of a badly encoded URL. */
function isHostName(name: unknown): boolean {
  return typeof name === 'string' && name !== '' && (isIP(name) === 6 || !/[\s@/%\0]/.test(name))
}

/** One server, for messages: `host:port`, or the path of its socket. */
export function describeEndpoint({ host, port, path }: ServerAddress): string {
  return path ?? `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}

/** The connection without its password, for messages. */
export function describe({ user, endpoints, database }: ParsedConnection): string {
  return `postgres://${encodeURIComponent(user)}@${endpoints.map(describeEndpoint).join(',')}/${database}`
}
