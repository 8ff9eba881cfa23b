// Named pools that start and end together: all of them or none. It knows pools only by what it asks of them.

import { ConnectError, InvalidOptionsError, isMooringsError, PoolClosedError } from './errors.js'
import type { HealthStatus } from './events.js'
import { describeGiven } from './option-problems.js'
import type { StartOptions } from './pool/setup.js'

/** What a registry asks of a pool; `Pool` is one. */
export interface ManagedPool {
  readonly closed: boolean
  /** Resolves once it has the connections it keeps, rejects when it cannot have them. */
  start(options?: StartOptions): Promise<void>
  stats(): unknown
  /** Never rejects: what is wrong is in the answer. */
  health(): Promise<{ readonly status: HealthStatus }>
  /** Never rejects. A closed pool stays closed. */
  close(options?: { readonly timeoutMs?: number }): Promise<void>
}

/** How to make each pool, and to make it anew: a closed one cannot be started again. */
export type PoolFactories<Pools> = { readonly [Name in keyof Pools]: () => Pools[Name] }

/** The health of each pool, and the worst of them. */
export interface RegistryHealth<Pools extends Record<string, ManagedPool>> {
  readonly status: HealthStatus
  readonly pools: { readonly [Name in keyof Pools]: Awaited<ReturnType<Pools[Name]['health']>> }
}

const byWorst: readonly HealthStatus[] = ['unhealthy', 'degraded', 'healthy']

/**
 * Pools by name. A driver's package makes one (`createPools` of `@moorings/postgres`); it is in no global place, so keep
 * it where the application keeps its other parts.
 *
 * A pool is had by `pools.get('primary')`, with its type, rather than as `pools.primary`: names may come from data
 * (tenants), and a pool called `start`, `close` or `then` must neither hide a method nor be forbidden.
 *
 * @example
 * const pools = createPools({ primary: primaryUrl, replica: replicaUrl })
 * await pools.start()
 * const db = drizzle({ client: pools.get('primary') })
 * // …
 * await pools.close()
 */
export class PoolRegistry<Pools extends Record<string, ManagedPool>> {
  readonly #slots: { readonly [Name in keyof Pools]: Slot<Pools[Name]> }
  #starting: Promise<void> | undefined
  #closed = false
  #closing: Promise<void> | undefined

  /** Makes every pool at once. What a factory throws comes out as it is, after the pools made before were closed. */
  constructor(factories: PoolFactories<Pools>) {
    const made: ManagedPool[] = []
    try {
      this.#slots = byName(factories, (make) => {
        const slot = new Slot(make)
        made.push(slot.pool)
        return slot
      })
    } catch (error) {
      void closeAll(made, { timeoutMs: 0 })
      throw error
    }
  }

  /** The names, in the order they were given. */
  get names(): readonly (keyof Pools & string)[] {
    return Object.keys(this.#slots)
  }

  /**
   * The pool of that name. It stays the same one, unless a `start()` fails, which closes it: get it after `start()`.
   *
   * @throws InvalidOptionsError when there is none, which only a name that comes from data can come to
   */
  get<Name extends keyof Pools & string>(name: Name): Pools[Name] {
    if (!Object.hasOwn(this.#slots, name)) {
      const known = this.names.map((one) => JSON.stringify(one)).join(', ')
      const allowed = known === '' ? 'nothing: there are no pools' : `one of ${known}`
      throw new InvalidOptionsError([{ path: 'name', given: describeGiven(name), allowed }])
    }
    const slot = this.#slots[name]
    if (!this.#closed) slot.replaceDropped()
    return slot.pool
  }

  /**
   * Starts every pool, and resolves once each has its first connections. If one cannot have them, all are closed again
   * before it rejects, except those that an earlier `start()` has started. Calls at the same time share one start; once
   * all run, it does nothing; after a failed one, or for a pool that somebody has closed, it makes new pools.
   *
   * @param options for each pool: `timeoutMs` (default: its own `acquireTimeoutMs`), and `failFast`, whether the first
   *   failure to connect ends its start, rather than being tried again until the time is over (default false)
   * @throws ConnectError naming the pools that failed; its `cause` is an AggregateError with the error of each, in the
   *   order of their names
   * @throws PoolClosedError after `close()`, also one that comes while it starts
   */
  start(options?: StartOptions): Promise<void> {
    if (this.#closed) return Promise.reject(new PoolClosedError('The pools are closed: they cannot be started again'))
    this.#starting ??= this.#start(options).finally(() => {
      this.#starting = undefined
    })
    return this.#starting
  }

  async #start(options: StartOptions | undefined): Promise<void> {
    const slots = Object.entries(this.#slots).filter(([, slot]) => !slot.started)
    // All are waited for, so that whoever repairs the configuration hears of everything that is wrong with it.
    const outcomes = await Promise.allSettled(slots.map(([, slot]) => slot.start(options)))
    const failed = slots.flatMap(([name], i): Failure[] => {
      const outcome = outcomes[i]
      return outcome?.status === 'rejected' ? [{ name, error: outcome.reason }] : []
    })
    if (this.#closed) throw new PoolClosedError('The pools were closed while they were being started')
    if (failed.length === 0) return
    await Promise.all(slots.map(([, slot]) => slot.drop()))
    throw startError(failed, this.names.length)
  }

  /** What `stats()` of each pool says, by name. */
  stats(): { readonly [Name in keyof Pools]: ReturnType<Pools[Name]['stats']> } {
    return byName(this.#slots, ({ pool }) => pool.stats())
  }

  /** Asks every pool at the same time, each within its own limit. */
  async health(): Promise<RegistryHealth<Pools>> {
    const answers = await Promise.all(
      Object.entries(this.#slots).map(async ([name, { pool }]) => [name, await pool.health()] as const),
    )
    const status = byWorst.find((one) => answers.some(([, health]) => health.status === one)) ?? 'healthy'
    const health = new Map<string, unknown>(answers)
    return { status, pools: byName(this.#slots, (_, name) => health.get(name)) }
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Closes every pool at the same time, each within `timeoutMs` (default: its own `closeTimeoutMs`), and ends a start under
   * way. Never rejects; called again, it waits for the same end.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void> {
    this.#closed = true
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  async #close(options: { readonly timeoutMs?: number } | undefined): Promise<void> {
    await closeAll(
      Object.values(this.#slots).map(({ pool }) => pool),
      options,
    )
    await this.#starting?.catch(() => {})
  }
}

/** A name's pool of today. */
class Slot<P extends ManagedPool> {
  readonly #make: () => P
  #pool: P
  #started = false
  /** Closed by a start that failed, rather than by somebody who wants it closed. */
  #dropped = false

  constructor(make: () => P) {
    this.#make = make
    this.#pool = make()
  }

  get pool(): P {
    return this.#pool
  }

  get started(): boolean {
    return this.#started && !this.#pool.closed
  }

  async start(options: StartOptions | undefined): Promise<void> {
    if (this.#pool.closed) this.#replace()
    await this.#pool.start(options)
    this.#started = true
  }

  async drop(): Promise<void> {
    this.#dropped = true
    await closeAll([this.#pool])
  }

  replaceDropped(): void {
    if (this.#dropped) this.#replace()
  }

  #replace(): void {
    this.#pool = this.#make()
    this.#started = false
    this.#dropped = false
  }
}

async function closeAll(pools: readonly ManagedPool[], options?: { readonly timeoutMs?: number }): Promise<void> {
  await Promise.allSettled(pools.map(async (pool) => pool.close(options)))
}

interface Failure {
  readonly name: string
  readonly error: unknown
}

function startError(failed: readonly Failure[], count: number): ConnectError {
  const errors = failed.map(({ error }) => error)
  const list = failed.map(({ name, error }) => `${name} (${error instanceof Error ? error.message : String(error)})`)
  const message = `${failed.length} of ${count} pools could not be started: ${list.join('; ')}`
  const codes = new Set(errors.map((error) => (isMooringsError(error) ? error.code : undefined)))
  const hopeless = errors.some((error) => isMooringsError(error) && error.retry === 'never')
  return new ConnectError(message, {
    code: codes.size === 1 ? [...codes][0] : undefined,
    cause: new AggregateError(errors, message),
    retry: hopeless ? 'never' : 'reconnect',
  })
}

/**
 * An object of the same names with something else behind each, as the caller says in `Result`: which type belongs to
 * which name is lost on the way through any loop.
 */
function byName<Source extends object, Result>(
  source: Source,
  of: (value: Source[keyof Source & string], name: string) => unknown,
): Result {
  const entries: [string, Source[keyof Source & string]][] = Object.entries(source)
  return Object.fromEntries(entries.map(([name, value]) => [name, of(value, name)])) as Result
}
