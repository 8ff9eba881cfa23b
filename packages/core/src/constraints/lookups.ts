// What the database itself says of its constraints: asked once for each table, kept, and never waited for longer than
// allowed.

import type { Deadline, Deadlines } from '../deadlines.js'
import type { Connection, Driver } from '../driver.js'
import type { ConstraintSite } from '../errors.js'
import type { Catalogue } from './catalogue.js'
import type { ConstraintFacts } from './facts.js'

/** What an application has of tables; generated ones (temporary ones, a tenant's) could be any number. */
const MOST_KEPT = 1_000
/** How long it is believed that there is no such constraint: a migration may be under way. */
const MISSED_MS = 60_000
/** How long the catalogue is left alone after it could not be read. */
const FAILED_MS = 5_000
/** How often it is then asked again by itself, so that the next violation does not go without what this one had to. */
const MOST_TRIES = 3
/** Of how many tables. */
const MOST_TRIED = 20

export interface LookupParts<C extends Connection> {
  readonly driver: Driver<C>
  readonly deadlines: Deadlines
  readonly catalogue: Catalogue<C>
  readonly limitMs: number
  /** How many connections the pool may have. */
  readonly capacity: () => number
  readonly closed: () => boolean
}

/** By name; what may not be null is there by ''. */
type TableFacts = ReadonlyMap<string, ConstraintFacts>

interface Flight {
  readonly startedAt: number
  readonly over: Promise<TableFacts | undefined>
}

interface Question {
  readonly site: ConstraintSite
  /** By itself, as it could not be answered before. */
  readonly tries: number
}

export class Lookups<C extends Connection> {
  readonly #parts: LookupParts<C>
  /** By table; the one used last is the last. */
  readonly #kept = new Map<string, TableFacts>()
  /** Tables, and constraints of tables, that are not asked about until then. */
  readonly #left = new Map<string, number>()
  /** By table. */
  readonly #flights = new Map<string, Flight>()
  /** By table: what is asked again by itself, one after the other. */
  readonly #again = new Map<string, Question>()
  #nextTry: Deadline | undefined
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
    if (driver.constraintsOf === undefined || limitMs === 0) return undefined
    const table = tableKey(site)
    const known = this.#kept.get(table)
    if (known !== undefined) keep(this.#kept, table, known)
    const facts = factsIn(known, site)
    if (facts !== undefined) return facts
    const now = deadlines.clock.now()
    if (closed() || this.#isLeft(table, now) || this.#isLeft(siteKey(site), now)) return undefined
    const flight = this.#flights.get(table) ?? this.#begin({ site, tries: 0 }, now)
    const leftMs = flight.startedAt + limitMs - now
    // It has kept others waiting for as long as it may.
    if (!wait || leftMs <= 0) return undefined
    // If every connection was held by somebody who waits, none could be had to look anything up.
    if (holds && this.#holding + 1 >= this.#parts.capacity()) return undefined
    return this.#wait(flight, site, holds, leftMs)
  }

  /** Whoever waits is told at once. */
  end(): void {
    this.#again.clear()
    for (const stop of this.#waiting) stop()
  }

  async #wait({ over }: Flight, site: ConstraintSite, holds: boolean, leftMs: number): Promise<Found> {
    const { deadlines } = this.#parts
    if (holds) this.#holding++
    let stop = () => {}
    const enough = new Promise<undefined>((resolve) => {
      stop = () => resolve(undefined)
    })
    const deadline = deadlines.awaited(leftMs, stop)
    this.#waiting.add(stop)
    try {
      return factsIn(await Promise.race([over, enough]), site)
    } finally {
      deadlines.delete(deadline)
      this.#waiting.delete(stop)
      if (holds) this.#holding--
    }
  }

  #begin({ site, tries }: Question, startedAt: number): Flight {
    const { clock } = this.#parts.deadlines
    // A copy: what is asked is not to change with the error.
    const { constraint, schema, table: name } = site
    const copy = { constraint, schema, table: name }
    const table = tableKey(site)
    const asked = this.#ask(copy, tries === 0)
    const over = asked.then(
      (found) => {
        const facts = new Map(found.map((one) => [one.name, one]))
        keep(this.#kept, table, facts)
        if (factsIn(facts, copy) === undefined) keep(this.#left, siteKey(copy), clock.now() + MISSED_MS)
        return facts
      },
      () => {
        keep(this.#left, table, clock.now() + FAILED_MS)
        if (tries < MOST_TRIES) this.#askAgain(table, { site: copy, tries: tries + 1 })
        return undefined
      },
    )
    const flight: Flight = { startedAt, over }
    this.#flights.set(table, flight)
    void over.then(() => {
      this.#flights.delete(table)
      this.#tryNext()
    })
    return flight
  }

  #isLeft(key: string, now: number): boolean {
    return (this.#left.get(key) ?? 0) > now
  }

  #askAgain(table: string, question: Question): void {
    if (this.#parts.catalogue.ended || this.#again.size >= MOST_TRIED) return
    this.#again.set(table, question)
  }

  /** When nothing else is being asked: it is in no hurry. */
  #tryNext(): void {
    if (this.#nextTry !== undefined || this.#again.size === 0) return
    const due = () => {
      this.#nextTry = undefined
      if (this.#flights.size > 0 || this.#parts.closed()) return
      const [next] = this.#again
      if (next === undefined) return
      const [table, question] = next
      this.#again.delete(table)
      if (this.#kept.has(table)) this.#tryNext()
      else this.#begin(question, this.#parts.deadlines.clock.now())
    }
    this.#nextTry = this.#parts.deadlines.add(FAILED_MS, due, false)
  }

  /** Also when nobody waits any more: it is for the next one, too. Who waits for it may hold what the others wait for. */
  #ask(site: ConstraintSite, urgent: boolean): Promise<readonly ConstraintFacts[]> {
    const { driver, catalogue, limitMs } = this.#parts
    const question = async (connection: C, signal: AbortSignal) =>
      (await driver.constraintsOf?.(site, connection, signal)) ?? []
    return catalogue.ask(question, limitMs, urgent)
  }
}

type Found = ConstraintFacts | undefined

function tableKey({ schema, table }: ConstraintSite): string {
  return JSON.stringify([schema, table])
}

function siteKey({ schema, table, constraint }: ConstraintSite): string {
  return JSON.stringify([schema, table, constraint ?? ''])
}

function factsIn(known: TableFacts | undefined, { constraint, columns }: ConstraintSite): Found {
  const facts = known?.get(constraint ?? '')
  if (facts === undefined || constraint !== undefined) return facts
  // The server names the column: what is known is whose it is.
  const { partitionOf } = facts
  return partitionOf === undefined ? facts : { ...facts, partitionOf: { ...partitionOf, columns } }
}

function keep<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= MOST_KEPT) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}
