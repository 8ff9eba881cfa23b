// What the database itself says of its constraints: asked once for each, kept, and never waited for longer than allowed.

import { AsyncResource } from 'node:async_hooks'
import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver } from '../driver.js'
import { type ConstraintSite, StatementTimeoutError } from '../errors.js'
import type { AcquireOptions } from '../pool/setup.js'
import type { ConstraintFacts } from './facts.js'

/** What an application has of constraints; those of generated tables (temporary ones, a tenant's) could be any number. */
const MOST_KEPT = 1_000
/** How long it is believed that there is no such constraint: a migration may be under way. */
const MISSED_MS = 60_000
/** How long the catalogue is left alone after it could not be read. */
const FAILED_MS = 5_000

export interface LookupParts<C extends Connection> {
  readonly driver: Driver<C>
  readonly deadlines: Deadlines
  readonly limitMs: number
  /** Runs the body with a connection of the pool. */
  readonly lease: <T>(body: (lease: { readonly connection: C }) => Promise<T>, options: AcquireOptions) => Promise<T>
  /** How many connections the pool may have. */
  readonly capacity: () => number
  readonly closed: () => boolean
}

interface Flight {
  readonly startedAt: number
  readonly over: Promise<ConstraintFacts | undefined>
}

interface Kept {
  readonly facts: ConstraintFacts | undefined
  readonly until: number
}

export class Lookups<C extends Connection> {
  readonly #parts: LookupParts<C>
  /** The one used last is the last. */
  readonly #kept = new Map<string, Kept>()
  readonly #flights = new Map<string, Flight>()
  readonly #end = new AbortController()
  /** In nobody's async context: it is not the business of whoever happened to violate the constraint first. */
  readonly #scope = new AsyncResource('moorings:constraints')
  /** Those that wait. */
  readonly #waiting = new Set<() => void>()
  /** Of these, who holds a connection of the pool meanwhile. */
  #holding = 0

  constructor(parts: LookupParts<C>) {
    this.#parts = parts
  }

  /**
   * @param site with a schema and a table
   * @param holds whether whoever waits holds a connection of the pool meanwhile
   * @param wait whether anybody may wait at all; it is looked up all the same, for the next time
   * @returns the facts at once where they are known; a promise never rejects, nor lasts longer than the limit
   */
  find(site: ConstraintSite, holds: boolean, wait: boolean): Found | Promise<Found> {
    const { driver, deadlines, limitMs, closed } = this.#parts
    if (driver.constraintOf === undefined || limitMs === 0) return undefined
    const key = JSON.stringify([site.schema, site.table, site.constraint ?? '', site.constraint ?? site.columns])
    const now = deadlines.clock.now()
    const kept = this.#kept.get(key)
    if (kept !== undefined && kept.until > now) {
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      return kept.facts
    }
    if (closed()) return undefined
    const flight = this.#flights.get(key) ?? this.#begin(key, site, now)
    const leftMs = flight.startedAt + limitMs - now
    // It has kept others waiting for as long as it may.
    if (!wait || leftMs <= 0) return undefined
    // If every connection was held by somebody who waits, none could be had to look anything up.
    if (holds && this.#holding + 1 >= this.#parts.capacity()) return undefined
    return this.#wait(flight, holds, leftMs)
  }

  /** Whoever waits is told at once. */
  end(): void {
    this.#end.abort()
    for (const stop of this.#waiting) stop()
  }

  async #wait({ over }: Flight, holds: boolean, leftMs: number): Promise<Found> {
    const { deadlines } = this.#parts
    if (holds) this.#holding++
    let stop = () => {}
    const enough = new Promise<undefined>((resolve) => {
      stop = () => resolve(undefined)
    })
    const deadline = deadlines.awaited(leftMs, stop)
    this.#waiting.add(stop)
    try {
      return await Promise.race([over, enough])
    } finally {
      deadlines.delete(deadline)
      this.#waiting.delete(stop)
      if (holds) this.#holding--
    }
  }

  #begin(key: string, site: ConstraintSite, startedAt: number): Flight {
    const { clock } = this.#parts.deadlines
    // A copy: what is asked is not to change with the error.
    const { constraint, schema, table, columns } = site
    const asked = this.#scope.runInAsyncScope(() => this.#ask({ constraint, schema, table, columns }))
    const over = asked.then(
      (facts) => {
        this.#keep(key, facts, facts === undefined ? clock.now() + MISSED_MS : Number.POSITIVE_INFINITY)
        return facts
      },
      () => {
        this.#keep(key, undefined, clock.now() + FAILED_MS)
        return undefined
      },
    )
    const flight: Flight = { startedAt, over }
    this.#flights.set(key, flight)
    void over.then(() => this.#flights.delete(key))
    return flight
  }

  /** As long as it takes to have a connection, also when nobody waits any more: it is for the next one, too. */
  async #ask(site: ConstraintSite): Promise<ConstraintFacts | undefined> {
    const { lease, driver, deadlines, limitMs } = this.#parts
    const late = () => new StatementTimeoutError(`The catalogue was not read within ${limitMs} ms`)
    // First: whoever waits for it may hold what the others wait for.
    return lease(
      ({ connection }) =>
        deadlines.limit(limitMs, late, async (signal) => {
          const either = AbortSignal.any([signal, this.#end.signal])
          return driver.constraintOf?.(site, connection, either)
        }),
      { signal: this.#end.signal, brief: true, urgent: true },
    )
  }

  #keep(key: string, facts: ConstraintFacts | undefined, until: number): void {
    this.#kept.delete(key)
    this.#kept.set(key, { facts, until })
    if (this.#kept.size <= MOST_KEPT) return
    const [oldest] = this.#kept.keys()
    if (oldest !== undefined) this.#kept.delete(oldest)
  }
}

type Found = ConstraintFacts | undefined
