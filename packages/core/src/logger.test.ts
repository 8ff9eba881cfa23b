import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import {
  AcquireTimeoutError,
  CircuitOpenError,
  ConnectError,
  ConnectionLostError,
  HookError,
  StatementError,
} from './errors.js'
import { type CloseReason, type EventDetails, type EventName, type HealthStatus, publish } from './events.js'
import { type Logger, logEvents } from './logger.js'

type Level = 'debug' | 'info' | 'warn' | 'error'

interface Line {
  readonly level: Level
  readonly fields: Record<string, unknown>
  readonly message: string
}

/** Of pino's shape; `level` undefined: it does not say what it writes. */
class Memory implements Logger {
  readonly lines: Line[] = []
  isLevelEnabled?: (level: string) => boolean
  // As of one that keeps its state in `this`, which its methods need.
  readonly #lines = this.lines

  constructor(level?: Level) {
    const order = ['debug', 'info', 'warn', 'error']
    if (level !== undefined) this.isLevelEnabled = (asked) => order.indexOf(asked) >= order.indexOf(level)
  }

  debug(fields: object, message: string): void {
    this.#lines.push({ level: 'debug', fields: { ...fields }, message })
  }

  info(fields: object, message: string): void {
    this.#lines.push({ level: 'info', fields: { ...fields }, message })
  }

  warn(fields: object, message: string): void {
    this.#lines.push({ level: 'warn', fields: { ...fields }, message })
  }

  error(fields: object, message: string): void {
    this.#lines.push({ level: 'error', fields: { ...fields }, message })
  }
}

const identity = { pool: 'orders', poolId: 9_001 }
const twin = { pool: 'orders', poolId: 9_002 }
const endpoint = { host: 'db1', port: 5432 }
const lost = new ConnectionLostError('The server ended the connection: terminating connection', { code: '57P01' })
const lostFields = {
  name: 'ConnectionLostError',
  code: '57P01',
  message: 'The server ended the connection: terminating connection',
  retry: 'reconnect',
}

const sampleOf: { readonly [Name in EventName]: EventDetails[Name] } = {
  'moorings:pool:started': { min: 2, max: 10, overflow: 5 },
  'moorings:pool:suspended': { refuseAfterMs: 5_000 },
  'moorings:pool:resumed': { suspendedMs: 1_234.567_891, waiting: 3 },
  'moorings:pool:resized': { min: 2, minIdle: 1, max: 20, overflow: 0 },
  'moorings:pool:scaled': { from: 10, to: 12, utilisation: 0.833_333_333 },
  'moorings:pool:invalidated': { how: 'evict', connections: 1, endpoint: 'db1:5432', id: 7 },
  'moorings:pool:closing': { leased: 1, waiting: 2, timeoutMs: 10_000 },
  'moorings:pool:closed': { tookMs: 12, destroyed: 0 },
  'moorings:health:changed': { from: 'healthy', to: 'unhealthy', reasons: ['nobody answers'] },
  'moorings:constraints:unknown': { names: ['users_emial_key'] },
  'moorings:connection:opened': { id: 7, endpoint, tookMs: 4 },
  'moorings:connection:closed': { id: 7, endpoint, reason: 'lost', ageMs: 60_000, uses: 12, error: lost },
  'moorings:connection:checked': { id: 7, why: 'keepalive', tookMs: 1, error: undefined },
  'moorings:connection:reset': { id: 7, tookMs: 1, error: undefined },
  'moorings:connect:failed': {
    error: new ConnectError('refused', { code: 'ECONNREFUSED' }),
    retryInMs: 50,
    again: false,
  },
  'moorings:endpoint:moved': { from: 'a:5432', to: 'b:5432' },
  'moorings:endpoint:changed': { endpoint: 'a:5432', from: 'primary', to: 'read-only' },
  'moorings:replica:changed': { replica: 'replica 1', from: 'fit', to: 'lagging', lagMs: 12_000 },
  'moorings:pooler:found': { endpoint: 'db1:6432' },
  'moorings:prepare:disabled': { endpoint: 'db1:6432', error: lost },
  'moorings:rollback:failed': { id: 7, error: lost },
  'moorings:transaction:retried': { attempt: 1, error: lost, delayMs: 120 },
  'moorings:statement:resent': { id: 7, attempt: 1, error: lost },
  'moorings:commit:resolved': { transactionId: '4711', outcome: 'committed', tookMs: 8, error: undefined },
  'moorings:after:failed': { after: 'committed', error: new StatementError('no') },
  'moorings:root:used': { attempt: 1 },
  'moorings:session:expired': { session: 'import', id: 7, ageMs: 1_800_000, inTransaction: true },
  'moorings:session:long': { session: undefined, id: 7, forMs: 30_000, inTransaction: false },
  'moorings:liveness:asked': {
    endpoint: 'db1:5432',
    connections: 2,
    states: { working: 1, idle: 1, gone: 0, unreachable: 0, unknown: 0 },
    tookMs: 9,
  },
  'moorings:liveness:lost': { id: 7, endpoint, state: 'gone', waitedMs: 10_009, error: lost },
  'moorings:hook:failed': { hook: 'afterConnect', id: 7, error: new HookError('afterConnect', 'threw: no') },
  'moorings:breaker:opened': {
    breaker: 'db1:5432',
    kind: 'database',
    byHand: false,
    again: false,
    retryInMs: 1_000,
    lastError: { name: 'ConnectError', code: 'ECONNREFUSED' },
  },
  'moorings:breaker:half-opened': { breaker: 'db1:5432', kind: 'database', openMs: 1_000 },
  'moorings:breaker:closed': { breaker: 'db1:5432', kind: 'database', byHand: false, openMs: 1_020 },
  'moorings:lease:taken': { id: 7, waitedMs: 0 },
  'moorings:lease:returned': { id: 7, heldMs: 3 },
  'moorings:acquire:queued': { waiting: 4 },
  'moorings:acquire:failed': { error: new StatementError('no'), waitedMs: 30_000 },
  'moorings:leak:found': { id: 7, heldMs: 300_000, stack: 'at checkout (orders.ts:1:1)' },
  'moorings:leak:returned': { id: 7, heldMs: 400_000, stack: undefined },
  'moorings:leak:reclaimed': { id: 7, heldMs: 300_000, stack: 'at checkout (orders.ts:1:1)' },
}

const names = Object.keys(sampleOf) as EventName[]
const ofEveryStatement: EventName[] = ['moorings:lease:taken', 'moorings:lease:returned', 'moorings:acquire:queued']

function publishSample<Name extends EventName>(name: Name, of = identity, more: object = {}): void {
  publish(name, of, () => ({ ...sampleOf[name], ...more }))
}

const stops: (() => void)[] = []
const warnings = () => emitWarning.mock.calls.map(([message, options]) => ({ message: String(message), options }))
const emitWarning = jest.spyOn(process, 'emitWarning')

beforeEach(() => {
  emitWarning.mockReset()
})

afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

function logging(logger: Logger, of = identity): () => void {
  const stop = logEvents(of, logger)
  stops.push(stop)
  return stop
}

/** The one line that the event makes. */
function lineOf<Name extends EventName>(name: Name, details: EventDetails[Name]): Line {
  const memory = new Memory('debug')
  const stop = logging(memory)
  publish(name, identity, () => details)
  stop()
  const [line] = memory.lines
  if (line === undefined || memory.lines.length > 1) throw new Error(`${memory.lines.length} lines`)
  return line
}

describe('a line', () => {
  it('is there for every event that events.ts names', () => {
    const source = readFileSync(new URL('./events.ts', import.meta.url), 'utf8')
    const declared = [...source.matchAll(/^ {2}'(moorings:[a-z:-]+)':/gm)].map((match) => match[1])
    expect(declared.length).toBeGreaterThan(20)
    const memory = new Memory('debug')
    logging(memory)
    for (const name of names) publishSample(name)
    expect(memory.lines.map(({ fields }) => fields.event)).toEqual(declared)
  })

  it.each(names)('of %s says which event and which pool, and has a sentence', (name) => {
    const { fields, message } = lineOf(name, sampleOf[name])
    expect(fields).toMatchObject({ event: name, pool: 'orders', poolId: 9_001 })
    expect(message).toMatch(/^(A|The|Connections) [\w ,-]+$/)
    for (const value of Object.values(fields)) expect(value).toBeDefined()
  })

  it('has flat fields of stable names', () => {
    const fieldsOf = Object.fromEntries(
      names.map((name) => {
        const { event: _event, pool: _pool, poolId: _poolId, ...own } = lineOf(name, sampleOf[name]).fields
        return [name, own]
      }),
    )
    const connection = 7
    expect(fieldsOf).toEqual({
      'moorings:pool:started': { min: 2, max: 10, overflow: 5 },
      'moorings:pool:suspended': { refuseAfterMs: 5_000 },
      'moorings:pool:resumed': { suspendedMs: 1_234.568, waiting: 3 },
      'moorings:pool:resized': { min: 2, minIdle: 1, max: 20, overflow: 0 },
      'moorings:pool:scaled': { from: 10, to: 12, utilisation: 0.833 },
      'moorings:pool:invalidated': { how: 'evict', connections: 1, endpoint: 'db1:5432', connection },
      'moorings:pool:closing': { leased: 1, waiting: 2, timeoutMs: 10_000 },
      'moorings:pool:closed': { tookMs: 12, destroyed: 0 },
      'moorings:health:changed': { from: 'healthy', to: 'unhealthy', reasons: ['nobody answers'] },
      'moorings:constraints:unknown': { names: ['users_emial_key'] },
      'moorings:pooler:found': { endpoint: 'db1:6432' },
      'moorings:prepare:disabled': { endpoint: 'db1:6432', error: lostFields },
      'moorings:connection:opened': { connection, endpoint: 'db1:5432', tookMs: 4 },
      'moorings:connection:closed': {
        connection,
        endpoint: 'db1:5432',
        reason: 'lost',
        ageMs: 60_000,
        uses: 12,
        error: lostFields,
      },
      'moorings:connection:checked': { connection, why: 'keepalive', tookMs: 1 },
      'moorings:connection:reset': { connection, tookMs: 1 },
      'moorings:connect:failed': {
        retryInMs: 50,
        again: false,
        error: { name: 'ConnectError', code: 'ECONNREFUSED', message: 'refused', retry: 'reconnect' },
      },
      'moorings:endpoint:moved': { from: 'a:5432', to: 'b:5432' },
      'moorings:endpoint:changed': { endpoint: 'a:5432', from: 'primary', to: 'read-only' },
      'moorings:replica:changed': { replica: 'replica 1', from: 'fit', to: 'lagging', lagMs: 12_000 },
      'moorings:rollback:failed': { connection, error: lostFields },
      'moorings:transaction:retried': { attempt: 1, delayMs: 120, error: lostFields },
      'moorings:statement:resent': { connection, attempt: 1, sent: true, error: lostFields },
      'moorings:commit:resolved': { transactionId: '4711', outcome: 'committed', tookMs: 8 },
      'moorings:after:failed': {
        after: 'committed',
        error: { name: 'StatementError', message: 'no', retry: 'never' },
      },
      'moorings:root:used': { attempt: 1 },
      'moorings:session:expired': { session: 'import', connection, ageMs: 1_800_000, inTransaction: true },
      'moorings:session:long': { connection, forMs: 30_000, inTransaction: false },
      'moorings:liveness:asked': {
        ...{ endpoint: 'db1:5432', connections: 2, tookMs: 9 },
        ...{ working: 1, idle: 1, gone: 0, unreachable: 0, unknown: 0 },
      },
      'moorings:liveness:lost': {
        connection,
        endpoint: 'db1:5432',
        state: 'gone',
        waitedMs: 10_009,
        error: lostFields,
      },
      'moorings:hook:failed': {
        hook: 'afterConnect',
        connection,
        error: { name: 'HookError', message: 'The afterConnect hook threw: no', retry: 'never' },
      },
      'moorings:breaker:opened': {
        breaker: 'db1:5432',
        kind: 'database',
        byHand: false,
        again: false,
        retryInMs: 1_000,
        error: { name: 'ConnectError', code: 'ECONNREFUSED' },
      },
      'moorings:breaker:half-opened': { breaker: 'db1:5432', kind: 'database', openMs: 1_000 },
      'moorings:breaker:closed': { breaker: 'db1:5432', kind: 'database', byHand: false, openMs: 1_020 },
      'moorings:lease:taken': { connection, waitedMs: 0 },
      'moorings:lease:returned': { connection, heldMs: 3 },
      'moorings:acquire:queued': { waiting: 4 },
      'moorings:acquire:failed': {
        waitedMs: 30_000,
        error: { name: 'StatementError', message: 'no', retry: 'never' },
      },
      'moorings:leak:found': { connection, heldMs: 300_000, stack: 'at checkout (orders.ts:1:1)' },
      'moorings:leak:returned': { connection, heldMs: 400_000 },
      'moorings:leak:reclaimed': { connection, heldMs: 300_000, stack: 'at checkout (orders.ts:1:1)' },
    })
  })

  it('tells an outage once, and not with every probe that fails, and who made the breaker do what it did', () => {
    const opened = sampleOf['moorings:breaker:opened']
    const again = lineOf('moorings:breaker:opened', { ...opened, again: true })
    expect(again).toMatchObject({ level: 'debug', message: 'A breaker stays open' })
    const byHand = lineOf('moorings:breaker:opened', { ...opened, byHand: true })
    expect(byHand).toMatchObject({ level: 'warn', message: 'A breaker opened by hand' })
    const connect = lineOf('moorings:connect:failed', { ...sampleOf['moorings:connect:failed'], again: true })
    expect(connect).toMatchObject({ level: 'debug', message: 'A connection could still not be made' })
  })

  it('tells that a breaker is open once, and not with every caller that it sends away', () => {
    const cause = new ConnectError('refused')
    const error = new CircuitOpenError('db1:5432', { sinceMs: 1_000, retryInMs: 500, byHand: false, cause })
    expect(lineOf('moorings:acquire:failed', { error, waitedMs: 0 })).toMatchObject({ level: 'debug' })
  })

  it('tells what failed of a check and a reset', () => {
    const failed = { id: 7, tookMs: 2_000, error: lost }
    const checked = lineOf('moorings:connection:checked', { ...failed, why: 'acquire' })
    expect(checked.fields).toMatchObject({ why: 'acquire', error: lostFields })
    expect(checked.message).not.toBe(
      lineOf('moorings:connection:checked', { ...failed, why: 'acquire', error: undefined }).message,
    )
    const reset = lineOf('moorings:connection:reset', failed)
    expect(reset.fields).toMatchObject({ error: lostFields })
    expect(reset.message).not.toBe(lineOf('moorings:connection:reset', { ...failed, error: undefined }).message)
  })
})

describe('the level', () => {
  it.each<[Level, EventName[]]>([
    [
      'error',
      [
        'moorings:health:changed',
        'moorings:rollback:failed',
        'moorings:after:failed',
        'moorings:session:expired',
        'moorings:leak:found',
      ],
    ],
    [
      'warn',
      [
        'moorings:pool:suspended',
        'moorings:constraints:unknown',
        'moorings:connection:closed',
        'moorings:connect:failed',
        'moorings:endpoint:moved',
        'moorings:endpoint:changed',
        'moorings:replica:changed',
        'moorings:prepare:disabled',
        'moorings:commit:resolved',
        'moorings:root:used',
        'moorings:session:long',
        'moorings:liveness:lost',
        'moorings:hook:failed',
        'moorings:breaker:opened',
        'moorings:acquire:failed',
        'moorings:leak:reclaimed',
      ],
    ],
    [
      'info',
      [
        'moorings:pool:started',
        'moorings:pool:resumed',
        'moorings:pool:resized',
        'moorings:pool:scaled',
        'moorings:pool:invalidated',
        'moorings:pool:closing',
        'moorings:pool:closed',
        'moorings:pooler:found',
        'moorings:transaction:retried',
        'moorings:statement:resent',
        'moorings:breaker:closed',
        'moorings:leak:returned',
      ],
    ],
    [
      'debug',
      [
        'moorings:connection:opened',
        'moorings:connection:checked',
        'moorings:connection:reset',
        'moorings:liveness:asked',
        'moorings:breaker:half-opened',
        ...ofEveryStatement,
      ],
    ],
  ])('is %s for what deserves it', (level, expected) => {
    expect(names.filter((name) => lineOf(name, sampleOf[name]).level === level)).toEqual(expected)
  })

  it.each<[CloseReason, Level]>([
    ['lost', 'warn'],
    ['destroyed', 'warn'],
    ['invalid', 'warn'],
    ['unfit', 'warn'],
    ['reclaimed', 'warn'],
    ['overflow', 'debug'],
    ['lifetime', 'debug'],
    ['uses', 'debug'],
    ['worn', 'debug'],
    ['idle', 'debug'],
    ['epoch', 'debug'],
    ['evicted', 'debug'],
    ['hook', 'debug'],
    ['closing', 'debug'],
  ])('of a connection that left because of %s is %s', (reason, level) => {
    const line = lineOf('moorings:connection:closed', { ...sampleOf['moorings:connection:closed'], reason })
    expect(line).toMatchObject({ level, fields: { reason } })
  })

  it.each<[HealthStatus | undefined, HealthStatus, Level]>([
    ['healthy', 'unhealthy', 'error'],
    [undefined, 'unhealthy', 'error'],
    ['unhealthy', 'degraded', 'warn'],
    ['unhealthy', 'healthy', 'info'],
    ['degraded', 'healthy', 'info'],
    [undefined, 'healthy', 'debug'],
  ])('of health going from %s to %s is %s', (from, to, level) => {
    const line = lineOf('moorings:health:changed', { from, to, reasons: [] })
    expect(line).toMatchObject({ level, message: `The pool is ${to}` })
  })

  it('of a close that took connections from those who used them is warn', () => {
    expect(lineOf('moorings:pool:closed', { tookMs: 10_000, destroyed: 2 })).toMatchObject({
      level: 'warn',
      fields: { destroyed: 2 },
    })
  })
})

describe('what happens with every statement', () => {
  const subscribed = () => ofEveryStatement.filter((name) => channel(name).hasSubscribers)

  it('is logged when the logger says that debug is on', () => {
    const memory = new Memory('debug')
    logging(memory)
    for (const name of ofEveryStatement) publishSample(name)
    expect(memory.lines.map(({ fields }) => fields.event)).toEqual(ofEveryStatement)
  })

  it.each<[string, Level | undefined]>([
    ['says that debug is off', 'info'],
    ['does not say what it writes', undefined],
  ])('is not even built when the logger %s', (_, level) => {
    const memory = new Memory(level)
    logging(memory)
    expect(subscribed()).toEqual([])
    for (const name of names) publishSample(name)
    expect(memory.lines).toHaveLength(names.length - ofEveryStatement.length)
  })

  it('is not built when the logger cannot say', () => {
    const memory = new Memory()
    memory.isLevelEnabled = () => {
      throw new TypeError('hunter2')
    }
    logging(memory)
    expect(subscribed()).toEqual([])
    publishSample('moorings:pool:started')
    expect(memory.lines).toHaveLength(1)
    expect(warnings()).toHaveLength(1)
    expect(JSON.stringify(warnings())).not.toContain('hunter2')
  })
})

describe('a pool', () => {
  it('does not hear another one of the same name', () => {
    const [ours, theirs] = [new Memory('debug'), new Memory('debug')]
    logging(ours)
    logging(theirs, twin)
    for (const name of names) publishSample(name)
    expect(ours.lines).toHaveLength(names.length)
    expect(theirs.lines).toEqual([])
    publishSample('moorings:pool:started', twin)
    expect(theirs.lines).toHaveLength(1)
    expect(theirs.lines[0]?.fields.poolId).toBe(9_002)
  })

  it('is not disturbed by what strangers publish on its channels', async () => {
    const memory = new Memory('debug')
    logging(memory)
    for (const foreign of [undefined, null, 1, 'text', {}, []]) channel('moorings:pool:started').publish(foreign)
    await setImmediate()
    expect(memory.lines).toEqual([])
    expect(warnings()).toEqual([])
  })

  it('leaves no subscriber behind when it stops, and may stop twice', () => {
    const memory = new Memory('debug')
    const stop = logging(memory)
    const still = () => names.filter((name) => channel(name).hasSubscribers)
    expect(still()).toEqual(names)
    stop()
    stop()
    expect(still()).toEqual([])
    for (const name of names) publishSample(name)
    expect(memory.lines).toEqual([])
  })

  it('leaves others’ subscribers where they are', () => {
    const listener = jest.fn()
    subscribe('moorings:pool:started', listener)
    const [ours, theirs] = [new Memory(), new Memory()]
    const stop = logging(ours)
    logging(theirs, twin)
    stop()
    publishSample('moorings:pool:started', twin)
    expect(listener).toHaveBeenCalledTimes(1)
    expect(theirs.lines).toHaveLength(1)
    unsubscribe('moorings:pool:started', listener)
  })
})

describe('secrets', () => {
  const url = 'postgres://app:hunter2@db/shop'
  const secretError = () =>
    new ConnectError(`cannot use ${url} nor password=hunter2`, {
      code: 'ECONNREFUSED',
      cause: Object.assign(new Error(`hunter2 ${url}`), { detail: 'hunter2', parameters: ['hunter2'] }),
    })

  it('never come out, wherever they stood', () => {
    const memory = new Memory('debug')
    const secretive = { pool: url, poolId: identity.poolId }
    logging(memory, secretive)
    const error = secretError()
    const counts = { idle: 0, leased: 1, connecting: 0, waiting: 1, max: 1, overflow: 0 }
    const secrets = {
      ...{ error, stack: `Error: ${url}\n    at x`, reasons: [url, `password='hunter2'`] },
      ...{ endpoint: { host: `x://u:hunter2@h`, port: 1 } },
    }
    for (const name of names) publishSample(name, secretive, secrets)
    publish('moorings:pool:invalidated', secretive, () => ({ how: 'evict', connections: 1, endpoint: url }))
    publish('moorings:acquire:failed', secretive, () => ({
      error: new AcquireTimeoutError(5, counts, [], error),
      waitedMs: 5,
    }))
    expect(memory.lines).toHaveLength(names.length + 2)
    const text = JSON.stringify(memory.lines)
    expect(text).not.toContain('hunter2')
    expect(text).toContain('postgres://app:***@db/shop nor password=***')
  })

  it('of an error only name, code, message and advice come out', () => {
    const error = Object.assign(secretError(), { parameters: ['hunter2'], query: 'hunter2' })
    const line = lineOf('moorings:connect:failed', { error, retryInMs: 1, again: false })
    expect(line.fields.error).toEqual({
      name: 'ConnectError',
      code: 'ECONNREFUSED',
      message: 'cannot use postgres://app:***@db/shop nor password=***',
      retry: 'reconnect',
    })
  })

  it('added to an event are not in its line', () => {
    const more = { ...sampleOf['moorings:connection:opened'], parameters: ['hunter2'] }
    expect(JSON.stringify(lineOf('moorings:connection:opened', more))).not.toContain('hunter2')
  })
})

describe('a logger that fails', () => {
  const failing = (fail: () => unknown): Logger => ({ debug: fail, info: fail, warn: fail, error: fail })
  const throwing = () => {
    throw new TypeError('postgres://app:hunter2@db')
  }

  it.each<[string, () => unknown]>([
    ['throws', throwing],
    ['rejects', async () => throwing()],
    [
      'throws what is no error',
      () => {
        throw 'postgres://app:hunter2@db'
      },
    ],
  ])('because it %s is reported once, and breaks nothing', async (_, fail) => {
    const named = { pool: 'postgres://app:hunter2@db', poolId: identity.poolId }
    logging(failing(fail), named)
    const other = new Memory()
    logging(other)
    for (const name of names) expect(() => publishSample(name, named)).not.toThrow()
    // What went uncaught would fail this test by then.
    await setImmediate()
    expect(warnings()).toEqual([
      {
        message: expect.stringMatching(
          /^The logger of pool postgres:.* failed with .* when given moorings:pool:started/,
        ),
        options: { code: 'MOORINGS_LOGGER' },
      },
    ])
    expect(JSON.stringify(warnings())).not.toContain('hunter2')
    expect(other.lines.length).toBeGreaterThan(15)
  })

  it('is given the next line all the same', () => {
    const memory = new Memory()
    let failures = 0
    memory.info = () => {
      failures++
      throw new Error('no')
    }
    logging(memory)
    publishSample('moorings:pool:started')
    publishSample('moorings:pool:closed')
    publishSample('moorings:connect:failed')
    expect(failures).toBe(2)
    expect(memory.lines).toHaveLength(1)
    expect(warnings()).toHaveLength(1)
  })
})
