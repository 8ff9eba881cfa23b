// Whether an answer will ever come. What waits for long may wait on a wire that was cut where nobody could tell: so the
// server is asked, through another connection, whether it still works on that. What it works on is left alone, however
// long it takes.

import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver, Endpoint, WorkReport, WorkState } from '../driver.js'
import { endpointName } from '../endpoint-name.js'
import { ConnectionLostError } from '../errors.js'
import { type CloseReason, type LostState, type PoolIdentity, publish } from '../events.js'
import type { Resilience } from '../options.js'
import { unanswered } from './farewells.js'
import type { HookCalls } from './hook-calls.js'
import type { Entry, Roster } from './roster.js'
import type { LivenessStats } from './setup.js'

/** So often in a row a server has nothing to do for it: the first time the answer may have been on its way. */
const IDLE_TIMES = 2
/** So often in a row nothing is heard of the server: once or twice it may be starting, or have too much to do. */
const UNREACHABLE_TIMES = 3

export interface LivenessParts<C extends Connection> {
  readonly pool: PoolIdentity
  readonly driver: Driver<C>
  readonly deadlines: Deadlines
  readonly hooks: HookCalls
  readonly roster: Roster<C>
  readonly resilience: Resilience
  /** At once; what runs on it is rejected with the error. */
  readonly evict: (entry: Entry<C>, reason: CloseReason, error: ConnectionLostError) => void
}

/** Of a connection that was asked about. */
interface Watch {
  /** Which statement it is about. */
  readonly statement: number
  /** When to ask next. */
  at: number
  idle: number
  unreachable: number
}

interface Asked<C extends Connection> {
  readonly entry: Entry<C>
  readonly watch: Watch
}

export class Liveness<C extends Connection> {
  /** How long an answer may take before it is asked about; 0 for never. */
  readonly afterMs: number
  readonly #parts: LivenessParts<C>
  /** Between two questions about what is in doubt. */
  readonly #pauseMs: number
  readonly #watches = new WeakMap<Entry<C>, Watch>()
  /** Questions under way, one for an endpoint. */
  readonly #asking = new Map<string, Promise<void>>()
  readonly #stopped = new AbortController()
  #asks = 0
  #lost = 0

  constructor(parts: LivenessParts<C>) {
    const { statement, pool } = parts.resilience
    this.#parts = parts
    this.afterMs = parts.driver.worksOn === undefined ? 0 : statement.livenessAfterMs
    this.#pauseMs = Math.min(this.afterMs, pool.validationTimeoutMs)
  }

  get stats(): LivenessStats {
    return { asks: this.#asks, lost: this.#lost }
  }

  /** Asks about what is overdue. Returns when something may be again. */
  look(now: number): number {
    let next = Number.POSITIVE_INFINITY
    const due: Asked<C>[] = []
    for (const asked of this.#waiting()) {
      if (asked.watch.at <= now) due.push(asked)
      else next = Math.min(next, asked.watch.at)
    }
    for (const [name, some] of byEndpoint(due)) {
      if (!this.#asking.has(name)) void this.#ask(name, some, UNREACHABLE_TIMES)
    }
    return this.#asking.size > 0 ? Math.min(next, now + this.#pauseMs) : next
  }

  /**
   * Asks at once about all that is waited for at an endpoint, or at every one: for whoever knows that something is wrong
   * there. A server out of reach gets no second chance then. Resolves when nothing of that is in doubt any more.
   */
  async checkNow(endpoint?: Pick<Endpoint, 'host' | 'port'>): Promise<void> {
    if (this.afterMs === 0) return
    const only = endpoint === undefined ? undefined : endpointName(endpoint)
    const meant = () =>
      this.#waiting().filter(({ entry }) => only === undefined || endpointName(entry.connection.endpoint) === only)
    await this.#askNow(meant())
    for (let times = 1; times < IDLE_TIMES; times++) {
      const doubtful = meant().filter(({ watch }) => watch.idle > 0)
      if (doubtful.length === 0) return
      await new Promise<void>((resolve) => this.#parts.deadlines.awaited(this.#pauseMs, () => resolve()))
      await this.#askNow(doubtful)
    }
  }

  /** Behind a question that is under way. */
  async #askNow(asked: readonly Asked<C>[]): Promise<void> {
    const all = [...byEndpoint(asked)].map(async ([name, some]) => {
      while (this.#asking.has(name)) await this.#asking.get(name)
      await this.#ask(name, some, 1)
    })
    await Promise.all(all)
  }

  /** Asks nothing more. Resolves when no question is under way. */
  async stop(): Promise<void> {
    this.#stopped.abort(unanswered())
    await Promise.all(this.#asking.values())
  }

  /** Those lent that wait for an answer. */
  #waiting(): Asked<C>[] {
    const found: Asked<C>[] = []
    for (const entry of this.#parts.roster.all()) {
      const { waitingSince, statements } = entry.connection
      if (entry.state !== 'leased' || waitingSince === undefined) continue
      let watch = this.#watches.get(entry)
      if (watch?.statement !== statements) {
        watch = { statement: statements, at: waitingSince + this.afterMs, idle: 0, unreachable: 0 }
        this.#watches.set(entry, watch)
      }
      found.push({ entry, watch })
    }
    return found
  }

  /** @param times how often nothing may be heard of the server */
  #ask(name: string, some: readonly Asked<C>[], times: number): Promise<void> {
    const asked = some.filter((one) => this.#waits(one))
    if (asked.length === 0 || this.#stopped.signal.aborted) return Promise.resolve()
    this.#asks++
    const done = this.#question(name, asked, times).finally(() => this.#asking.delete(name))
    this.#asking.set(name, done)
    return done
  }

  /** Whoever cannot be asked within the time of a sign of life is out of reach, or busy: the driver knows. */
  async #question(name: string, asked: readonly Asked<C>[], times: number): Promise<void> {
    const { driver, deadlines, hooks, resilience } = this.#parts
    const startedAt = deadlines.clock.now()
    const late = new AbortController()
    const deadline = deadlines.awaited(resilience.pool.validationTimeoutMs, () => late.abort(unanswered()))
    const signal = AbortSignal.any([late.signal, this.#stopped.signal])
    const connections = asked.map(({ entry }) => entry.connection)
    let report: WorkReport<C> | undefined
    try {
      const credentials = await hooks.credentials(signal)
      signal.throwIfAborted()
      report = await driver.worksOn?.(connections, { signal, credentials })
    } catch {
      // Nothing is known then.
    }
    const givenUp = this.#stopped.signal.aborted ? [] : this.#judge(name, asked, report?.states ?? [], times, startedAt)
    await report?.finish(givenUp)
    deadlines.delete(deadline)
  }

  /** @returns those given up that the server may have a session for */
  #judge(name: string, asked: readonly Asked<C>[], told: readonly WorkState[], times: number, startedAt: number): C[] {
    const { pool, deadlines } = this.#parts
    const states = asked.map((_, at) => told[at] ?? 'unknown')
    publish('moorings:liveness:asked', pool, () => ({
      endpoint: name,
      connections: asked.length,
      states: counted(states),
      tookMs: deadlines.clock.now() - startedAt,
    }))
    const idle: C[] = []
    for (const [at, one] of asked.entries()) {
      const state = states[at] ?? 'unknown'
      if (this.#isLost(one, state, times) && state === 'idle') idle.push(one.entry.connection)
    }
    return idle
  }

  /** Still, and for the same: it may have been answered meanwhile, or have gone by itself. */
  #waits({ entry, watch }: Asked<C>): boolean {
    const { waitingSince, statements } = entry.connection
    return this.#parts.roster.has(entry) && waitingSince !== undefined && statements === watch.statement
  }

  /** And gives it up then. */
  #isLost(one: Asked<C>, state: WorkState, times: number): boolean {
    if (!this.#waits(one)) return false
    const { entry, watch } = one
    const now = this.#parts.deadlines.clock.now()
    const waitedMs = now - (entry.connection.waitingSince ?? now)
    watch.idle = state === 'idle' ? watch.idle + 1 : 0
    watch.unreachable = state === 'unreachable' ? watch.unreachable + 1 : 0
    watch.at = now + (watch.idle + watch.unreachable > 0 ? this.#pauseMs : this.afterMs)
    if (state === 'working' || state === 'unknown') return false
    const lost = state === 'gone' || watch.idle >= IDLE_TIMES || watch.unreachable >= times
    if (lost) this.#giveUp(entry, state, waitedMs)
    return lost
  }

  #giveUp(entry: Entry<C>, state: LostState, waitedMs: number): void {
    const { pool, evict } = this.#parts
    const { id, endpoint } = entry.connection
    const error = new ConnectionLostError(
      `The connection to ${endpointName(endpoint)} was lost: after ${Math.round(waitedMs)} ms without an answer, ${because[state]}`,
    )
    this.#lost++
    publish('moorings:liveness:lost', pool, () => ({ id, endpoint, state, waitedMs, error }))
    evict(entry, 'lost', error)
  }
}

const because: Readonly<Record<LostState, string>> = {
  idle: 'its server, asked through another connection, had nothing to do for it: the statement or its answer went astray',
  gone: 'its server, asked through another connection, no longer knew it',
  unreachable: 'nothing was heard of its server through another connection either',
}

function byEndpoint<C extends Connection>(asked: readonly Asked<C>[]): Map<string, Asked<C>[]> {
  const groups = new Map<string, Asked<C>[]>()
  for (const one of asked) {
    const name = endpointName(one.entry.connection.endpoint)
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [one])
    else group.push(one)
  }
  return groups
}

function counted(states: readonly WorkState[]): Record<WorkState, number> {
  const counts = { working: 0, idle: 0, gone: 0, unreachable: 0, unknown: 0 }
  for (const state of states) counts[state]++
  return counts
}
