// How connections come to the pool and leave it, one by one or many at a time.

import type { Deadlines } from '../deadlines.js'
import type { Connection } from '../driver.js'
import { endpointName } from '../endpoint-name.js'
import { ConnectionLostError, type MooringsError } from '../errors.js'
import { type CloseReason, type PoolIdentity, publish } from '../events.js'
import type { Resilience } from '../options.js'
import { checkSelector } from './arguments.js'
import { Epochs } from './epochs.js'
import type { Farewells } from './farewells.js'
import type { Entry, Roster } from './roster.js'
import type { ConnectionSelector } from './setup.js'

export interface MembersParts<C extends Connection> {
  readonly pool: PoolIdentity
  readonly deadlines: Deadlines
  readonly options: Resilience['pool']
  readonly random: () => number
  readonly roster: Roster<C>
  readonly farewells: Farewells
  /** It is gone, and was in the pool until now. */
  readonly left: (entry: Entry<C>, reason: CloseReason, error: MooringsError | undefined) => void
}

export class Members<C extends Connection> {
  readonly #parts: MembersParts<C>
  readonly #epochs = new Epochs()
  /** How long a goodbye may take. */
  farewellMs: number

  constructor(parts: MembersParts<C>) {
    this.#parts = parts
    this.farewellMs = parts.options.closeTimeoutMs
  }

  get epoch(): number {
    return this.#epochs.now
  }

  /** Undefined when it is gone already. */
  add(connection: C, epoch: number): Entry<C> | undefined {
    const { options, random, deadlines, roster } = this.#parts
    const { maxLifetimeMs, lifetimeJitter } = options
    const now = deadlines.clock.now()
    const lifetimeMs = maxLifetimeMs === 0 ? Number.POSITIVE_INFINITY : maxLifetimeMs
    const entry: Entry<C> = {
      connection,
      // Connections made together must not die together.
      expiresAt: now + lifetimeMs * (1 - lifetimeJitter * random()),
      arrivedAt: now,
      idleSince: now,
      seenAt: now,
      uses: 0,
      role: connection.role,
      stale: this.#epochs.outdated(epoch, connection.endpoint),
      lease: undefined,
      state: 'idle',
      givenUp: undefined,
    }
    roster.add(entry)
    connection.onLost((reason, how) => this.forget(entry, how, reason))
    return roster.has(entry) ? entry : undefined
  }

  /** Politely. */
  retire(entry: Entry<C>, reason: CloseReason): void {
    if (this.forget(entry, reason, undefined)) this.#parts.farewells.say(entry.connection, this.farewellMs, reason)
  }

  /** At once; what runs on it is rejected with the error. */
  evict(entry: Entry<C>, reason: CloseReason, error: MooringsError): void {
    this.forget(entry, reason, error)
    entry.connection.destroy(error)
  }

  /** From whoever has it; the server is told to stop what it does for them. */
  takeBack(entry: Entry<C>, reason: CloseReason, error: MooringsError): void {
    if (entry.connection.activity !== 'idle') this.#parts.farewells.cancel(entry.connection)
    this.evict(entry, reason, error)
  }

  forget(entry: Entry<C>, reason: CloseReason, error: MooringsError | undefined): boolean {
    const was = this.#parts.roster.remove(entry, reason, error)
    if (was) this.#parts.left(entry, reason, error)
    return was
  }

  /** Those meant retire as soon as nobody uses them, and so will those under way to an endpoint that is meant. */
  invalidate(selector: ConnectionSelector | undefined): number {
    const meant = this.#select(selector)
    for (const entry of meant) {
      entry.stale = true
      if (entry.state === 'idle') this.retire(entry, 'epoch')
    }
    this.#tell('invalidate', selector, meant.length)
    return meant.length
  }

  /** Those meant go now, lent or not. */
  evictAll(selector: ConnectionSelector | undefined): number {
    const meant = this.#select(selector)
    const error = () => new ConnectionLostError('The connection was evicted from the pool')
    for (const entry of meant) this.takeBack(entry, 'evicted', error())
    this.#tell('evict', selector, meant.length)
    return meant.length
  }

  #select(selector: ConnectionSelector | undefined): Entry<C>[] {
    checkSelector(selector)
    const all = this.#parts.roster.all()
    if (selector?.id !== undefined) return all.filter(({ connection }) => connection.id === selector.id)
    const { endpoint } = selector ?? {}
    this.#epochs.raise(endpoint)
    if (endpoint === undefined) return all
    const name = endpointName(endpoint)
    return all.filter(({ connection }) => endpointName(connection.endpoint) === name)
  }

  #tell(how: 'invalidate' | 'evict', selector: ConnectionSelector | undefined, connections: number): void {
    const { id, endpoint } = selector ?? {}
    publish('moorings:pool:invalidated', this.#parts.pool, () => ({
      how,
      connections,
      ...(id === undefined ? {} : { id }),
      ...(endpoint === undefined ? {} : { endpoint: endpointName(endpoint) }),
    }))
  }
}
