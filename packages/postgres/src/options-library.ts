// Has postgres.js parse what passed our checks, so that a stock application's connection means the same here; except that
// none of the library's timers and tuning variables (PGMAX, PGIDLE_TIMEOUT, …) takes part, and that IPv6 addresses,
// lists of hosts with one port and percent-encoded socket directories, which it takes apart wrongly, are read here.

import { isIPv6 } from 'node:net'
import { type Checked, describeGiven, type OptionProblem } from '@moorings/core'
import postgres from 'postgres'
import type { LibraryOptions } from './library.js'
import {
  type ConnectionOptions,
  isPort,
  isRecord,
  type Password,
  parseSsl,
  type Ssl,
  sslAllowed,
  type TargetSessionAttrs,
  targetSessionAttrs,
} from './options-schema.js'
import { type CheckedUrl, queryFlag } from './options-url.js'

/** postgres.js's options after its own parsing. What nobody has checked in a client we did not make is `unknown`. */
export interface ParsedOptions extends LibraryOptions {
  pass: Password
  ssl: unknown
  target_session_attrs: unknown
  keep_alive: unknown
  prepare: unknown
  fetch_types: unknown
  debug: unknown
}

/** Whether a value is the parsed options of a postgres.js client. */
export function isParsedOptions(value: unknown): value is ParsedOptions {
  return (
    isRecord(value) &&
    isRecord(value.shared) &&
    isRecord(value.parameters) &&
    isRecord(value.parsers) &&
    isRecord(value.serializers) &&
    isRecord(value.transform) &&
    Array.isArray(value.host) &&
    Array.isArray(value.port) &&
    typeof value.user === 'string' &&
    typeof value.database === 'string' &&
    (typeof value.pass === 'string' || typeof value.pass === 'function')
  )
}

/** One instance is one connection, whose timers are ours. Each must be named, or the environment decides. */
export const timersOff = {
  max: 1,
  max_pipeline: 100,
  idle_timeout: undefined,
  connect_timeout: 0,
  max_lifetime: null,
  backoff: () => 0,
  publications: 'alltables',
}

/** The library's reading of a URL and options that passed their checks. No socket is opened, no timer started. */
export function parseByLibrary(
  options: ConnectionOptions,
  url: CheckedUrl | undefined,
  path: string,
): Checked<ParsedOptions> {
  const environment = checkEnvironment(options, url)
  if (!environment.ok) return environment
  const { query } = url ?? {}
  const places = placesOf(options, url)
  const port = options.port && !Array.isArray(options.port) ? Number(options.port) : undefined
  const settings = {
    ...environment.value,
    // What `places` holds is put in afterwards: the library would take it apart.
    host: places === undefined ? single(options.hostname) || single(options.host) : undefined,
    port: places === undefined ? port : undefined,
    path: options.path ?? undefined,
    database: options.database || options.db || undefined,
    user: options.user || options.username || undefined,
    password: options.pass || options.password || undefined,
    prepare: options.no_prepare === true ? false : (options.prepare ?? queryFlag(query, 'prepare') ?? true),
    fetch_types: options.fetch_types ?? queryFlag(query, 'fetch_types') ?? true,
    debug: options.debug ?? queryFlag(query, 'debug') ?? false,
    keep_alive: keepAliveOf(options, query),
    sslnegotiation: options.sslnegotiation ?? (query?.get('sslnegotiation') || process.env.PGSSLNEGOTIATION || null),
    types: options.types,
    transform: options.transform,
    connection: withoutNull(options.connection ?? {}),
    onnotice: options.onnotice ?? undefined,
    onnotify: options.onnotify ?? undefined,
    onparameter: options.onparameter ?? undefined,
    socket: options.socket ?? undefined,
    ...timersOff,
  }
  let parsed: unknown
  try {
    parsed = (url === undefined ? postgres(settings) : postgres(url.url, settings)).options
  } catch {
    // Nothing known comes this far, and the library's error may quote the URL.
    return refused(path, '(hidden)', 'what postgres.js can parse')
  }
  if (!isParsedOptions(parsed)) return refused(path, '(hidden)', 'what postgres.js can parse')
  // The parsed options lack it, and an instance made of them would make a second one for replication.
  Object.assign(parsed, { no_subscribe: true }, places)
  if (query?.get('sslrootcert') === 'system') delete parsed.connection.sslrootcert
  return { ok: true, value: parsed }
}

function keepAliveOf(options: ConnectionOptions, query: CheckedUrl['query'] | undefined): number {
  if (options.keep_alive !== undefined) return options.keep_alive === false ? 0 : (options.keep_alive ?? 0)
  const text = query?.get('keep_alive')
  if (text === undefined || text === '') return 60
  return queryFlag(query, 'keep_alive') === false ? 0 : Number(text)
}

interface Identity {
  ssl: Ssl
  target_session_attrs: TargetSessionAttrs | undefined
}

/** Options that the environment may give where neither options nor URL do. */
function checkEnvironment(options: ConnectionOptions, url: CheckedUrl | undefined): Checked<Identity> {
  const { query } = url ?? {}
  const { PGSSL, PGTARGETSESSIONATTRS, PGPORT } = process.env
  const problems: OptionProblem[] = []
  const wrong = (name: string, value: string | undefined, allowed: string) => {
    problems.push({ path: `environment variable ${name}`, given: describeGiven(value), allowed })
  }

  const inQuery = query?.get('sslrootcert') === 'system' ? 'verify-full' : query?.get('sslmode') || query?.get('ssl')
  const ssl = parseSsl(options.ssl !== undefined ? options.ssl : (inQuery ?? PGSSL ?? false))
  if (ssl === undefined) wrong('PGSSL', PGSSL, sslAllowed.replace(/, or an object.*/, ", 'disable'"))

  const wanted = options.target_session_attrs ?? (query?.get('target_session_attrs') || PGTARGETSESSIONATTRS)
  const attributes = targetSessionAttrs.find((name) => name === wanted)
  if (wanted && attributes === undefined) {
    wrong('PGTARGETSESSIONATTRS', wanted, `one of ${targetSessionAttrs.join(', ')}`)
  }
  const portElsewhere = options.port || /^[^,]*:\d+(,|$)/.test(url?.hosts ?? '')
  if (PGPORT && !portElsewhere && !isPort(Number(PGPORT))) wrong('PGPORT', PGPORT, 'an integer from 1 to 65535')

  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, value: { ssl: ssl ?? false, target_session_attrs: attributes } }
}

interface Places {
  host: string[]
  port: number[]
  path: string | false
}

/** Hosts and ports where the library would get them wrong; undefined where it is left to it. */
function placesOf(options: ConnectionOptions, url: CheckedUrl | undefined): Places | undefined {
  const { path, port } = options
  if (path) return undefined
  const written = options.hostname || options.host || url?.hosts || process.env.PGHOST || 'localhost'
  const otherwise = Number((Array.isArray(port) ? undefined : port) || process.env.PGPORT || 5432)

  const hosts = Array.isArray(written) ? written : written.split(',')
  const socketDirectory = hosts.length === 1 && /^%2f/i.test(hosts[0] ?? '')
  const special = Array.isArray(written) || Array.isArray(port) || socketDirectory || hosts.some(holdsIPv6)
  if (!special) return undefined

  const places = hosts.map((host) => {
    const bracketed = /^\[(.+)\](?::(\d+))?$/.exec(host)
    if (bracketed?.[1] !== undefined) return { host: bracketed[1], port: Number(bracketed[2] ?? otherwise) }
    const [, name = host, own] = isIPv6(host) || Array.isArray(written) ? [] : (/^(.*?)(?::(\d+))?$/.exec(host) ?? [])
    return { host: socketDirectory ? decodeURIComponent(name) : name, port: Number(own ?? otherwise) }
  })
  const [first] = places
  return {
    host: places.map((place) => place.host),
    port: Array.isArray(port) ? port.map(Number) : places.map((place) => place.port),
    path: places.length === 1 && first?.host.startsWith('/') === true && `${first.host}/.s.PGSQL.${first.port}`,
  }
}

function holdsIPv6(host: string): boolean {
  return isIPv6(host) || host.startsWith('[')
}

function refused(path: string, given: string, allowed: string): Checked<never> {
  return { ok: false, problems: [{ path, given, allowed }] }
}

function single(host: string | readonly string[] | null | undefined): string | undefined {
  return typeof host === 'string' ? host : undefined
}

function withoutNull<T>(record: Record<string, T | null | undefined>): Record<string, T> {
  const kept: Record<string, T> = {}
  for (const [key, value] of Object.entries(record)) if (value !== null && value !== undefined) kept[key] = value
  return kept
}
