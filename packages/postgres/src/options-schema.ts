// The names postgres.js knows for a connection, and what each may be. What the pool owns instead of the library is known
// too, so that the error can name our option.

import { strictOptions } from '@moorings/core'
import type postgres from 'postgres'
import { z } from 'zod'

/** A password, or a function asked for one at every connect (for tokens that expire). */
export type Password = string | (() => string | Promise<string>)

/** Makes the raw stream for one connection: a proxy, a tunnel. Given the library's options with one host and one port. */
export type SocketFactory = (options: Record<string, unknown>) => unknown

/** Which server a session may run on, as libpq names it. */
export type TargetSessionAttrs = (typeof targetSessionAttrs)[number]

export const targetSessionAttrs = ['read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const

/** What the pool does itself: the library's option, and what to say to someone who sets it. */
export const ownedByPool: ReadonlyMap<string, string> = new Map([
  ['max', 'nothing here; set resilience.pool.max'],
  ['idle_timeout', 'nothing here; set resilience.pool.idleTimeoutMs (milliseconds)'],
  ['timeout', 'nothing here; set resilience.pool.idleTimeoutMs (milliseconds)'],
  ['connect_timeout', 'nothing here; set resilience.pool.connectTimeoutMs (milliseconds)'],
  ['max_lifetime', 'nothing here; set resilience.pool.maxLifetimeMs (milliseconds)'],
  ['backoff', 'nothing: the pool backs off by itself'],
  ['max_pipeline', 'nothing: the pool decides what is pipelined'],
  ['onclose', 'nothing: the pool has no such callback yet'],
  ['publications', 'nothing: the pool does not subscribe to changes'],
])

/** Names other drivers use, which a swapped application may still carry. */
export const foreignNames: ReadonlyMap<string, string> = new Map([
  ['connectionString', 'url'],
  ['uri', 'url'],
  ['dbname', 'database'],
  ['application_name', 'connection.application_name'],
  ['statement_timeout', 'connection.statement_timeout'],
])

function func<T>() {
  return z.custom<T>((value) => typeof value === 'function', { error: 'a function' })
}

function owned(name: string) {
  return z.undefined({ error: ownedByPool.get(name) ?? 'nothing' }).optional()
}

const text = z.string({ error: 'a string' }).nullish()
const flag = z.boolean({ error: 'true or false' }).optional()
const password = z
  .custom<Password>((value) => typeof value === 'string' || typeof value === 'function', {
    error: 'a string, or a function that returns one or a promise of one',
  })
  .nullish()

const hostWords = 'a host name, an address, a socket directory, or a list of them'
const host = z
  .custom<string | string[] | null>((value) => value === null || isHost(value) || isListOf(value, isHost), {
    error: hostWords,
  })
  .optional()

const portWords = 'an integer from 1 to 65535, or one for each host'
const port = z
  .custom<number | string | (number | string)[] | null>(
    (value) => value === null || isWrittenPort(value) || isListOf(value, isWrittenPort),
    { error: portWords },
  )
  .optional()

function isHost(value: unknown): boolean {
  return typeof value === 'string'
}

function isWrittenPort(value: unknown): boolean {
  return isPort(value) || (typeof value === 'string' && /^\d{1,5}$/.test(value) && isPort(Number(value)))
}

function isListOf(value: unknown, isOne: (value: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isOne)
}

const sslWords = "true, false, 'require', 'allow', 'prefer', 'verify-full', or an object of tls.connect options"
const ssl = z.custom<boolean | string | Record<string, unknown> | null>((value) => parseSsl(value) !== undefined, {
  error: sslWords,
})

const types = z.record(
  z.string(),
  z.custom<postgres.PostgresType>(
    (value) => typeof value === 'object' && value !== null && ('to' in value || 'from' in value),
    { error: 'an object { to, from, serialize, parse }' },
  ),
  { error: 'an object of custom types' },
)

const startupValue = z.union([z.string(), z.number(), z.boolean(), z.null(), z.undefined()], {
  error: 'a string, a number or a boolean',
})

/** postgres.js's options, those the pool owns refused; `url` is checked apart. */
export const connectionOptions = strictOptions({
  host,
  hostname: host,
  port,
  path: text,
  database: text,
  db: text,
  user: text,
  username: text,
  pass: password,
  password,
  ssl: ssl.optional(),
  sslnegotiation: z.enum(['postgres', 'direct'], { error: "'postgres' or 'direct'" }).nullish(),
  target_session_attrs: z.enum(targetSessionAttrs, { error: `one of ${targetSessionAttrs.join(', ')}` }).nullish(),
  keep_alive: z
    .custom<number | false | null>(
      (value) => value === false || value === null || (typeof value === 'number' && value >= 0 && value < 2_147_483),
      { error: 'seconds >= 0, or false for none' },
    )
    .optional(),
  prepare: flag,
  no_prepare: flag,
  fetch_types: flag,
  types: types.optional(),
  transform: z
    .custom<NonNullable<postgres.Options<Record<string, postgres.PostgresType>>['transform']>>(
      (value) => (typeof value === 'object' && value !== null) || typeof value === 'function',
      { error: 'an object { undefined, column, value, row }' },
    )
    .optional(),
  connection: z.record(z.string(), startupValue, { error: 'an object of startup parameters' }).optional(),
  debug: z
    .union(
      [z.boolean(), func<(connection: number, query: string, parameters: unknown[], types: unknown[]) => void>()],
      {
        error: 'true, false or a function',
      },
    )
    .optional(),
  onnotice: func<(notice: postgres.Notice) => void>().nullish(),
  onnotify: func<(channel: string, payload: string) => void>().nullish(),
  onparameter: func<(key: string, value: unknown) => void>().nullish(),
  socket: func<SocketFactory>().nullish(),
  no_subscribe: flag,
  max: owned('max'),
  idle_timeout: owned('idle_timeout'),
  timeout: owned('timeout'),
  connect_timeout: owned('connect_timeout'),
  max_lifetime: owned('max_lifetime'),
  backoff: owned('backoff'),
  max_pipeline: owned('max_pipeline'),
  onclose: owned('onclose'),
  publications: owned('publications'),
})

export type ConnectionOptions = z.output<typeof connectionOptions>

/** Whether and how TLS is asked for, in the library's words. Strings outside its list verify the server, as with it. */
export type Ssl = boolean | 'require' | 'allow' | 'prefer' | 'verify-full' | Record<string, unknown>

/**
 * What an `ssl` option, query key or variable asks for; undefined when it is none of the known words.
 *
 * The library takes every word it does not know for `true`, so that `sslmode=no-verify` verifies and `PGSSL=disable`
 * encrypts: words that mean something are taken for what they mean here, and the rest is refused.
 */
export function parseSsl(value: unknown): Ssl | undefined {
  switch (value) {
    case false:
    case null:
    case '':
    case 'false':
    case 'disable':
      return false
    case true:
    case 'true':
    case '1':
    case 'on':
    case 'yes':
      return true
    case 'verify-ca': // the library checks the host's name as well
    case 'verify-full':
      return 'verify-full'
    case 'require':
    case 'allow':
    case 'prefer':
      return value
    default:
      return isRecord(value) ? value : undefined
  }
}

export const sslAllowed: string = sslWords

export function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
