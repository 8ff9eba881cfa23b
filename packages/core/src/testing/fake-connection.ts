// A connection to nowhere that keeps the contract of `Connection`, transaction status included, and answers as a test
// tells it to: at once, with an error, when the test says so, or never.

import type {
  CommitTicket,
  Connection,
  Endpoint,
  Result,
  Role,
  SessionState,
  Statement,
  TransactionSettings,
  TransactionStatus,
} from '../driver.js'
import { ConnectionLostError, type MooringsError, PoolerError, StatementError } from '../errors.js'

export type Operation =
  | 'begin'
  | 'commit'
  | 'rollback'
  | 'savepoint'
  | 'rollbackTo'
  | 'release'
  | 'statement'
  | 'ping'
  | 'reset'
  | 'cancel'
  | 'close'

/** `held`: no answer until the test gives one; without one it hangs, whatever signals say, until the connection is gone. */
export type Answer = 'ok' | 'held' | Error

export interface HeldOperation {
  readonly operation: Operation
  readonly since: number
  readonly signal: AbortSignal | undefined
  ok(): void
  fail(error: Error): void
}

export interface FakeConnectionParts {
  readonly id: number
  readonly epoch: number
  /** Where it leads; `db.test:5432` unless told otherwise. */
  readonly endpoint?: Endpoint
  readonly role?: Role | undefined
  /** What every operation is answered by, unless told otherwise. */
  readonly answers?: ReadonlyMap<Operation, Answer>
  /** What the time is; it stands still unless told otherwise. */
  readonly now?: () => number
}

export const usual: Endpoint = { host: 'db.test', port: 5432 }

type LostListener = (reason: MooringsError, how: 'lost' | 'destroyed') => void

export class FakeConnection implements Connection {
  worn = false
  readonly id: number
  readonly epoch: number
  readonly endpoint: Endpoint
  /** As the server shows it: a test may change it at any time. */
  role: Role | undefined
  /** Everything that was sent, in order: `begin`, `savepoint s0`, `ping`, … */
  readonly sent: string[] = []
  /** How it ended: `lost` by itself, `closed` after a goodbye, `destroyed` by us. */
  ended: 'lost' | 'closed' | 'destroyed' | undefined
  /** Set by a test: a cancel is under way. `reset` waits for it to be over. */
  cancelling = false
  /** Whether the process stays alive for it. */
  referenced = true
  /** Set by a test: the server waits for us. */
  suspended = false
  /** Set by a test: a pooler lends the session to others as well. */
  shared = false
  readonly #now: () => number
  readonly #always: Map<Operation, Answer>
  readonly #next = new Map<Operation, Answer[]>()
  readonly #held = new Set<HeldOperation>()
  #savepoints: string[] = []
  #status: TransactionStatus = 'idle'
  #sessionState: 'clean' | 'dirty' | 'spoilt' = 'clean'
  #lost: MooringsError | undefined
  #onLost: LostListener | undefined

  constructor({ id, epoch, endpoint = usual, role = 'primary', answers, now = () => 0 }: FakeConnectionParts) {
    this.#now = now
    this.id = id
    this.epoch = epoch
    this.endpoint = endpoint
    this.role = role
    this.#always = new Map(answers)
  }

  // --- what a test does with it ---

  /** Answers the next calls of an operation, one each. */
  next(operation: Operation, ...answers: Answer[]): void {
    this.#next.set(operation, [...(this.#next.get(operation) ?? []), ...answers])
  }

  /** Answers every call of an operation. */
  always(operation: Operation, answer: Answer): void {
    this.#always.set(operation, answer)
  }

  /** Every operation waiting for its answer. */
  get waiting(): HeldOperation[] {
    return [...this.#held]
  }

  /** The one of this kind. */
  held(operation: Operation): HeldOperation {
    for (const held of this.#held) if (held.operation === operation) return held
    throw new Error(`no ${operation} is waiting for an answer on connection ${this.id}`)
  }

  /** The other side, or the network, ends it. */
  lose(reason: MooringsError = new ConnectionLostError('The server went away', { code: '57P01' })): void {
    this.#end('lost', reason)
  }

  /** Its socket still exists. */
  get open(): boolean {
    return this.ended === undefined
  }

  assertSession(): void {
    if (this.shared) throw new PoolerError('no session here', { needs: 'session' })
  }

  /** A statement of the borrower's. One that fails inside a transaction aborts it. */
  statement(text = 'statement'): Promise<void> {
    return this.#perform('statement', text, () => {
      if (this.#status === 'failed') throw aborted()
    })
  }

  // --- Connection ---

  get lost(): MooringsError | undefined {
    return this.#lost
  }

  get activity(): 'idle' | 'running' | 'cancelling' {
    if (this.cancelling) return 'cancelling'
    return this.waiting.some(({ operation }) => operation !== 'cancel') ? 'running' : 'idle'
  }

  get waitingSince(): number | undefined {
    if (this.suspended || this.activity !== 'running') return undefined
    return Math.min(...this.waiting.filter(({ operation }) => operation !== 'cancel').map(({ since }) => since))
  }

  get transactionStatus(): TransactionStatus {
    return this.#status
  }

  get statements(): number {
    return this.sent.length
  }

  get sessionState(): 'clean' | 'dirty' | 'spoilt' {
    return this.#sessionState
  }

  declare(left: SessionState): void {
    this.sent.push(`declare ${left}`)
    if (left === 'other') this.#sessionState = 'spoilt'
    else if (this.#sessionState === 'clean') this.#sessionState = 'dirty'
  }

  keepState(_by: 'set-up' | 'statement'): void {
    this.#sessionState = 'clean'
  }

  ref(): void {
    this.referenced = true
  }

  unref(): void {
    this.referenced = false
  }

  async execute({ text }: Statement): Promise<Result> {
    await this.statement(text)
    return { rows: [], command: undefined, count: undefined }
  }

  /** Set by a test: what the transaction under way can be asked for by. */
  ticket: CommitTicket | 'nothing' | undefined

  begin(settings?: TransactionSettings): Promise<void> {
    const words = settings?.isolationLevel === undefined ? 'begin' : `begin isolation level ${settings.isolationLevel}`
    return this.#perform('begin', words, () => {
      this.#status = 'open'
    })
  }

  commit(): Promise<'committed' | 'rolled-back'> {
    let outcome: 'committed' | 'rolled-back' = 'committed'
    const done = this.#perform('commit', 'commit', () => {
      if (this.#status === 'failed') outcome = 'rolled-back'
      this.#status = 'idle'
      this.#savepoints = []
    })
    return done.then(() => outcome)
  }

  rollback(): Promise<void> {
    return this.#perform('rollback', 'rollback', () => {
      this.#status = 'idle'
      this.#savepoints = []
    })
  }

  savepoint(name: string): Promise<void> {
    return this.#perform('savepoint', `savepoint ${name}`, () => {
      if (this.#status === 'failed') throw aborted()
      this.#savepoints.push(name)
    })
  }

  rollbackTo(name: string): Promise<void> {
    return this.#perform('rollbackTo', `rollback to ${name}`, () => {
      this.#savepoints = this.#savepoints.slice(0, this.#position(name) + 1)
      this.#status = 'open'
    })
  }

  release(name: string): Promise<void> {
    return this.#perform('release', `release ${name}`, () => {
      if (this.#status === 'failed') throw aborted()
      this.#savepoints = this.#savepoints.slice(0, this.#position(name))
    })
  }

  ping(signal: AbortSignal): Promise<void> {
    return this.#perform('ping', 'ping', () => {}, signal)
  }

  reset(signal: AbortSignal): Promise<void> {
    return this.#perform(
      'reset',
      'reset',
      () => {
        this.cancelling = false
        this.#status = 'idle'
        this.#savepoints = []
        if (this.#sessionState === 'dirty') this.#sessionState = 'clean'
      },
      signal,
    )
  }

  async cancel(signal: AbortSignal): Promise<void> {
    this.sent.push('cancel')
    await this.#answer('cancel', signal).catch(() => {})
  }

  async close(signal: AbortSignal): Promise<void> {
    if (this.#lost !== undefined) return
    this.#fence(new ConnectionLostError('The pool has closed this connection'))
    // The goodbye goes on after the fence: it is what closes the socket.
    this.sent.push('close')
    const goodbye = this.#answer('close', signal)
    await goodbye
    this.#end('closed')
  }

  destroy(reason: MooringsError): void {
    this.#end('destroyed', reason)
  }

  stop(reason: MooringsError): void {
    this.sent.push('stop')
    for (const held of [...this.#held]) if (held.operation !== 'cancel') held.fail(reason)
  }

  onLost(listener: LostListener): void {
    this.#onLost = listener
    if (this.#lost !== undefined) listener(this.#lost, 'lost')
  }

  // --- inside ---

  async #perform(operation: Operation, text: string, effect: () => void, signal?: AbortSignal): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    this.sent.push(text)
    try {
      await this.#answer(operation, signal)
      // Between the answer and us, the connection may have gone: an answer that came is an answer.
      effect()
    } catch (error) {
      if (this.#lost === undefined) this.#fail(operation)
      throw error
    }
  }

  #answer(operation: Operation, signal: AbortSignal | undefined): Promise<void> {
    const answer = this.#next.get(operation)?.shift() ?? this.#always.get(operation) ?? 'ok'
    if (answer === 'ok') return Promise.resolve()
    if (answer !== 'held') return Promise.reject(answer)
    return new Promise((resolve, reject) => {
      const held: HeldOperation = {
        operation,
        since: this.#now(),
        signal,
        ok: () => {
          if (this.#held.delete(held)) resolve()
        },
        fail: (error) => {
          if (this.#held.delete(held)) reject(error)
        },
      }
      this.#held.add(held)
    })
  }

  /** What an error does to a transaction: COMMIT's ends it, any other one aborts it. */
  #fail(operation: Operation): void {
    if (operation === 'commit') this.#status = 'idle'
    else if (this.#status === 'open') this.#status = 'failed'
  }

  #position(name: string): number {
    const at = this.#savepoints.lastIndexOf(name)
    if (at < 0) throw new StatementError(`savepoint "${name}" does not exist`, { code: '3B001' })
    return at
  }

  #fence(reason: MooringsError, how: 'lost' | 'destroyed' = 'destroyed'): void {
    if (this.#lost !== undefined) return
    this.#lost = reason
    this.#onLost?.(reason, how)
  }

  /** `lost` is set before anything in flight rejects. */
  #end(how: 'lost' | 'closed' | 'destroyed', reason?: MooringsError): void {
    if (reason !== undefined) this.#fence(reason, how === 'lost' ? 'lost' : 'destroyed')
    if (this.ended !== undefined) return
    this.ended = how
    for (const held of [...this.#held]) {
      if (held.operation === 'close') held.ok()
      // A cancel goes another way.
      else if (held.operation !== 'cancel') held.fail(this.#lost ?? new ConnectionLostError('The connection is gone'))
    }
  }
}

function aborted(): StatementError {
  return new StatementError('current transaction is aborted, commands ignored until end of transaction block', {
    code: '25P02',
  })
}
