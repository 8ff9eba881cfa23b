// Whether the pool does its work: a verdict from what a question to the database brought and from what has happened since
// the last one, with reasons a person can act on.

import type { Connection } from '../driver.js'
import { AcquireTimeoutError, AuthenticationError, ConnectError, type MooringsError } from '../errors.js'
import { type HealthStatus, publish } from '../events.js'
import type { Resilience } from '../options.js'
import { unanswered } from './farewells.js'
import type { Lease } from './lease.js'
import type { Lending } from './lending.js'
import type { AcquireOptions, PoolHealth, PoolSetup, PoolStats } from './setup.js'

/** What it asks of the pool. */
export interface Asked<C extends Connection> {
  stats(): PoolStats
  lease(body: (lease: Lease<C>) => Promise<void>, options: AcquireOptions): Promise<void>
}

/** Asks, judges, and remembers the last verdict, so that a change can be told. */
export class HealthWatch<C extends Connection> {
  readonly #lending: Lending<C>
  readonly #setup: PoolSetup<C>
  readonly #pool: Asked<C>
  #before: Totals = { timeouts: 0, refused: 0, connectFailures: 0 }
  #status: HealthStatus | undefined

  constructor(lending: Lending<C>, setup: PoolSetup<C>, pool: Asked<C>) {
    this.#lending = lending
    this.#setup = setup
    this.#pool = pool
  }

  /** What the last check said. */
  get status(): HealthStatus | undefined {
    return this.#status
  }

  async check(): Promise<PoolHealth> {
    const { state, closed } = this.#lending.lifecycle
    const asks = state !== 'suspended' && !closed
    // Its own wait is no caller's.
    const before = this.#pool.stats()
    const probe = asks ? await this.#probe() : {}
    return this.#note(probe, before)
  }

  /** Within its time as a whole, whatever takes long. */
  async #probe(): Promise<Probe> {
    const { deadlines, driver, resilience } = this.#setup
    const { timeoutMs } = resilience.health
    const until = deadlines.clock.now() + timeoutMs
    try {
      const probe = async (signal: AbortSignal) => (await this.#askResting()) ?? (await this.#ask(until, signal))
      return await deadlines.limit(timeoutMs, unanswered, probe)
    } catch (error) {
      return { error: driver.classify(error, 'statement') }
    }
  }

  /** From time to time: without opening a connection for it, and without taking one from a caller. */
  async checkQuietly(): Promise<void> {
    const { lifecycle, roster, waiters, connector } = this.#lending
    const probe = lifecycle.running ? await this.#askResting() : undefined
    const unused = roster.size === 0 && waiters.size === 0 && connector.lastError === undefined
    const down = roster.size === 0 ? connector.lastError : undefined
    if (!lifecycle.closed && !unused) this.#note(probe ?? { error: down })
  }

  /** Through a connection that rests, and goes on resting. Undefined when there is none, or it was dead. */
  async #askResting(): Promise<Probe | undefined> {
    const { clock } = this.#setup.deadlines
    const entry = this.#lending.roster.wake()
    if (entry === undefined) return undefined
    const startedAt = clock.now()
    const error = await this.#lending.checks.keepalive(entry)
    return error === undefined ? { latencyMs: clock.now() - startedAt } : undefined
  }

  async #ask(until: number, signal: AbortSignal): Promise<Probe> {
    const { deadlines } = this.#setup
    const leftMs = () => Math.max(1, Math.floor(until - deadlines.clock.now()))
    const startedAt = deadlines.clock.now()
    const ask = ({ connection }: Lease<C>) => deadlines.limit(leftMs(), unanswered, (signal) => connection.ping(signal))
    // Why no connection was had says more than that the time is over, so it comes first.
    await this.#pool.lease(ask, { timeoutMs: Math.ceil(leftMs() * 0.8), signal, patient: true })
    return { latencyMs: deadlines.clock.now() - startedAt }
  }

  #note(probe: Probe, totals: Totals = this.#pool.stats()): PoolHealth {
    const since = difference(totals, this.#before)
    const health = judge(this.#pool.stats(), probe, since, this.#setup.resilience)
    const from = this.#status
    const { status: to, reasons } = health
    const { timeouts, refused, connectFailures } = health.stats
    this.#before = { timeouts, refused, connectFailures }
    this.#status = to
    if (from !== to) publish('moorings:health:changed', this.#lending.identity, () => ({ from, to, reasons }))
    return health
  }
}

/** What came of asking the database; neither when nobody was asked. */
export interface Probe {
  readonly latencyMs?: number | undefined
  readonly error?: MooringsError | undefined
}

interface Finding {
  readonly status: HealthStatus
  readonly reason: string
  readonly recommendation?: string
}

type Totals = Pick<PoolStats, 'timeouts' | 'refused' | 'connectFailures'>

function difference(now: Totals, before: Totals): Totals {
  return {
    timeouts: now.timeouts - before.timeouts,
    refused: now.refused - before.refused,
    connectFailures: now.connectFailures - before.connectFailures,
  }
}

/** @param since what has failed since the last check */
function judge(stats: PoolStats, probe: Probe, since: Totals, options: Resilience): PoolHealth {
  const findings = [
    ...ofState(stats),
    ...ofProbe(probe, options.health.timeoutMs),
    ...ofCallers(stats, since, options),
    ...ofConnecting(stats, since, probe),
  ]
  const status = findings.some((finding) => finding.status === 'unhealthy')
    ? 'unhealthy'
    : findings.length > 0
      ? 'degraded'
      : 'healthy'
  return {
    status,
    reasons: findings.map(({ reason }) => reason),
    recommendations: findings.flatMap(({ recommendation }) => recommendation ?? []),
    latencyMs: probe.latencyMs,
    error: probe.error,
    stats: { ...stats, health: status },
  }
}

function* ofState({ state }: PoolStats): Generator<Finding> {
  if (state === 'closing' || state === 'closed') yield { status: 'unhealthy', reason: 'the pool is closed' }
  if (state === 'suspended') {
    yield { status: 'degraded', reason: 'the pool is suspended', recommendation: 'call resume() when the work is done' }
  }
}

function* ofProbe({ latencyMs, error }: Probe, timeoutMs: number): Generator<Finding> {
  if (latencyMs !== undefined && latencyMs > timeoutMs / 2) {
    yield {
      status: 'degraded',
      reason: `the database took ${Math.round(latencyMs)} ms to answer`,
      recommendation: 'look at the load of the server and of the network between',
    }
  }
  if (error === undefined) return
  const cause = error instanceof AcquireTimeoutError ? error.cause : error
  // Every connection is lent, or refused by the application itself: the database may be well.
  const lent = !(error instanceof AcquireTimeoutError) || error.pool.leased >= error.pool.max + error.pool.overflow
  if (lent && (cause === undefined || (error.kind === 'acquire' && cause === error))) {
    yield {
      status: 'degraded',
      reason:
        error instanceof AcquireTimeoutError
          ? `no connection came free within ${Math.round(error.waitedMs)} ms to ask the database`
          : `no connection was to be had to ask the database: ${error.message}`,
      recommendation: 'raise resilience.pool.max, or shorten what holds connections',
    }
    return
  }
  const recommendation =
    cause instanceof AuthenticationError
      ? 'check user, password and database of the connection'
      : cause instanceof ConnectError
        ? 'check that the server runs and can be reached from here'
        : 'look at the server: it took the connection but did not answer'
  yield { status: 'unhealthy', reason: `the database did not answer: ${error.message}`, recommendation }
}

function* ofCallers(stats: PoolStats, since: Totals, { pool }: Resilience): Generator<Finding> {
  const { leased, waiting, max, overflow, leaks, wait } = stats
  if (waiting > 0 && leased >= max + overflow) {
    yield {
      status: 'degraded',
      reason: `all ${leased} connections are lent and ${waiting} callers wait`,
      recommendation: 'raise resilience.pool.max, or shorten what holds connections',
    }
  }
  if (since.timeouts > 0) {
    yield { status: 'degraded', reason: `${since.timeouts} callers got no connection in time since the last check` }
  }
  if (since.refused > 0) {
    yield { status: 'degraded', reason: `${since.refused} callers were refused since the last check` }
  }
  if (wait.p95 > pool.acquireTimeoutMs / 2) {
    yield { status: 'degraded', reason: `of twenty callers one waits ${Math.round(wait.p95)} ms for a connection` }
  }
  if (leaks.now > 0) {
    yield {
      status: 'degraded',
      reason: `${leaks.now} leases are held for longer than ${pool.leakAfterMs} ms`,
      recommendation: 'subscribe to moorings:leak:found, or set a logger: it tells where they were taken',
    }
  }
}

/** What the probe itself has said is not said again. */
function* ofConnecting({ lastConnectError }: PoolStats, since: Totals, probe: Probe): Generator<Finding> {
  if (since.connectFailures === 0 || lastConnectError === undefined || probe.error !== undefined) return
  yield {
    status: 'degraded',
    reason: `${since.connectFailures} connects failed since the last check: ${lastConnectError.message}`,
    recommendation: 'check that the server runs, and that it allows so many connections',
  }
}
