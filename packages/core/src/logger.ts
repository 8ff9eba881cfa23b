// A logger the pool's events are written to: one line an event, with flat fields of stable names, and no secrets.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { z } from 'zod'
import { endpointName } from './endpoint-name.js'
import { CircuitOpenError, type MooringsError } from './errors.js'
import type { CloseReason, EventName, HealthStatus, PoolEvents, PoolIdentity } from './events.js'
import { redact } from './redact.js'

type Log = (fields: object, message: string) => void

/** What pino, bunyan and their like have in common: `logger.warn({ … }, 'message')`. */
export interface Logger {
  debug: Log
  info: Log
  warn: Log
  error: Log
  /**
   * Whether lines of this level are written at all; asked once, when the pool starts. What happens with every statement
   * (`moorings:lease:taken`, `moorings:lease:returned`, `moorings:acquire:queued`) is logged only if this is there and
   * says yes to `debug`.
   */
  isLevelEnabled?(level: string): boolean
}

const levels = ['debug', 'info', 'warn', 'error'] as const

type Level = (typeof levels)[number]

export const loggerOption = z
  .custom<Logger>(
    (value) => typeof value === 'object' && value !== null && levels.every((level) => isMethod(value, level)),
    { error: 'an object with the methods debug, info, warn and error, each taking (fields, message)' },
  )
  .optional()

function isMethod(value: object, name: string): boolean {
  return typeof Reflect.get(value, name) === 'function'
}

/**
 * Writes what happens to this one pool to the logger, until the function it returns is called. A logger that throws or
 * rejects disturbs nobody: it is reported once, as a warning of the process.
 *
 * - `error`: something is lost, or somebody has to look: health is unhealthy, a leak, a roll-back that failed
 * - `warn`: a connection or a caller met a fault, a hook failed, health is degraded, the pool is suspended
 * - `info`: what the pool itself does: started, resized, scaled, resumed, invalidated, closed, healthy again
 * - `debug`: each connection's life, and each lease
 *
 * Every line has `event` (the channel's name), `pool` and `poolId`; durations are in milliseconds.
 */
export function logEvents(identity: PoolIdentity, logger: Logger): () => void {
  const stops: (() => void)[] = []
  let reported = false

  const report = (name: EventName | undefined, error: unknown) => {
    if (reported) return
    reported = true
    // Not its message: what a logger says of a line it could not write may quote anything.
    const what = error instanceof Error ? error.name : `a ${typeof error}`
    const during = name === undefined ? 'when asked for its level' : `when given ${name}`
    const text = `The logger of pool ${identity.pool} failed with ${what} ${during}; this is not reported again`
    process.emitWarning(redact(text), { code: 'MOORINGS_LOGGER' })
  }

  const listen = <Name extends EventName>(name: Name) => {
    const lineOf: LineOf<Name> = lines[name]
    const heard = (published: unknown) => {
      // What is thrown from here would become an uncaught exception.
      try {
        if (poolIdOf(published) !== identity.poolId) return
        // The name decides the payload, which diagnostics_channel has no type for.
        const event = published as PoolEvents[Name]
        const [level, message, fields] = lineOf(event)
        const { pool, poolId } = event
        const written: unknown = logger[level](clean({ event: name, pool, poolId, ...fields }), redact(message))
        if (isThenable(written)) Promise.resolve(written).catch((error: unknown) => report(name, error))
      } catch (error) {
        report(name, error)
      }
    }
    subscribe(name, heard)
    stops.push(() => unsubscribe(name, heard))
  }

  let everyStatement = false
  try {
    everyStatement = logger.isLevelEnabled?.('debug') === true
  } catch (error) {
    report(undefined, error)
  }
  for (const name of eventNames) if (everyStatement || !ofEveryStatement.has(name)) listen(name)

  return () => {
    for (const stop of stops.splice(0)) stop()
  }
}

/** An object for each would be built with every statement: nobody listens unless the lines are wanted. */
const ofEveryStatement: ReadonlySet<EventName> = new Set<EventName>([
  'moorings:lease:taken',
  'moorings:lease:returned',
  'moorings:acquire:queued',
])

// --- what is written ---

type Fields = Readonly<Record<string, unknown>>
type LineOf<Name extends EventName> = (
  event: PoolEvents[Name],
) => readonly [level: Level, message: string, fields: Fields]

/** The fields are listed one by one: what is added to an event one day is not in a log before somebody thought of it. */
const lines: { readonly [Name in EventName]: LineOf<Name> } = {
  'moorings:pool:started': ({ min, max, overflow }) => ['info', 'The pool was started', { min, max, overflow }],
  'moorings:pool:suspended': ({ refuseAfterMs }) => ['warn', 'The pool was suspended', { refuseAfterMs }],
  'moorings:pool:resumed': ({ suspendedMs, waiting }) => ['info', 'The pool was resumed', { suspendedMs, waiting }],
  'moorings:pool:resized': ({ min, minIdle, max, overflow }) => [
    'info',
    'The pool was resized',
    { min, minIdle, max, overflow },
  ],
  'moorings:pool:scaled': ({ from, to, utilisation }) => [
    'info',
    `The pool keeps ${to > from ? 'more' : 'fewer'} connections warm`,
    { from, to, utilisation },
  ],
  'moorings:pool:invalidated': ({ how, connections, endpoint, id }) => [
    'info',
    how === 'evict' ? 'Connections were evicted' : 'Connections were invalidated',
    { how, connections, endpoint, connection: id },
  ],
  'moorings:pool:closing': ({ leased, waiting, timeoutMs }) => [
    'info',
    'The pool is closing',
    { leased, waiting, timeoutMs },
  ],
  'moorings:pool:closed': ({ tookMs, destroyed }) =>
    destroyed > 0
      ? ['warn', 'The pool was closed, and connections still in use were destroyed', { tookMs, destroyed }]
      : ['info', 'The pool was closed', { tookMs, destroyed }],
  'moorings:health:changed': ({ from, to, reasons }) => [
    // The first verdict, when it is good, is no news.
    to === 'healthy' && from === undefined ? 'debug' : healthLevels[to],
    `The pool is ${to}`,
    { from, to, reasons },
  ],
  'moorings:constraints:unknown': ({ names }) => [
    'warn',
    'The errors option speaks of constraints that are not there',
    { names },
  ],

  'moorings:connection:opened': ({ id, endpoint, tookMs }) => [
    'debug',
    'A connection was opened',
    { connection: id, endpoint: endpointName(endpoint), tookMs },
  ],
  'moorings:connection:closed': ({ id, endpoint, reason, ageMs, uses, error }) => [
    ...departures[reason],
    { connection: id, endpoint: endpointName(endpoint), reason, ageMs, uses, error: described(error) },
  ],
  'moorings:connection:checked': ({ id, why, tookMs, error }) => [
    'debug',
    error === undefined ? 'A connection was found alive' : 'A connection gave no sign of life',
    { connection: id, why, tookMs, error: described(error) },
  ],
  'moorings:connection:reset': ({ id, tookMs, error }) => [
    'debug',
    error === undefined ? 'A session was reset' : 'A session could not be reset',
    { connection: id, tookMs, error: described(error) },
  ],
  'moorings:connect:failed': ({ error, retryInMs, again }) => [
    // An outage is told once, and not with every attempt.
    again ? 'debug' : 'warn',
    again ? 'A connection could still not be made' : 'A connection could not be made',
    { retryInMs, again, error: described(error) },
  ],
  'moorings:endpoint:moved': ({ from, to }) => ['warn', 'The primary is another server now', { from, to }],
  'moorings:endpoint:changed': ({ endpoint, from, to }) => [
    'warn',
    'A server has changed its role',
    { endpoint, from, to },
  ],
  'moorings:replica:changed': ({ replica, from, to, lagMs }) => [
    to === 'fit' ? (from === 'unchecked' ? 'debug' : 'info') : 'warn',
    to === 'fit' ? 'A replica is read from' : 'A replica is not read from',
    { replica, from, to, lagMs },
  ],
  'moorings:pooler:found': ({ endpoint }) => [
    'info',
    'A pooler on the way lends a session of the server for one transaction only',
    { endpoint },
  ],
  'moorings:prepare:disabled': ({ endpoint, error }) => [
    'warn',
    'The way to a server keeps no prepared statements, nothing is prepared there any more',
    { endpoint, error: described(error) },
  ],
  'moorings:rollback:failed': ({ id, error }) => [
    'error',
    'A roll-back failed, and its connection was destroyed',
    { connection: id, error: described(error) },
  ],
  'moorings:transaction:retried': ({ attempt, error, delayMs }) => [
    'info',
    'A transaction is run again',
    { attempt, delayMs, error: described(error) },
  ],
  'moorings:statement:resent': ({ id, attempt, error }) => [
    'info',
    'A statement is sent again on another connection',
    { connection: id, attempt, sent: error.sent !== false, error: described(error) },
  ],
  'moorings:commit:resolved': ({ transactionId, outcome, tookMs, error }) => [
    outcome === 'unknown' ? 'error' : 'warn',
    'A COMMIT was not answered, and was looked up',
    { transactionId, outcome, tookMs, ...(error && { error: described(error) }) },
  ],
  'moorings:after:failed': ({ after, error }) => [
    'error',
    'A callback of a transaction failed',
    { after, error: described(error) },
  ],
  'moorings:root:used': ({ attempt }) => [
    'warn',
    'A query on the root database inside a transaction ran outside of it',
    { attempt },
  ],
  'moorings:session:expired': ({ session, id, ageMs, inTransaction }) => [
    'error',
    'A session took too long, and was ended',
    { session, connection: id, ageMs, inTransaction },
  ],
  'moorings:session:long': ({ session, id, forMs, inTransaction }) => [
    'warn',
    'A piece of work in a session goes on for long',
    { session, connection: id, forMs, inTransaction },
  ],
  'moorings:liveness:asked': ({ endpoint, connections, states, tookMs }) => [
    'debug',
    'The server was asked what it works on',
    { endpoint, connections, ...states, tookMs },
  ],
  'moorings:liveness:lost': ({ id, endpoint, state, waitedMs, error }) => [
    'warn',
    'A connection was given up, as its answer will never come',
    { connection: id, endpoint: endpointName(endpoint), state, waitedMs, error: described(error) },
  ],
  'moorings:hook:failed': ({ hook, id, error }) => [
    'warn',
    `The ${hook} hook failed`,
    { hook, connection: id, error: described(error) },
  ],

  'moorings:breaker:opened': ({ breaker, kind, byHand, again, retryInMs, lastError }) => [
    // An outage is told once, and not with every probe.
    again ? 'debug' : 'warn',
    again ? 'A breaker stays open' : `A breaker opened${byHand ? ' by hand' : ''}`,
    { breaker, kind, byHand, again, retryInMs, error: lastError },
  ],
  'moorings:breaker:half-opened': ({ breaker, kind, openMs }) => [
    'debug',
    'A breaker lets one call through',
    { breaker, kind, openMs },
  ],
  'moorings:breaker:closed': ({ breaker, kind, byHand, openMs }) => [
    'info',
    `A breaker closed${byHand ? ' by hand' : ''}`,
    { breaker, kind, byHand, openMs },
  ],

  'moorings:lease:taken': ({ id, waitedMs }) => ['debug', 'A connection was lent', { connection: id, waitedMs }],
  'moorings:lease:returned': ({ id, heldMs }) => ['debug', 'A connection came back', { connection: id, heldMs }],
  'moorings:acquire:queued': ({ waiting }) => ['debug', 'A caller waits for a connection', { waiting }],
  'moorings:acquire:failed': ({ error, waitedMs }) => [
    // That the breaker is open was told; with every caller that it sends away there would be no end to it.
    error instanceof CircuitOpenError ? 'debug' : 'warn',
    'A caller got no connection',
    { waitedMs, error: described(error) },
  ],
  'moorings:leak:found': ({ id, heldMs, stack }) => [
    'error',
    'A connection is held for too long',
    { connection: id, heldMs, stack },
  ],
  // Whoever was alarmed by the one is to hear of the other without turning debug on.
  'moorings:leak:returned': ({ id, heldMs, stack }) => [
    'info',
    'A connection that was held for too long came back',
    { connection: id, heldMs, stack },
  ],
  'moorings:leak:reclaimed': ({ id, heldMs, stack }) => [
    'warn',
    'A connection that was held for too long was taken back',
    { connection: id, heldMs, stack },
  ],
}

/** The table's own keys, which its type says are all the events there are. */
const eventNames = Object.keys(lines) as EventName[]

const healthLevels: Readonly<Record<HealthStatus, Level>> = { healthy: 'info', degraded: 'warn', unhealthy: 'error' }

const departures: Readonly<Record<CloseReason, readonly [level: Level, message: string]>> = {
  lost: ['warn', 'A connection was lost'],
  destroyed: ['warn', 'A connection was given up'],
  invalid: ['warn', 'A connection was dead'],
  unfit: ['warn', 'A connection came back in a state that could not be mended'],
  reclaimed: ['warn', 'A connection that was held for too long was destroyed'],
  overflow: ['debug', 'A connection beyond max was closed'],
  lifetime: ['debug', 'A connection reached its lifetime'],
  uses: ['debug', 'A connection was used often enough'],
  worn: ['debug', 'A connection was full of what is not asked for any more'],
  idle: ['debug', 'A connection was idle for long enough'],
  epoch: ['debug', 'A connection was invalidated'],
  evicted: ['debug', 'A connection was evicted'],
  hook: ['debug', 'A connection was closed by a hook'],
  closing: ['debug', 'A connection was closed with its pool'],
}

/** What `toJSON` holds to be safe, and of that the same four for every error; no cause, no stack. */
function described(error: MooringsError | undefined): Fields | undefined {
  if (error === undefined) return undefined
  const { name, code, message, retry } = error
  return { name, code, message, retry }
}

/** Without passwords, without what is undefined, and with durations to the microsecond. */
function clean(fields: Fields): Fields {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = cleaned(value)
  return kept
}

function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return redact(value)
  if (typeof value === 'number') return Math.round(value * 1_000) / 1_000
  if (Array.isArray(value)) return value.map(cleaned)
  return typeof value === 'object' && value !== null ? clean({ ...value }) : value
}

function poolIdOf(published: unknown): unknown {
  return typeof published === 'object' && published !== null && 'poolId' in published ? published.poolId : undefined
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value
}
