// The breakers there are in this process, of every copy of the package, and how they are. They are held weakly: whoever
// makes breakers and forgets them, as a development server does with each edit, keeps nothing but their names.

import type { BreakerKind } from '../events.js'
import type { Breaker, BreakerStats } from './breaker.js'

/** What can be asked of a breaker and done to it; another copy of the package may have made it. */
export type RegisteredBreaker = Pick<
  Breaker,
  'name' | 'kind' | 'state' | 'retryInMs' | 'stats' | 'forceOpen' | 'forceClose' | 'reset'
>

/** How all breakers of the process are. */
export interface BreakerHealth {
  /**
   * - `up`: all are closed
   * - `down`: there are some for a database, and every one of them is open
   * - `degraded`: anything between
   */
  readonly status: 'up' | 'degraded' | 'down'
  /** How many there are. */
  readonly total: number
  /** Those that are open, half-open, or open by hand. */
  readonly open: readonly BreakerStats[]
}

/** Another copy of this package reads what is kept here: whoever changes what that is changes this name. */
const key = Symbol.for('moorings.breakers.1')

/**
 * Every breaker of this process that somebody still has, in the order in which they were made: one for each endpoint of
 * each pool, and one for each `guard()`.
 *
 * @example
 * // The mail server is being moved: do not try it.
 * breakers().find(({ name }) => name === 'mail')?.forceOpen()
 */
export function breakers(): readonly RegisteredBreaker[] {
  const kept = keptBreakers()
  const found: RegisteredBreaker[] = []
  for (const [place, reference] of kept) {
    const breaker = reference.deref()
    if (breaker === undefined) kept.delete(place)
    else found.push(breaker)
  }
  return found
}

/** What a health check tells of them. It asks nobody: it is what the last calls have found. */
export function breakerHealth(): BreakerHealth {
  const all = breakers().map((breaker) => breaker.stats())
  const open = all.filter(({ state }) => state !== 'closed' && state !== 'forced-closed')
  const [databases, openDatabases] = [all, open].map((some) => some.filter(({ kind }) => kind === 'database').length)
  const down = databases !== 0 && databases === openDatabases
  return Object.freeze({
    status: down ? 'down' : open.length > 0 ? 'degraded' : 'up',
    total: all.length,
    open: Object.freeze(open),
  })
}

/** @returns the name it goes by: two pools of one server, and a module evaluated anew, are no mistakes */
export function registerBreaker(breaker: RegisteredBreaker, kind: BreakerKind, wanted: string): string {
  const kept = keptBreakers()
  let name = wanted
  for (let n = 2; kept.get(placeOf(kind, name))?.deref() !== undefined; n++) name = `${wanted} (${n})`
  kept.set(placeOf(kind, name), new WeakRef(breaker))
  return name
}

export function unregisterBreaker(breaker: RegisteredBreaker): void {
  const kept = keptBreakers()
  const place = placeOf(breaker.kind, breaker.name)
  if (kept.get(place)?.deref() === breaker) kept.delete(place)
}

function placeOf(kind: BreakerKind, name: string): string {
  return `${kind} ${name}`
}

function keptBreakers(): Map<string, WeakRef<RegisteredBreaker>> {
  const found: unknown = Reflect.get(globalThis, key)
  if (found instanceof Map) return found
  const made = new Map<string, WeakRef<RegisteredBreaker>>()
  // Not enumerable: whoever prints globalThis need not see it.
  Object.defineProperty(globalThis, key, { value: made, configurable: true })
  return made
}
