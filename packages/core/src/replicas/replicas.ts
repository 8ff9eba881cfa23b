// Where reads go: to one of the replicas that are up and show enough, and to the primary when none does. It lends to
// statements by themselves; a transaction, a session, whatever is held, is the primary's.

import type { Clock } from '../clock.js'
import type { Deadline } from '../deadlines.js'
import type { Connection, LogPosition } from '../driver.js'
import { publish } from '../events.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { AcquireOptions } from '../pool/setup.js'
import type { Ambient } from '../scope.js'
import type { Source } from '../session/source.js'
import type { TransactionScope } from '../transaction/transaction.js'
import { Asking } from './asking.js'
import { Positions } from './positions.js'
import { hasWrittenTo } from './read-your-writes.js'
import { Replica, type ReplicaState } from './replica.js'
import type { ResolvedReplicasOptions } from './replicas-options.js'

/** One replica, as it is now. */
export interface ReplicaStats {
  /** Its pool's name. */
  readonly name: string
  readonly state: ReplicaState
  /**
   * How many milliseconds ago everything it shows was all there was: up to `checkEveryMs` for one that is never behind.
   * Undefined where that is not known.
   */
  readonly lagMs: number | undefined
  /** How often it has lent a connection to a reader. */
  readonly reads: number
}

export interface ReplicasStats {
  readonly replicas: readonly ReplicaStats[]
  /** Reads that went to the primary because no replica would do. */
  readonly fellBack: number
  /** Reads that went to the primary because their `withReadYourWrites` had written. */
  readonly afterWrites: number
}

/**
 * At first nothing is known of the primary's log but where it is now, and standbys are behind it by a moment while it is
 * written to: so often, and so soon, they are asked again.
 */
const FIRST_CHECKS = 10
const SOON_MS = 100
/** Beyond what is needed to judge, for the statistics. */
const REMEMBER_MS = 60_000

/**
 * The replicas of a pool: a source of connections for statements that read. One that has lost touch with the primary is
 * read from for as long as what it shows is not too old.
 */
export class Replicas<C extends Connection = Connection> implements Source<C> {
  /** A standby takes no writes: whatever it was asked may be asked again. Where there is none the primary lends, though. */
  readonly repeatable = true
  readonly primary: Pool<C>
  readonly options: ResolvedReplicasOptions
  readonly #replicas: readonly Replica<C>[]
  readonly #positions: Positions
  readonly #clock: Clock
  readonly #told = new Map<Replica<C>, ReplicaState>()
  /** Whose it is next, by its place. */
  #turn = 0
  #checks = 0
  #fellBack = 0
  #afterWrites = 0
  #begun: Promise<void> | undefined
  #known: () => void = () => {}
  #next: Deadline | undefined
  #closed = false
  readonly #asking: Asking<C>
  /** Whose answer is waited for. */
  readonly #asked = new Set<Replica<C>>()

  /** @param pools of the replicas, one at least */
  constructor(primary: Pool<C>, pools: readonly Pool<C>[], options: ResolvedReplicasOptions) {
    const { deadlines } = primary
    this.primary = primary
    this.options = options
    this.#clock = deadlines.clock
    this.#asking = new Asking(deadlines)
    this.#replicas = pools.map((pool) => new Replica(pool, deadlines, options))
    this.#positions = new Positions(Math.max(REMEMBER_MS, options.maxLagMs) + options.checkEveryMs)
  }

  get pools(): readonly Pool<C>[] {
    return this.#replicas.map(({ pool }) => pool)
  }

  // --- reading ---

  /** The transaction that a read is to be part of, wherever it would go otherwise. */
  get joinable(): Ambient<TransactionScope<C>> | undefined {
    return this.primary.source.joinable
  }

  /** Itself, or the primary for what a standby cannot carry out. */
  lenderOf(text: string): Source<C> {
    return this.primary.driver.standbyCan?.(text) === true ? this : this.primary.source
  }

  tryAcquire(): Lease<C> | undefined {
    const around = this.#around()
    if (around !== undefined) {
      const lease = around.tryAcquire()
      if (lease !== undefined) this.#countAround(around)
      return lease
    }
    this.#begin()
    const replica = this.#choose()
    const lease = replica?.pool.tryAcquire()
    if (replica !== undefined && lease !== undefined) this.#countRead(replica)
    return lease
  }

  /**
   * Of a replica, of another one where that cannot be reached, or at last of the primary: all within one `timeoutMs`.
   *
   * @throws as {@link Pool.acquire}
   */
  async acquire(options: AcquireOptions = {}): Promise<Lease<C>> {
    const { primary } = this
    if (options.brief !== true) return primary.source.acquire(options)
    const around = this.#around()
    if (around !== undefined) {
      this.#countAround(around)
      return around.acquire(options)
    }
    this.#begin()
    const until = this.#clock.now() + (options.timeoutMs ?? primary.resilience.pool.acquireTimeoutMs)
    const leftMs = () => Math.max(1, Math.ceil(until - this.#clock.now()))
    const tried = new Set<Replica<C>>()
    for (let replica = this.#choose(); replica !== undefined; replica = this.#choose(tried)) {
      const lease = await replica.lend(options, leftMs())
      if (lease !== undefined) {
        this.#countRead(replica)
        return lease
      }
      tried.add(replica)
    }
    this.#fellBack++
    return primary.acquire({ ...options, timeoutMs: leftMs() })
  }

  /** Whose business it is where the current call chain reads, if not the replicas'. */
  #around(): Source<C> | undefined {
    const { primary } = this
    const { source } = primary
    if (source !== primary) return source
    return hasWrittenTo(primary) ? primary : undefined
  }

  #countAround(around: Source<C>): void {
    if (around === this.primary) this.#afterWrites++
  }

  #countRead(replica: Replica<C>): void {
    replica.reads++
    this.#turn = this.#replicas.indexOf(replica) + 1
  }

  /** The one with least to do, of those that will do; each in its turn where they are equal. */
  #choose(tried?: ReadonlySet<Replica<C>>): Replica<C> | undefined {
    const replicas = this.#replicas
    const now = this.#clock.now()
    let chosen: Replica<C> | undefined
    let least = Number.POSITIVE_INFINITY
    for (let at = 0; at < replicas.length; at++) {
      const replica = replicas[(this.#turn + at) % replicas.length]
      if (replica === undefined || tried?.has(replica) === true || replica.state(now) !== 'fit') continue
      const { load } = replica
      if (load >= least) continue
      least = load
      chosen = replica
    }
    return chosen
  }

  // --- checking ---

  /**
   * Resolves when it is known for the first time which of them will do, or after that many milliseconds (default: the
   * primary's `acquireTimeoutMs`). Never rejects.
   */
  start(timeoutMs: number = this.primary.resilience.pool.acquireTimeoutMs): Promise<void> {
    this.#begin()
    return this.#begun === undefined ? Promise.resolve() : this.#within(timeoutMs, this.#begun, true)
  }

  /** With the first read. */
  #begin(): void {
    if (this.#begun !== undefined || this.#closed) return
    this.#begun = new Promise((resolve) => {
      this.#known = resolve
    })
    // Later, in nobody's call chain.
    this.#next = this.primary.deadlines.add(0, () => void this.#check(), false)
  }

  async #check(): Promise<void> {
    const { primary } = this
    const begunAt = this.#clock.now()
    const log = await this.#asking.position(primary)
    const primaryPosition = typeof log === 'object' ? log.position : undefined
    if (typeof log === 'object' && typeof log.position === 'bigint') this.#positions.note(log.position, log.at)
    const asked = this.#replicas.filter((replica) => !this.#asked.has(replica))
    const all = Promise.all(asked.map((replica) => this.#look(replica, primaryPosition)))
    // One that does not answer keeps nobody from looking at the others again.
    await this.#within(this.#dueMs(begunAt), all)
    if (this.#closed) return
    this.#checks++
    if (this.#knowsAll) this.#known()
    this.#tell()
    this.#next = primary.deadlines.add(this.#dueMs(begunAt), () => void this.#check(), false)
  }

  /** @param primary where the primary's was before, if that answered. Never rejects. */
  async #look(replica: Replica<C>, primary: LogPosition | undefined): Promise<void> {
    this.#asked.add(replica)
    const answer = await this.#asking.position(replica.pool)
    this.#asked.delete(replica)
    if (answer === 'silent') replica.silent()
    else if (answer !== 'busy') {
      const { position } = answer
      if (primary === 'unknown' || position === 'unknown') replica.untold()
      else replica.told(position, primary, this.#positions)
    }
    if (!this.#closed) this.#tell()
  }

  get #knowsAll(): boolean {
    return this.#checks >= FIRST_CHECKS || this.#replicas.every((replica) => replica.known)
  }

  /** How soon the next check follows one that has begun then. */
  #dueMs(begunAt: number): number {
    const { checkEveryMs } = this.options
    const everyMs = this.#knowsAll ? checkEveryMs : Math.min(checkEveryMs, SOON_MS)
    return Math.max(0, begunAt + everyMs - this.#clock.now())
  }

  /** Waits for what never rejects, but no longer. */
  #within(limitMs: number, work: Promise<unknown>, holds = false): Promise<void> {
    const { deadlines } = this.primary
    return new Promise((resolve) => {
      const late = deadlines.add(limitMs, resolve, holds)
      void work.then(() => {
        deadlines.delete(late)
        resolve()
      })
    })
  }

  /** What has changed: by an answer, or by time alone. */
  #tell(): void {
    const now = this.#clock.now()
    for (const replica of this.#replicas) {
      const from = this.#told.get(replica) ?? 'unchecked'
      const to = replica.state(now)
      // At first it seems to lag where the primary is written to, and mostly does not: soon it is asked again.
      if (from === to || (from === 'unchecked' && to === 'lagging' && !this.#knowsAll)) continue
      this.#told.set(replica, to)
      const { name } = replica.pool
      const lagMs = replica.lagMs(now)
      publish('moorings:replica:changed', this.primary.identity, () => ({ replica: name, from, to, lagMs }))
    }
  }

  // --- the whole ---

  stats(): ReplicasStats {
    const now = this.#clock.now()
    return {
      replicas: this.#replicas.map((replica) => ({
        name: replica.pool.name,
        state: replica.state(now),
        lagMs: replica.lagMs(now),
        reads: replica.reads,
      })),
      fellBack: this.#fellBack,
      afterWrites: this.#afterWrites,
    }
  }

  /** Closes their pools, each within `timeoutMs`. The primary is closed by whoever closes that. Never rejects. */
  async close(options?: { readonly timeoutMs?: number }): Promise<void> {
    this.#closed = true
    this.#known()
    if (this.#next !== undefined) this.primary.deadlines.delete(this.#next)
    await Promise.all([this.#asking.end(), ...this.pools.map((pool) => pool.close(options))])
  }
}
