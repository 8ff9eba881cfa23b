// Those who borrow from a pool that the model follows: what they do, and whether they are told what the model expects.

import { AsyncResource } from 'node:async_hooks'
import { ConnectionLostError, StatementError } from '../errors.js'
import type { FakeLease, FakePool } from './fixture.js'
import type { Borrower } from './model-parts.js'
import type { ModelRun } from './model-run.js'
import { type Watched, watch } from './watch.js'

export interface Caller {
  readonly borrower: Borrower
  readonly asked: Watched<FakeLease>
  readonly abort: AbortController
  /** Set if it borrows for the length of a body. */
  readonly body: Body | undefined
  /** It has given back what it held, or will in this turn. */
  released: boolean
}

/** A body of `pool.lease()` that goes on until it is told to end. */
class Body {
  /** The call chain of the body, once it runs. */
  chain: AsyncResource | undefined
  end: (error?: Error) => void = () => {}
  readonly ended: Promise<void> = new Promise((resolve, reject) => {
    this.end = (error) => (error === undefined ? resolve() : reject(error))
  })

  /** @param begun called within the body */
  run(pool: FakePool, signal: AbortSignal, begun: () => void): Promise<FakeLease> {
    return new Promise((resolve, reject) => {
      const body = (lease: FakeLease) => {
        this.chain = new AsyncResource('body')
        resolve(lease)
        begun()
        return this.ended
      }
      pool.lease(body, { signal }).catch(reject)
    })
  }
}

/** What somebody may do on a connection, and leave behind. */
export const uses = [
  'a statement',
  'BEGIN',
  'SET',
  'a statement that fails',
  'a statement that is not answered',
  'what cannot be undone',
  'what destroys it',
] as const

export class Callers {
  readonly #run: ModelRun
  #count = 0
  /** Those of whom something is still to come. */
  #active: Caller[] = []

  constructor(run: ModelRun) {
    this.#run = run
  }

  get waiting(): Caller[] {
    return this.#active.filter(({ borrower }) => borrower.state === 'waiting')
  }

  get holding(): Caller[] {
    return this.#active.filter(({ asked, released }) => asked.state === 'resolved' && !released)
  }

  get inBodies(): Caller[] {
    return this.holding.filter(({ body }) => body?.chain !== undefined)
  }

  // --- what they do ---

  acquire({ timeoutMs, aborted = false, brief = false }: Asking = {}): Caller {
    const abort = new AbortController()
    if (aborted) abort.abort()
    const { signal } = abort
    return this.#ask((pool) => pool.acquire({ signal, timeoutMs, brief }), { timeoutMs, abort })
  }

  /** From within the body of one who holds a connection already. */
  acquireWithin(outer: Caller): void {
    const abort = new AbortController()
    const { signal } = abort
    const within = outer.borrower
    // Long enough for the pool to find out that nobody will ever give one back.
    const timeoutMs = 3_000
    const request = (pool: FakePool) => pool.acquire({ signal, timeoutMs })
    outer.body?.chain?.runInAsyncScope(() => this.#ask(request, { timeoutMs, abort, within }))
  }

  /** @param greedy whether the body asks for another one as soon as it runs */
  lease(greedy = false): void {
    const body = new Body()
    const abort = new AbortController()
    const begun = () => {
      if (greedy) this.acquireWithin(caller)
    }
    const caller = this.#ask((pool) => body.run(pool, abort.signal, begun), { abort, body })
  }

  tryAcquire(): void {
    const { model, setup } = this.#run
    const borrower = this.#asks()
    const lease = setup.pool.tryAcquire()
    model.asking = undefined
    if (lease !== undefined) {
      const asked = watch(Promise.resolve(lease))
      this.#active.push({ borrower, asked, abort: new AbortController(), body: undefined, released: false })
    } else if (borrower.state === 'asking') borrower.state = 'over'
    else model.breaches.push(`${borrower.name} was lent something and is not told`)
  }

  abort({ borrower, abort }: Caller): void {
    const { model } = this.#run
    borrower.aborted = true
    model.aborting = borrower
    abort.abort()
    model.aborting = undefined
  }

  release(caller: Caller, twice = false): void {
    caller.released = true
    if (caller.body !== undefined) caller.body.end()
    else caller.asked.value.release()
    // It must make no difference.
    if (twice) caller.asked.value.release()
  }

  /** The connection is to be replaced. */
  invalidate({ borrower, asked }: Caller): void {
    const member = this.#run.model.lives.get(borrower.connection ?? 0)
    if (member !== undefined) member.stale = true
    asked.value.invalidate()
  }

  use({ asked }: Caller, how: (typeof uses)[number]): void {
    if (asked.value.lost) return
    const { connection } = asked.value
    const failed = new StatementError('no')
    if (how === 'SET' || how === 'what cannot be undone') connection.declare(how === 'SET' ? 'settings' : 'other')
    else if (how === 'what destroys it') connection.destroy(new ConnectionLostError('given up'))
    else if (how === 'BEGIN') void connection.begin().catch(() => {})
    else {
      if (how === 'a statement that fails') connection.next('statement', failed)
      if (how === 'a statement that is not answered') connection.next('statement', 'held')
      void connection.statement().catch(() => {})
    }
  }

  // --- what they are told ---

  /** Whoever is told something else than the model expects. */
  disappointed(): string[] {
    const found = this.#active.flatMap((caller) => this.#disappointment(caller) ?? [])
    // A lease that has lost its connection is still to be released.
    this.#active = this.#active.filter(
      ({ borrower, asked, released }) => borrower.state !== 'over' || (asked.state === 'resolved' && !released),
    )
    return found
  }

  #disappointment({ borrower, asked, released }: Caller): string | undefined {
    const { name, state, error, connection } = borrower
    if (state === 'asking') return `${name} was neither lent anything, nor does it wait, nor was it refused`
    const expected = state === 'waiting' ? 'pending' : error === undefined ? 'resolved' : 'rejected'
    if (asked.state !== expected) return `${name} should be ${expected}, and is ${asked.state}`
    if (error !== undefined) return asked.error === error ? undefined : `${name} is told ${asked.error}, not ${error}`
    if (state === 'waiting' || released) return undefined
    const { lost } = asked.value
    if (lost !== (state === 'over')) return `${name} has a lease that is ${lost ? 'lost' : 'not lost'}`
    const given = lost ? connection : asked.value.connection.id
    return given === connection ? undefined : `${name} is given connection ${given}, not ${connection}`
  }

  // --- inside ---

  #asks(timeoutMs = this.#run.scenario.pool.acquireTimeoutMs, within?: Borrower): Borrower {
    const { model } = this.#run
    const borrower = model.borrower(`caller ${this.#count++}`, timeoutMs, within)
    model.asking = borrower
    return borrower
  }

  #ask(
    request: (pool: FakePool) => Promise<FakeLease>,
    { timeoutMs, abort, body, within }: Asking & Pick<Caller, 'abort'> & { body?: Body; within?: Borrower },
  ): Caller {
    const { model, setup } = this.#run
    const borrower = this.#asks(timeoutMs, within)
    borrower.aborted = abort.signal.aborted
    const asked = watch(request(setup.pool))
    model.asking = undefined
    const caller: Caller = { borrower, asked, abort, body, released: false }
    this.#active.push(caller)
    return caller
  }
}

export interface Asking {
  readonly timeoutMs?: number | undefined
  readonly aborted?: boolean
  readonly brief?: boolean
}
