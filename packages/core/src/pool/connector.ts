// Makes connections, one attempt each: with a deadline that holds even if the driver hangs, and a back-off between
// failing rounds so that a database which is down is not hammered.

import { AsyncResource } from 'node:async_hooks'
import { backoffDelay, connectBackoff } from '../backoff.js'
import type { Timer } from '../clock.js'
import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver } from '../driver.js'
import type { Endpoints } from '../endpoints/endpoints.js'
import { CircuitOpenError, ConnectError, isMooringsError, type MooringsError } from '../errors.js'
import { type PoolIdentity, publish } from '../events.js'
import type { Resilience } from '../options.js'
import type { Farewells } from './farewells.js'
import type { HookCalls } from './hook-calls.js'

/** A connection that does not live as long was not really made: connecting again at once would be a hot loop. */
const YOUNG_MS = 100

/** How long a single attempt is waited for while servers do not answer, before another one is begun beside it. */
const SCOUT_MS = 500

/** A connect that takes longer may be hanging: from another continent it takes a second or two. */
const HANG_MS = 3_000

export interface ConnectorOptions<C extends Connection> {
  readonly pool: PoolIdentity
  readonly hooks: HookCalls
  readonly farewells: Farewells
  readonly driver: Driver<C>
  readonly endpoints: Endpoints<C>
  readonly options: Resilience['pool']
  readonly deadlines: Deadlines
  readonly random: () => number
  readonly arrived: (connection: C, epoch: number, tookMs: number) => void
  readonly failed: (error: MooringsError) => void
  /** The back-off is over. */
  readonly retry: () => void
}

export class Connector<C extends Connection> {
  readonly #options: ConnectorOptions<C>
  /** And when each was begun. */
  readonly #attempts = new Map<AbortController, number>()
  readonly #scope = new AsyncResource('moorings:connect')
  #failures = 0
  /** Failures before the last success, in case it turns out to be none; and when that was. */
  #forgiven = 0
  #forgivenAt = 0
  /** When a connection was last made. */
  #arrivedAt = Number.NEGATIVE_INFINITY
  /** When the newest attempt was begun. */
  #startedAt = 0
  #retryAt = 0
  /** The back-off is for connections that were made and turned out to be none: that another is made proves nothing. */
  #doubtful = false
  #retryTimer: Timer | undefined
  #retryTimerAt = 0
  #lastError: MooringsError | undefined
  /** The last that was told of, until a connect succeeds. */
  #told: MooringsError | undefined
  /** Attempts that failed, since the beginning. */
  failed = 0

  constructor(options: ConnectorOptions<C>) {
    this.#options = options
  }

  /** Attempts under way. */
  get size(): number {
    return this.#attempts.size
  }

  /** Whether no back-off stands in the way. */
  get ready(): boolean {
    return this.#failures === 0 || this.#options.deadlines.clock.now() >= this.#retryAt
  }

  /** Nobody knows whether a server answers: the last attempt failed, or one hangs and none has arrived since. */
  get searching(): boolean {
    const [oldest] = this.#attempts.values()
    if (oldest === undefined) return false
    if (!this.#options.endpoints.certain) return true
    return oldest > this.#arrivedAt && this.#options.deadlines.clock.now() - oldest >= SCOUT_MS
  }

  /** Then one attempt finds out for all, and another if that hangs. */
  get scouting(): boolean {
    return this.searching && this.#options.deadlines.clock.now() - this.#startedAt < SCOUT_MS
  }

  /** The last failure to connect, forgotten once a connect succeeds. */
  get lastError(): MooringsError | undefined {
    return this.#lastError
  }

  /**
   * When every place is taken by a connect that hangs, one of them makes room for another: not the oldest, which may be
   * slow and no more.
   */
  makeRoom(): boolean {
    const [, next] = this.#attempts.keys()
    const [oldest = 0] = this.#attempts.values()
    if (next === undefined || !this.searching || this.scouting) return false
    if (this.#options.deadlines.clock.now() - oldest < HANG_MS) return false
    this.#attempts.delete(next)
    // Its time was not over, but it says as much: that nobody answers.
    next.abort(new ConnectError(`No connection to the database within ${HANG_MS} ms, and others are tried instead`))
    return true
  }

  /** In nobody's async context: the connection outlives whoever it is made for. */
  attempt(epoch: number): void {
    this.#scope.runInAsyncScope(() => this.#attempt(epoch))
  }

  #attempt(epoch: number): void {
    const { driver, options, deadlines } = this.#options
    const { clock } = deadlines
    const timeoutMs = options.connectTimeoutMs
    const abort = new AbortController()
    const startedAt = clock.now()
    this.#startedAt = startedAt
    this.#attempts.set(abort, startedAt)

    // The slot is freed by whichever comes first; what comes later is thrown away.
    const settle = (): boolean => {
      deadlines.delete(deadline)
      return this.#attempts.delete(abort)
    }
    const deadline = deadlines.add(timeoutMs, () => {
      if (!settle()) return
      const error = new ConnectError(`No connection to the database within ${timeoutMs} ms (connectTimeoutMs)`)
      abort.abort(error)
      this.#fail(error)
    })
    this.#connect(abort.signal, epoch).then(
      (connection) => {
        if (settle()) this.#succeed(connection, epoch, startedAt)
        else connection.destroy(new ConnectError('The connection came after its deadline'))
      },
      (error: unknown) => {
        if (settle()) this.#fail(driver.classify(error, 'connect'))
      },
    )
  }

  async #connect(signal: AbortSignal, epoch: number): Promise<C> {
    const { endpoints, hooks } = this.#options
    const credentials = await hooks.credentials(signal)
    if (signal.aborted) throw signal.reason
    const connection = await endpoints.connect({ signal, epoch, credentials })
    if (signal.aborted) {
      connection.destroy(new ConnectError('The connection came after its deadline'))
      throw signal.reason
    }
    if (hooks.setsUp) await this.#setUp(connection, signal)
    return connection
  }

  /** Nobody else hears of its end until it is in the pool. */
  async #setUp(connection: C, signal: AbortSignal): Promise<void> {
    const { driver, hooks, farewells } = this.#options
    const gone = new AbortController()
    const lost = new Promise<never>((_, reject) => {
      connection.onLost((reason) => {
        gone.abort(reason)
        reject(new ConnectError(reason.message, { code: reason.code, cause: reason }))
      })
    })
    const giveUp = (reason: MooringsError) => {
      // The server would go on with what a hook has begun.
      if (connection.activity !== 'idle') farewells.cancel(connection)
      connection.destroy(reason)
    }
    const late = () => giveUp(new ConnectError('The connection was not set up before its deadline'))
    signal.addEventListener('abort', late, { once: true })
    try {
      await Promise.race([hooks.setUp(connection, gone.signal), lost])
    } catch (error) {
      giveUp(driver.classify(error, 'connect'))
      throw error
    } finally {
      signal.removeEventListener('abort', late)
    }
  }

  /** Calls `retry` when the back-off ends. */
  retryLater(): void {
    const at = Math.max(this.#retryAt, this.#attempts.size > 0 ? this.#startedAt + SCOUT_MS : 0)
    if (this.#retryTimer !== undefined && this.#retryTimerAt <= at) return
    const { deadlines, retry } = this.#options
    const { clock } = deadlines
    this.#retryTimer?.cancel()
    this.#retryTimerAt = at
    this.#retryTimer = clock.setTimer(
      () => {
        this.#retryTimer = undefined
        retry()
      },
      Math.max(1, Math.ceil(at - clock.now())),
    )
    // Whoever waits keeps the process alive; refilling an idle pool does not.
    this.#retryTimer.unref()
  }

  #cancelRetry(): void {
    this.#retryTimer?.cancel()
    this.#retryTimer = undefined
  }

  /** Gives up on everything under way. */
  abort(reason: MooringsError): void {
    this.#cancelRetry()
    for (const attempt of this.#attempts.keys()) {
      this.#attempts.delete(attempt)
      attempt.abort(reason)
    }
  }

  /** A connection that was lost as soon as it was made is the same as one that could not be made. */
  lost(error: MooringsError, livedMs: number): void {
    if (livedMs >= YOUNG_MS) return
    const { deadlines, random } = this.#options
    const { clock } = deadlines
    this.#failures = Math.max(this.#failures, this.#forgiven)
    if (this.ready) this.#retryAt = clock.now() + backoffDelay(connectBackoff, ++this.#failures, random)
    this.#doubtful = true
    // Whatever is thought of the connection that was made, the next may do.
    this.#lastError = error.retry === 'never' ? new ConnectError(error.message, { cause: error }) : error
  }

  #succeed(connection: C, epoch: number, startedAt: number): void {
    const tookMs = this.#options.deadlines.clock.now() - startedAt
    this.#arrivedAt = startedAt + tookMs
    this.#dropOvertaken(startedAt)
    if (this.#attempts.size === 0 && this.ready) this.#cancelRetry()
    if (!this.#doubtful || this.ready) this.#forgive()
    const { id, endpoint } = connection
    publish('moorings:connection:opened', this.#options.pool, () => ({ id, endpoint, tookMs }))
    this.#options.arrived(connection, epoch, tookMs)
  }

  /** Those begun long before one that has arrived went where nobody answers: their places are needed. */
  #dropOvertaken(startedAt: number): void {
    for (const [attempt, at] of this.#attempts) {
      if (startedAt - at < SCOUT_MS) continue
      this.#attempts.delete(attempt)
      attempt.abort()
    }
  }

  #forgive(): void {
    const now = this.#options.deadlines.clock.now()
    if (this.#failures > 0) {
      this.#forgiven = this.#failures
      this.#forgivenAt = now
    } else if (now - this.#forgivenAt >= YOUNG_MS) {
      // Whatever was made then has lived.
      this.#forgiven = 0
    }
    this.#failures = 0
    this.#lastError = undefined
    this.#told = undefined
    this.#doubtful = false
  }

  #fail(error: MooringsError): void {
    const { deadlines, random, pool, failed } = this.#options
    const now = deadlines.clock.now()
    // What a breaker refused was no connect: that it is open was told, and would be told twice a second.
    const asked = !(error instanceof CircuitOpenError)
    if (asked) this.failed++
    // Attempts that ran side by side and failed together are one failing round, not many.
    if (this.ready) {
      const pauseMs = backoffDelay(connectBackoff, ++this.#failures, random)
      const probeMs = untilProbe(error)
      this.#retryAt = now + (probeMs ?? pauseMs)
      // It has asked nobody: the one that does need not keep its distance.
      if (probeMs !== undefined) this.#startedAt = Math.min(this.#startedAt, now - SCOUT_MS)
      this.#doubtful = false
    }
    this.#lastError = error instanceof CircuitOpenError && isMooringsError(error.cause) ? error.cause : error
    if (asked) {
      const again = this.#told?.name === error.name && this.#told.code === error.code
      this.#told = error
      publish('moorings:connect:failed', pool, () => ({ error, retryInMs: this.#retryAt - now, again }))
    }
    failed(error)
  }
}

/**
 * No server is to be asked before; and then at once: until somebody does, whoever comes anew is not refused, but waits.
 *
 * @returns undefined when nobody knows
 */
function untilProbe(error: MooringsError): number | undefined {
  if (!(error instanceof CircuitOpenError) || error.retryInMs === undefined) return undefined
  return Math.max(connectBackoff.initialDelayMs, error.retryInMs)
}
