// A pool in plain data: who waits in which order, who holds which connection, which live and in what condition. It hears
// what the pool says it does, follows, and notes whatever no pool may do.

import { connectBackoff } from '../backoff.js'
import {
  AcquireAbortedError,
  AcquireTimeoutError,
  type MooringsError,
  PoolSuspendedError,
  QueueFullError,
  SelfDeadlockError,
} from '../errors.js'
import type { PoolEvents } from '../events.js'
import type { ConnectionSelector, PoolState } from '../pool/setup.js'
import { againstLending, againstRefusing, mayLeave, mayWait } from './model-causes.js'
import { ModelLine } from './model-line.js'
import type { Borrower, Member, Sight } from './model-parts.js'
import { healthWaitMs, type Scenario, type Size } from './model-scenario.js'

type Hears = { readonly [Name in keyof PoolEvents]?: (event: PoolEvents[Name]) => void }

const longestBackOffMs = connectBackoff.maxDelayMs + 1

export class PoolModel {
  readonly scenario: Scenario
  readonly sight: Sight
  /** What must not have happened. */
  readonly breaches: string[] = []
  phase: PoolState = 'new'
  /** How often it was resumed. */
  resumed = 0
  /** Whether it was running at any time since it was last looked. */
  ran = false
  size: Size
  /** Never more connections than this: `max + overflow`, or as many as there were when it became less. */
  ceiling: number
  readonly #line: ModelLine
  #suspendedAt = 0
  readonly lives: Map<number, Member> = new Map()
  /** By the connection's id, until it comes back or is gone. */
  readonly holders: Map<number, Borrower> = new Map()
  readonly totals: { acquired: number; timeouts: number; refused: number; aborted: number; failed: number } = {
    acquired: 0,
    timeouts: 0,
    refused: 0,
    aborted: 0,
    failed: 0,
  }
  readonly leaks: { found: number; reclaimed: number; readonly ids: Set<number> } = {
    found: 0,
    reclaimed: 0,
    ids: new Set(),
  }
  epoch = 0
  /** When there was last a change in how many connections there are, or should be. */
  changedAt = 0
  /** Who is in the middle of its call to `acquire`. */
  asking: Borrower | undefined
  /** Whose signal fires right now. */
  aborting: Borrower | undefined
  /** What an `evict` under way means. */
  evicting: ReadonlySet<number> = new Set()
  /** Whether the pool itself may be among those who ask: for `health()` and `start()`. */
  asksItself = false
  /** How long it would wait, if it is not for `health()`. */
  itsLimitMs: number | undefined
  /** When it must try again to connect, after a failure. */
  retryBy = 0
  /** The database has refused who we are. */
  refusesUs = false
  #oldest = 0
  readonly #oldestAt = new Map<string, number>()
  /** When it begins to refuse callers, once suspended. */
  refusesAt = Number.POSITIVE_INFINITY
  /** When it takes leases back, once closing. */
  destroysAt = Number.POSITIVE_INFINITY

  constructor(scenario: Scenario, sight: Sight) {
    const { min, minIdle, max, overflow } = scenario.pool
    this.scenario = scenario
    this.size = { min, minIdle, max, overflow }
    this.ceiling = max + overflow
    this.sight = sight
    this.#line = new ModelLine(scenario.pool.queue)
  }

  /** In the order in which they came. */
  get line(): readonly Borrower[] {
    return this.#line.all
  }

  // --- what is asked of the pool ---

  borrower(name: string, limitMs: number, within?: Borrower): Borrower {
    const now = this.sight.now()
    const times = { limitMs, leftMs: limitMs, since: now, joinedAt: now, takenAt: now }
    const nothing = { connection: undefined, error: undefined, aborted: false, leaked: false }
    return { name, state: 'asking', within, ...times, ...nothing }
  }

  resize(size: Size, total: number): void {
    this.size = size
    this.changedAt = this.sight.now()
    this.ceiling = Math.max(size.max + size.overflow, total)
  }

  /** What a selector means, of those that live. */
  meant(selector: ConnectionSelector | undefined): Member[] {
    return [...this.lives.values()].filter(
      ({ id, endpoint }) =>
        (selector?.id ?? id) === id && (selector?.endpoint === undefined || nameOf(selector.endpoint) === endpoint),
    )
  }

  /** They are not to be lent any more, nor those under way to where they lead. */
  outdate(selector: ConnectionSelector | undefined): void {
    for (const member of this.meant(selector)) member.stale = true
    if (selector?.id !== undefined) return
    this.epoch++
    if (selector === undefined) this.#oldest = this.epoch
    else this.#oldestAt.set(nameOf(selector.endpoint), this.epoch)
  }

  /** Callers may be refused before it says that it is suspended. */
  suspending(refuseAfterMs: number): void {
    if (this.phase !== 'suspended') this.refusesAt = this.sight.now() + refuseAfterMs
  }

  closing(timeoutMs: number): void {
    this.destroysAt = this.sight.now() + timeoutMs
  }

  get closed(): boolean {
    return this.phase === 'closing' || this.phase === 'closed'
  }

  /** How long it will wait yet, if the pool is not suspended. */
  leftMs({ leftMs, since }: Borrower): number {
    return leftMs - (this.sight.now() - since)
  }

  /** Whose time is over although it waits. */
  overdue(): Borrower[] {
    return this.phase === 'suspended' ? [] : this.line.filter((borrower) => this.leftMs(borrower) < -1)
  }

  // --- what the pool does ---

  readonly hears: Hears = {
    'moorings:pool:started': () => this.#move('running'),
    'moorings:pool:suspended': () => {
      this.#move('suspended')
      this.#suspendedAt = this.sight.now()
      for (const borrower of this.line) borrower.leftMs = Math.max(0, this.leftMs(borrower))
    },
    'moorings:pool:resumed': () => {
      this.resumed++
      this.refusesAt = Number.POSITIVE_INFINITY
      this.#move('running')
      for (const borrower of this.line) {
        borrower.since = this.sight.now()
        borrower.joinedAt += borrower.since - Math.max(borrower.joinedAt, this.#suspendedAt)
      }
    },
    'moorings:pool:closing': () => this.#move('closing'),
    'moorings:pool:closed': () => this.#move('closed'),
    'moorings:acquire:queued': () => this.#queued(),
    'moorings:acquire:failed': ({ error }) => this.#wentWithout(error),
    'moorings:lease:taken': ({ id }) => this.#taken(id),
    'moorings:lease:returned': ({ id }) => this.#returned(id),
    'moorings:connection:opened': ({ id, endpoint }) => this.#arrived(id, nameOf(endpoint)),
    'moorings:connection:closed': ({ id, reason }) => this.#left(id, reason),
    'moorings:leak:found': ({ id }) => this.#leaked(id),
    'moorings:leak:reclaimed': ({ id }) => {
      this.leaks.reclaimed++
      this.#must(this.scenario.pool.reclaimLeaks === true, `connection ${id} was reclaimed, which nobody has asked for`)
    },
    'moorings:leak:returned': ({ id }) => {
      this.#must(
        this.leaks.ids.has(id),
        `the lease of connection ${id} is told to be back, but was not told to be leaked`,
      )
    },
    'moorings:connect:failed': ({ retryInMs }) => {
      this.#must(retryInMs <= longestBackOffMs, `after a failed connect it waits for ${retryInMs} ms`)
      this.retryBy = this.sight.now() + longestBackOffMs
    },
    'moorings:pool:scaled': ({ to }) => {
      const { min, max } = this.size
      this.#must(to >= min && to <= max, `it keeps ${to} connections warm, which is not from ${min} to ${max}`)
      this.#changed(`the pool keeps ${to} connections warm`)
    },
  }

  #queued(): void {
    const borrower = this.asking?.state === 'asking' ? this.asking : this.#itself('waits')
    this.#must(mayWait(this), `${borrower.name} waits although maxWaiters do already`)
    borrower.state = 'waiting'
    borrower.since = this.sight.now()
    borrower.joinedAt = borrower.since
    this.#line.join(borrower)
    this.sight.note(`${borrower.name} waits`)
  }

  #taken(id: number): void {
    const direct = this.asking?.state === 'asking'
    const borrower = (direct ? this.asking : this.#line.next(this.sight.now())) ?? this.#itself('is lent one')
    this.#line.leave(borrower)
    for (const against of againstLending(this, id, direct)) {
      this.breaches.push(`${borrower.name} is lent connection ${id} ${against}`)
    }
    const member = this.lives.get(id)
    if (member !== undefined) member.uses++
    this.totals.acquired++
    borrower.state = 'holding'
    borrower.connection = id
    borrower.takenAt = this.sight.now()
    this.holders.set(id, borrower)
    this.sight.lent(id)
    this.#changed(`${borrower.name} is lent connection ${id}`)
  }

  #returned(id: number): void {
    const borrower = this.holders.get(id)
    this.#must(borrower !== undefined, `the lease of connection ${id} has ended, which nobody had`)
    this.holders.delete(id)
    if (borrower !== undefined) {
      borrower.state = 'over'
      this.#line.leaseEnded(this.sight.now() - borrower.takenAt)
    }
    this.#changed(`the lease of connection ${id} has ended`)
    const member = this.lives.get(id)
    if (member !== undefined) member.idleSince = this.sight.now()
  }

  #wentWithout(error: MooringsError): void {
    const borrower = this.#loser(error)
    this.sight.note(`${borrower.name} goes without: ${error.name}`)
    const against = againstRefusing(this, borrower, error)
    this.#must(against === undefined, `${borrower.name} goes without by ${error.name}, ${against}`)
    if (error instanceof AcquireTimeoutError) this.totals.timeouts++
    else if (error instanceof QueueFullError || error instanceof PoolSuspendedError) this.totals.refused++
    else if (error instanceof AcquireAbortedError) this.totals.aborted++
    else this.totals.failed++
    const unserved = error instanceof AcquireTimeoutError || error instanceof AcquireAbortedError
    if (unserved) this.#line.goesUnserved(borrower, this.sight.now())
    this.#line.leave(borrower)
    borrower.state = 'over'
    borrower.error = error
  }

  #loser(error: MooringsError): Borrower {
    if (this.asking?.state === 'asking') return this.asking
    return this.#loserInLine(error) ?? this.#itself(`goes without by ${error.name}`)
  }

  #loserInLine(error: MooringsError): Borrower | undefined {
    // Nobody who waits already is told that.
    if (error instanceof QueueFullError) return undefined
    if (error instanceof AcquireAbortedError) return this.aborting ?? this.line.find(({ aborted }) => aborted)
    if (error instanceof SelfDeadlockError) return this.line.find(({ within }) => within?.state === 'holding')
    if (!(error instanceof AcquireTimeoutError)) return this.line[0]
    // Of those who wait as long as each other, the first has waited longest.
    const known = this.line.find(({ limitMs }) => limitMs === error.waitedMs)
    return known ?? this.line.find(({ limitMs }) => Number.isNaN(limitMs))
  }

  #arrived(id: number, endpoint: string): void {
    const now = this.sight.now()
    const epoch = this.sight.epochOf(id)
    const stale = epoch < this.#oldest || epoch < (this.#oldestAt.get(endpoint) ?? 0)
    this.#must(!this.lives.has(id), `connection ${id} arrives twice`)
    this.lives.set(id, { id, endpoint, arrivedAt: now, idleSince: now, uses: 0, stale })
    this.#changed(`connection ${id} arrives`)
  }

  #left(id: number, reason: PoolEvents['moorings:connection:closed']['reason']): void {
    const member = this.lives.get(id)
    this.#changed(`connection ${id} leaves: ${reason}`)
    if (member === undefined) {
      this.breaches.push(`connection ${id} leaves (${reason}) without having lived`)
      return
    }
    this.lives.delete(id)
    // One that is lost as soon as it is made counts as a failure to connect.
    if (member.arrivedAt + 100 > this.sight.now()) this.retryBy = this.sight.now() + longestBackOffMs
    this.#must(mayLeave(this, member, reason), `connection ${id} leaves (${reason}), which is not so`)
  }

  #leaked(id: number): void {
    const { leakAfterMs = 0 } = this.scenario.pool
    const holder = this.holders.get(id)
    this.leaks.found++
    if (holder === undefined) {
      this.breaches.push(`connection ${id} is told to be leaked, but nobody holds it`)
      return
    }
    this.#must(!holder.leaked, `${holder.name} is told twice to have leaked connection ${id}`)
    const due = leakAfterMs > 0 && this.sight.now() - holder.takenAt >= leakAfterMs
    this.#must(due, `${holder.name} is told too early to have leaked connection ${id}`)
    holder.leaked = true
    this.leaks.ids.add(id)
  }

  // --- inside ---

  #changed(note: string): void {
    this.changedAt = this.sight.now()
    this.sight.note(note)
  }

  #move(to: PoolState): void {
    this.phase = to
    if (to === 'running') this.ran = true
    this.sight.note(`the pool is ${to}`)
  }

  #must(holds: boolean, otherwise: string): void {
    if (!holds) this.breaches.push(otherwise)
  }

  #itself(does: string): Borrower {
    this.#must(this.asksItself, `somebody unknown ${does}`)
    // What is left of its time when it has asked what rests before, nobody can tell: an adaptive pool is not asked then.
    const forHealth = this.scenario.pool.queue === 'adaptive' ? healthWaitMs : Number.NaN
    const itself = this.borrower('the pool itself', this.itsLimitMs ?? forHealth)
    // health() gives up by a signal of its own.
    itself.aborted = this.itsLimitMs === undefined
    return itself
  }
}

function nameOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host}:${port}`
}
