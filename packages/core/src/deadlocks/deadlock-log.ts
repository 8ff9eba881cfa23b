// Deadlocks, counted by who was in whose way: the same two statements are the same pair, whichever was the victim.

import { type Counted, Tally } from '../tally.js'
import type { Deadlock, DeadlockSide } from './deadlock.js'
import { targetOf } from './statement-target.js'

/** An application with more pairs than these has other worries. */
const MOST = 100
/** Names and numbers kept of one pair. */
const MOST_NAMES = 8
/** Over which the rate is reckoned: what was this long ago counts for a third. */
const WINDOW_MS = 3_600_000

/** What is known of a pair. */
export interface KnownPair {
  readonly sides: readonly DeadlockSide[]
  /** Tables and indexes that the server has named, or the statements show. */
  readonly relations: Set<string>
  /** Relations of which the server has told the number only. */
  readonly relationIds: Set<number>
  /** Tables where a foreign key's rows were being looked for. */
  readonly checked: Set<string>
  /** Deadlocks in an hour, when it was last reckoned. */
  rate: number
}

export type LoggedPair = Readonly<Counted> & { readonly thing: KnownPair; readonly perHour: number }

export class DeadlockLog {
  readonly #wallClock: () => number
  readonly #tally = new Tally<KnownPair>(MOST)
  #total = 0
  #since: number

  constructor(wallClock: () => number = Date.now) {
    this.#wallClock = wallClock
    this.#since = wallClock()
  }

  noted({ sides, checked }: Deadlock): void {
    this.#total++
    const ordered = inOrder(sides)
    const name = JSON.stringify(ordered.map(identity))
    const make = (): KnownPair => ({
      sides: ordered.map((side) => ({ ...side, pid: undefined })),
      relations: new Set(),
      relationIds: new Set(),
      checked: new Set(),
      rate: 0,
    })
    const now = this.#wallClock()
    const before = this.#tally.lastSeenAt(name) ?? now
    const { thing: pair } = this.#tally.note(name, make, now)
    pair.rate = decayed(pair.rate, now - before) + 1
    for (const { relation, waitsFor, objects, statement } of sides) {
      const shown = statement === undefined ? undefined : targetOf(statement).relation
      for (const known of [relation, shown]) if (known !== undefined) add(pair.relations, known)
      if (waitsFor === 'relation' || waitsFor === 'row') for (const id of objects) add(pair.relationIds, id)
    }
    for (const table of checked) {
      add(pair.checked, table)
      add(pair.relations, table)
    }
  }

  get total(): number {
    return this.#total
  }

  get since(): number {
    return this.#since
  }

  /** Deadlocks of pairs that are not kept. */
  get others(): number {
    return this.#tally.others
  }

  /** The most frequent first. */
  get pairs(): readonly LoggedPair[] {
    const now = this.#wallClock()
    return this.#tally.entries.map((entry) => ({
      ...entry,
      perHour: decayed(entry.thing.rate, now - entry.lastSeenAt),
    }))
  }

  reset(): void {
    this.#tally.reset()
    this.#total = 0
    this.#since = this.#wallClock()
  }
}

/** The same, whoever was the victim: a cycle is read from its first side in the alphabet. */
function inOrder(sides: readonly DeadlockSide[]): readonly DeadlockSide[] {
  const turns = sides.map((_, start) => [...sides.slice(start), ...sides.slice(0, start)])
  const named = turns.map((turn) => ({ turn, name: JSON.stringify(turn.map(identity)) }))
  named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  return named[0]?.turn ?? sides
}

/** A statement is known from either end; where one waited only from its own. */
function identity({ statement, waitsFor, lockMode, objects }: DeadlockSide): readonly unknown[] {
  return statement === undefined ? [null, waitsFor, lockMode, ...objects] : [statement]
}

function decayed(rate: number, forMs: number): number {
  return rate * Math.exp(-Math.max(0, forMs) / WINDOW_MS)
}

function add<T>(known: Set<T>, value: T): void {
  if (known.size < MOST_NAMES) known.add(value)
}
