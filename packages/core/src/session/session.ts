// A stretch of work on one connection, which it lends to one piece of work after the other: single statements may share
// it, a transaction has it alone. Between two pieces the connection may go back to the pool, where nothing is left on it.

import type { Deadline } from '../deadlines.js'
import type { Connection, SessionState } from '../driver.js'
import {
  AcquireAbortedError,
  ConnectionLostError,
  type MooringsError,
  PropagationError,
  SessionBusyError,
  SessionEndedError,
} from '../errors.js'
import { publish } from '../events.js'
import type { Home, Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { AcquireOptions } from '../pool/setup.js'
import { applicationFrame, type Taking } from '../pool/stacks.js'
import type { Ambient } from '../scope.js'
import type { TransactionScope } from '../transaction/transaction.js'
import type { ResolvedSession } from './session-options.js'
import type { SessionStats } from './session-stats.js'
import type { Source } from './source.js'
import { Turns } from './turns.js'

/** What the body of a session is told beside its handle. */
export interface SessionContext {
  /** Fires when the session can come to nothing any more: its time is up, its signal has fired, or it lost what it held. */
  readonly signal: AbortSignal
  /**
   * Tells what the last statement has left on the connection that cannot be seen from its text: a function that takes an
   * advisory lock, say. Then the session keeps its connection, and it is undone at the end.
   *
   * @throws SessionEndedError, ConnectionLostError
   */
  declare(left: SessionState): void
}

/** The session's own lease, for as long as it has one. */
interface Berth<C extends Connection> {
  readonly lease: Lease<C>
  /** Also when it is lost. */
  readonly connection: C
  /** Statements it was given before. */
  readonly before: number
}

interface Work {
  readonly alone: boolean
  readonly since: number
  /** Whether there was something on the connection that a new one would lack. */
  readonly held: boolean
  readonly long: Deadline | undefined
}

export class Session<C extends Connection = Connection> implements Source<C>, Home<C> {
  readonly #pool: Pool<C>
  readonly #options: ResolvedSession
  readonly #begunAt: number
  readonly #taking: Taking
  readonly #turns: Turns
  readonly #work = new Map<Lease<C>, Work>()
  #berth: Berth<C> | undefined
  #arriving: Promise<Berth<C> | undefined> | undefined
  #arrival: AbortController | undefined
  #idle: Deadline | undefined
  #idleSince: number
  /** Of the connections that were given back. */
  #statements = 0
  /** Why nothing goes through it any more. */
  #over: MooringsError | undefined
  #left = false
  readonly #abort = new AbortController()
  readonly context: SessionContext

  constructor(pool: Pool<C>, options: ResolvedSession, taking: Taking) {
    this.#pool = pool
    this.#options = options
    this.#taking = taking
    this.#turns = new Turns(pool.deadlines)
    this.#begunAt = pool.deadlines.clock.now()
    this.#idleSince = this.#begunAt
    this.context = { signal: this.#abort.signal, declare: (left) => this.#declare(left) }
  }

  /** Its lease, while it has one. */
  get lease(): Lease<C> | undefined {
    return this.#berth?.lease
  }

  /**
   * Whether what is done in its call chain is its business: until its body has returned. After it was made to end before
   * that, for good: what is meant for its connection must not be done on another one.
   */
  get around(): boolean {
    return !this.#left
  }

  get joinable(): Ambient<TransactionScope<C>> | undefined {
    return this.#around(false)
  }

  #around(beyond: boolean): Ambient<TransactionScope<C>> | undefined {
    return this.#pool.scopes.find(({ scope }) => scope.session === this, beyond)
  }

  // --- lending ---

  tryAcquire(): Lease<C> | undefined {
    const berth = this.#berth
    if (this.#over !== undefined || berth === undefined || !this.#turns.tryTake(false)) return undefined
    return this.#lend(berth, false)
  }

  /**
   * The connection, as soon as it is had and free: together with others that are `brief`, alone if not.
   *
   * @throws SessionBusyError, SessionExpiredError, SessionEndedError, PoolerError, ConnectionLostError, and what `pool.acquire` throws
   */
  async acquire({ signal, timeoutMs, patient, brief = false }: AcquireOptions = {}): Promise<Lease<C>> {
    this.#assertOpen()
    // It would wait for what waits for it.
    if (this.#around(true) !== undefined) {
      throw new PropagationError(
        'What steps outside of a transaction of this session cannot have its connection, which the transaction has: use the root database there',
      )
    }
    const { deadlines, resilience } = this.#pool
    const limitMs = timeoutMs ?? this.#options.acquireTimeoutMs ?? resilience.pool.acquireTimeoutMs
    const until = deadlines.clock.now() + limitMs
    await this.#turns.take(!brief, { limitMs, signal })
    try {
      for (;;) {
        this.#assertOpen()
        if (this.#berth !== undefined) return this.#lend(this.#berth, !brief)
        if (this.#arriving === undefined) await this.#arrive({ signal, patient }, until - deadlines.clock.now())
        else await this.#beside(this.#arriving, signal, until)
      }
    } catch (error) {
      this.#turns.leave(!brief)
      throw error
    }
  }

  async #arrive({ signal, patient }: Pick<AcquireOptions, 'signal' | 'patient'>, leftMs: number): Promise<void> {
    const arrival = new AbortController()
    const either = signal === undefined ? arrival.signal : AbortSignal.any([signal, arrival.signal])
    this.#arrival = arrival
    this.#arriving = this.#take({ signal: either, patient, timeoutMs: Math.max(1, Math.ceil(leftMs)) })
    try {
      const berth = await this.#arriving
      // One that was lost on its way here would be kept for good, as nobody is told of that any more.
      if (this.#over === undefined && berth?.lease.lost === false) this.#berth = berth
      else berth?.lease.release()
    } catch (error) {
      throw this.#over ?? error
    } finally {
      this.#arriving = undefined
      this.#arrival = undefined
    }
  }

  /** Waits for what somebody else has asked for, but within limits of its own. */
  #beside(arriving: Promise<unknown>, signal: AbortSignal | undefined, until: number): Promise<void> {
    const { deadlines } = this.#pool
    return new Promise((resolve, reject) => {
      const over = () => {
        deadlines.delete(deadline)
        signal?.removeEventListener('abort', aborted)
      }
      const aborted = () => {
        over()
        reject(new AcquireAbortedError(signal?.reason))
      }
      const leftMs = Math.max(0, until - deadlines.clock.now())
      const deadline = deadlines.awaited(leftMs, () => {
        over()
        reject(
          new SessionBusyError("The session's connection was not had in time: other work in it waits for it as well"),
        )
      })
      signal?.addEventListener('abort', aborted, { once: true })
      // Why somebody else went without is not why this one does.
      const go = () => {
        over()
        resolve()
      }
      arriving.then(go, go)
      if (signal?.aborted === true) aborted()
    })
  }

  /** Undefined when it was lost in the moment it was had. */
  async #take(options: AcquireOptions): Promise<Berth<C> | undefined> {
    const lease = await this.#pool.acquire(options)
    if (lease.lost) {
      lease.release()
      return undefined
    }
    const { connection } = lease
    try {
      connection.assertSession?.()
    } catch (error) {
      lease.release()
      throw error
    }
    lease.taking = this.#taking
    lease.watched = this.#options.maxDurationMs === 0
    lease.whenLost = (reason) => this.#lost(reason)
    return { lease, connection, before: connection.statements }
  }

  #lend(berth: Berth<C>, alone: boolean): Lease<C> {
    const { deadlines } = this.#pool
    const now = deadlines.clock.now()
    const { warnAfterMs } = this.#options
    const lease = berth.lease.part(this, now)
    lease.brief = !alone
    const long = warnAfterMs > 0 ? deadlines.add(warnAfterMs, () => this.#tellLong(lease), false, now) : undefined
    this.#work.set(lease, { alone, since: now, held: holdsState(berth.connection), long })
    return lease
  }

  giveBack(lease: Lease<C>): void {
    const work = this.#work.get(lease)
    if (work === undefined) return
    this.#work.delete(lease)
    const { deadlines } = this.#pool
    if (work.long !== undefined) deadlines.delete(work.long)
    if (this.#work.size === 0) {
      this.#idleSince = deadlines.clock.now()
      if (this.#berth?.lease.stale === true) this.#rest()
      else if (this.#idle === undefined) this.#watchIdle(this.#options.idleTimeoutMs)
    }
    this.#turns.leave(work.alone)
  }

  /** One deadline for many short pieces of work: when it passes, it looks how long it is since the last. */
  #watchIdle(delayMs: number): void {
    if (this.#options.idleTimeoutMs === 0 || this.#over !== undefined) return
    this.#idle = this.#pool.deadlines.add(
      delayMs,
      () => {
        this.#idle = undefined
        if (this.#work.size > 0) return
        const leftMs = this.#idleSince + this.#options.idleTimeoutMs - this.#pool.deadlines.clock.now()
        if (leftMs > 0) this.#watchIdle(leftMs)
        else this.#rest()
      },
      false,
    )
  }

  /** Gives the connection back until it is needed again, if another one will do then. */
  #rest(): void {
    const { connection } = this.#berth ?? {}
    if (connection === undefined || holdsState(connection) || connection.activity !== 'idle') return
    this.#unmoor()?.release()
  }

  /** It has no connection from here on. */
  #unmoor(): Lease<C> | undefined {
    const berth = this.#berth
    if (berth === undefined) return undefined
    this.#berth = undefined
    this.#statements += berth.connection.statements - berth.before
    berth.lease.whenLost = undefined
    return berth.lease
  }

  // --- what becomes of it ---

  /** On a new connection it goes on, unless something was on the lost one that it cannot do without. */
  #lost(reason: MooringsError): void {
    const { connection } = this.#berth ?? {}
    const work = [...this.#work]
    const alone = work.find(([, { alone }]) => alone)?.[1]
    const held = alone?.held ?? (connection !== undefined && holdsState(connection))
    this.#unmoor()?.release()
    if (held && this.#over === undefined) {
      this.#stop(
        new ConnectionLostError(`The session lost its connection, and with it what was left on it: ${reason.message}`, {
          code: reason.code,
          cause: reason.cause ?? reason,
          retry: 'never',
        }),
      )
    }
    for (const [lease] of work) lease.whenLost?.(reason)
  }

  /**
   * Its time is up, or its caller has given it up: what runs on it is stopped and undone. Its body may not know yet, and is
   * told with whatever it does next.
   */
  expire(error: SessionEndedError): void {
    const { connection } = this.#berth ?? {}
    publish('moorings:session:expired', this.#pool.identity, () => ({
      session: this.#options.name,
      id: connection?.id,
      ageMs: this.#pool.deadlines.clock.now() - this.#begunAt,
      inTransaction: connection !== undefined && connection.transactionStatus !== 'idle',
    }))
    this.#stop(error)
    // Of the one, the server hears as well.
    connection?.stop(error)
    connection?.destroy(error)
  }

  /** Nothing goes through it any more, although its body goes on. */
  #stop(error: MooringsError): void {
    this.#over = error
    this.#turns.end(error)
    this.#arrival?.abort(error)
    this.#abort.abort(error)
  }

  /** It is over: the connection goes back, with what is left on it to be undone. */
  end(): void {
    this.#left = !(this.#over instanceof SessionEndedError)
    if (this.#left) {
      this.#over = new SessionEndedError('This session has ended: nothing more can be sent on it')
      this.#turns.end(this.#over)
      this.#arrival?.abort(this.#over)
    }
    if (this.#idle !== undefined) this.#pool.deadlines.delete(this.#idle)
    // First: what still holds a part of the lease must not reach the next borrower's connection.
    for (const lease of [...this.#work.keys()]) lease.release()
    this.#unmoor()?.release()
  }

  #assertOpen(): void {
    if (this.#over !== undefined) throw this.#over
  }

  #declare(left: SessionState): void {
    this.#assertOpen()
    if (this.#berth === undefined) throw new SessionEndedError('This session has no connection to declare anything of')
    this.#berth.lease.declare(left)
  }

  // --- what it tells ---

  #tellLong(lease: Lease<C>): void {
    const { connection } = this.#berth ?? {}
    const since = this.#work.get(lease)?.since
    if (connection === undefined || since === undefined) return
    publish('moorings:session:long', this.#pool.identity, () => ({
      session: this.#options.name,
      id: connection.id,
      forMs: this.#pool.deadlines.clock.now() - since,
      inTransaction: connection.transactionStatus !== 'idle',
    }))
  }

  stats(now: number): SessionStats {
    const { connection, before = 0 } = this.#berth ?? {}
    const [oldest] = this.#work.values()
    return {
      name: this.#options.name,
      begunAt: applicationFrame(this.#taking.stack),
      ageMs: now - this.#begunAt,
      connection: connection?.id,
      statements: this.#statements + (connection === undefined ? 0 : connection.statements - before),
      state: this.#over !== undefined ? 'lost' : this.#work.size > 0 ? 'working' : 'idle',
      inTransaction: connection !== undefined && connection.transactionStatus !== 'idle',
      forMs: now - (oldest?.since ?? this.#idleSince),
    }
  }
}

/** Whether there is something on it that another connection would not have. */
function holdsState({ sessionState, transactionStatus }: Connection): boolean {
  return sessionState !== 'clean' || transactionStatus !== 'idle'
}
