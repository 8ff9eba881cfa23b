// From what postgres.js or a socket reports to one of our errors: by SQLSTATE, and by the codes of sockets and of the
// library. It reads the error and nothing else, so whatever it is given, it does not throw.

import {
  AuthenticationError,
  CheckViolationError,
  CommitOutcomeUnknownError,
  ConnectError,
  ConnectionLostError,
  type ConstraintSite,
  ConstraintViolationError,
  DeadlockError,
  type ErrorSite,
  ExclusionViolationError,
  ForeignKeyViolationError,
  isMooringsError,
  LockTimeoutError,
  type MooringsError,
  type MooringsErrorOptions,
  NotNullViolationError,
  ReadOnlyEndpointError,
  SerializationError,
  StatementCancelledError,
  StatementError,
  TransactionAbortedError,
  UniqueViolationError,
} from '@moorings/core'
import { anyQuote, read, textOf } from './error-text.js'
import { directionOf } from './violation-detail.js'

type Make = (message: string, options: MooringsErrorOptions, error: unknown) => MooringsError

/** A constraint's place, from the fields the server sends beside its message. `detail` is localised and leaks values. */
function site(error: unknown): ConstraintSite {
  return {
    constraint: textOf(error, 'constraint_name'),
    schema: textOf(error, 'schema_name'),
    table: textOf(error, 'table_name'),
    // As the library has it.
    domain: textOf(error, 'data type_name') ?? textOf(error, 'datatype_name'),
  }
}

const foreignKey: Make = (message, options, error) =>
  new ForeignKeyViolationError(message, { ...site(error), direction: directionOf(error) }, options)

const notNull: Make = (message, options, error) => {
  const column = textOf(error, 'column_name')
  return new NotNullViolationError(
    message,
    { ...site(error), columns: column === undefined ? undefined : [column] },
    options,
  )
}

const other: Make = (message, options, error) => new ConstraintViolationError(message, site(error), options)

/** SQLSTATEs with a class of their own, where a statement or a COMMIT is refused and the session lives on. */
const refusals: ReadonlyMap<string, Make> = new Map<string, Make>([
  ['23505', (message, options, error) => new UniqueViolationError(message, site(error), options)],
  ['23503', foreignKey],
  ['23001', foreignKey], // ON DELETE RESTRICT, since PostgreSQL 18
  ['23502', notNull],
  ['23514', (message, options, error) => new CheckViolationError(message, site(error), options)],
  ['23P01', (message, options, error) => new ExclusionViolationError(message, site(error), options)],
  ['23000', other], // as triggers raise it
  ['44000', other], // WITH CHECK OPTION of a view
  ['40P01', (message, options) => new DeadlockError(message, { ...options, retry: 'transaction' })],
  ['40001', (message, options) => new SerializationError(message, { ...options, retry: 'transaction' })],
  ['40003', (message, options) => new StatementError(message, { ...options, retry: 'unknown' })],
  ['55P03', (message, options) => new LockTimeoutError(message, options)],
  ['57014', (message, options) => new StatementCancelledError(message, options)],
  ['25006', (message, options) => new ReadOnlyEndpointError(message, options)],
  ['25P02', (message, options) => new TransactionAbortedError(message, options)],
])

/** Where no session keeps what was prepared. The second is a pooler's, which ends the connection with it. */
export function isUnprepared({
  code,
  message,
}: {
  readonly code?: string | undefined
  readonly message: string
}): boolean {
  return code === '26000' || (code === '08P01' && message.includes('prepared statement'))
}

/** A plan the server has dropped or may no longer use. The library has forgotten it too, so a second try prepares anew. */
const stalePlan: ReadonlyMap<string, string> = new Map([
  ['0A000', 'RevalidateCachedQuery'],
  ['26000', 'FetchPreparedStatement'],
])

const lostState = /^(08...|57P0[1-5]|25P0[34])$/
const lostSocket =
  /^(ECONN[A-Z]+|EPIPE|ETIMEDOUT|EHOST[A-Z]+|ENET[A-Z]+|ENOTFOUND|EAI_[A-Z]+|ERR_SOCKET_[A-Z_]+|ERR_STREAM_DESTROYED|ERR_STREAM_WRITE_AFTER_END|CONNECTION_[A-Z]+|CONNECT_TIMEOUT)$/
const refusedCredentials = /^(28000|28P01|SASL_SIGNATURE_MISMATCH)$/
/** What the server says to a startup message that it will not like the next time either: names, parameters, rights. */
const hopelessStart = /^(0A...|22...|3D000|42...)$/

/**
 * Says what an error means at the place where it came up. A MooringsError is handed through.
 *
 * The driver's own error is the result's `cause`. Of what the server said only the primary message is taken over, and of
 * that not what may be a parameter's value.
 */
export function classify(error: unknown, at: ErrorSite): MooringsError {
  if (isOurs(error)) return error
  const code = textOf(error, 'code')
  const message = messageOf(error)
  const options: MooringsErrorOptions = { code, cause: error }

  if (at === 'connect') return refusedConnect(code, message, error)
  if (code !== undefined && refusedCredentials.test(code)) return new AuthenticationError(message, options)
  if (isLoss(error, code)) return lost(code, message, options, at)

  const make = code === undefined ? undefined : refusals.get(code)
  if (code === '40003' && at === 'commit') return new CommitOutcomeUnknownError(message, options)
  if (make !== undefined) return make(message, options, error)
  const stale = code === undefined ? undefined : stalePlan.get(code)
  if (stale !== undefined && stale === textOf(error, 'routine')) {
    return new StatementError(message, { ...options, retry: 'transaction' })
  }
  return new StatementError(message, options)
}

/**
 * What PgBouncer refuses a connection for, all by the one code of a protocol violation: it says it in English only. What it
 * says when it could not reach the server may be otherwise the next time.
 */
const poolerRefuses: readonly (readonly [
  said: RegExp,
  make: (message: string, options: MooringsErrorOptions) => ConnectError,
])[] = [
  [
    /^unsupported startup parameter(?: in options)?: (\S+)/,
    (message, options) => new ConnectError(`${message}. ${startupAdvice(message)}`, { ...options, retry: 'never' }),
  ],
  [
    /^(?:SASL authentication failed|password authentication failed|auth failed|no such user|wrong password type)/i,
    (message, options) => new AuthenticationError(message, options),
  ],
  [
    /^(?:no such database|database ".*" does not exist)/,
    (message, options) => new ConnectError(message, { ...options, retry: 'never' }),
  ],
]

function startupAdvice(message: string): string {
  const [, name = ''] = /: (\S+?),?$/.exec(message) ?? []
  return `A pooler is on the way that takes no such setting from its clients. Leave \`${name}\` out of the connection's options and its URL, and set it for all (ALTER ROLE … SET, ALTER DATABASE … SET) or for a transaction (\`settings\`); or have PgBouncer pass over it by ignore_startup_parameters = ${name}, where it is not needed`
}

function refusedConnect(code: string | undefined, message: string, error: unknown): ConnectError {
  const address = textOf(error, 'address')
  const port = read(error, 'port')
  // Whatever else it is may not want to be a string.
  const isPort = typeof port === 'number' || typeof port === 'string'
  const endpoint = address === undefined ? {} : { endpoint: isPort ? `${address}:${port}` : address }
  const options = { code, cause: error, ...endpoint }
  if (code === undefined) return new ConnectError(message, options)
  if (refusedCredentials.test(code)) return new AuthenticationError(message, options)
  const refuses = code === '08P01' ? poolerRefuses.find(([said]) => said.test(message)) : undefined
  if (refuses !== undefined) return refuses[1](message, options)
  return new ConnectError(message, { ...options, retry: hopelessStart.test(code) ? 'never' : 'reconnect' })
}

function lost(code: string | undefined, message: string, options: MooringsErrorOptions, at: ErrorSite): MooringsError {
  if (at === 'commit') return new CommitOutcomeUnknownError(message, options)
  // 08007: the server itself cannot say what became of the transaction. 57P04: the database was dropped.
  const retry = code === '08007' ? 'unknown' : code === '57P04' ? 'never' : 'reconnect'
  return new ConnectionLostError(message, { ...options, retry })
}

function isLoss(error: unknown, code: string | undefined): boolean {
  if (code !== undefined && (lostState.test(code) || lostSocket.test(code))) return true
  const severity = textOf(error, 'severity') ?? textOf(error, 'severity_local')
  return severity === 'FATAL' || severity === 'PANIC'
}

/** An error's message, as far as it may be shown. */
export function messageOf(error: unknown): string {
  return (
    ownMessageOf(error) ?? messageOfSeveral(error) ?? textOf(error, 'code') ?? 'The driver failed without saying why'
  )
}

function ownMessageOf(error: unknown): string | undefined {
  const message = textOf(error, 'message')
  const code = textOf(error, 'code')
  if (message === undefined) return undefined
  // `Unexpected token …, "…" is not valid JSON`: a parser quoting the value it was given.
  if (textOf(error, 'name') === 'SyntaxError') return 'A value could not be parsed (SyntaxError)'
  // Node quotes the value: `… Received type number (41)`.
  if (code?.startsWith('ERR_') === true) return message.replace(/\.? Received .*$/s, '')
  return code !== undefined && /^22...$/.test(code) ? withoutValues(message) : message
}

/** Node reports a host none of whose addresses answers by an AggregateError without a message. */
function messageOfSeveral(error: unknown): string | undefined {
  const errors = read(error, 'errors')
  try {
    if (!Array.isArray(errors)) return undefined
    const messages = errors.map(ownMessageOf).filter((message) => message !== undefined)
    return messages.length === 0 ? undefined : [...new Set(messages)].join('; ')
  } catch {
    // A list that does not want to be looked at.
    return undefined
  }
}

const quoted = new RegExp(`[${anyQuote}](?:[^]*[${anyQuote}]|[^]*$)`)

/** Of a text that is none in its encoding. */
const bytes = /0x[\da-f]{2}(?: 0x[\da-f]{2})*/gi

/** From the first quote to the last: a value may hold quotes itself. */
function withoutValues(message: string): string {
  return message.replace(quoted, '"…"').replace(bytes, '…')
}

function isOurs(error: unknown): error is MooringsError {
  try {
    return isMooringsError(error)
  } catch {
    return false
  }
}
