// A stretch of work in which whoever has written reads what it wrote: a request, mostly. What has been written is not on a
// replica at once, so from the first write on its reads are the primary's.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { z } from 'zod'
import { assertFunction, begun, isLazy } from '../begun.js'
import { InvalidOptionsError } from '../errors.js'
import { checkBy, strictOptions } from '../option-problems.js'
import { flag } from '../option-schemas.js'

/** What the body of {@link withReadYourWrites} is told. */
export interface ReadYourWrites {
  /** Whether something was written in it so far; what was written before it, as its caller has said, is not counted. */
  readonly hasWritten: boolean
}

export interface ReadYourWritesOptions {
  /** Whether a write that it is to read came before it: by the request before this one of the same user, say. Default false. */
  readonly hasWritten?: boolean | undefined
}

/** One that is misspelt would let a request read what was there before its user's last write. */
const readYourWritesOptions = strictOptions({
  hasWritten: flag().optional(),
} satisfies Record<keyof ReadYourWritesOptions, z.ZodType>)

class Scope implements ReadYourWrites {
  /** Something was written before it, wherever that was. */
  before = false
  readonly #pools = new Set<object>()

  get hasWritten(): boolean {
    return this.#pools.size > 0
  }

  note(pool: object): void {
    this.#pools.add(pool)
  }

  has(pool: object): boolean {
    return this.before || this.#pools.has(pool)
  }
}

const scopes = new AsyncLocalStorage<Scope>()

/**
 * Runs the body so that its reads see what it has written: from its first write on, everything it reads is read from the
 * primary, in all that it awaits or calls, through any ORM. A write is a transaction that has written anything, and any
 * statement outside of one that does not evidently read only. Inside of another such stretch it is a part of that.
 *
 * @param body is told whether anything was written, for whoever wants the next request to know of it
 * @throws InvalidOptionsError
 * @example
 * await withReadYourWrites(async () => {
 *   await db.insert(orders).values(order)
 *   return db.select().from(orders) // from the primary
 * })
 */
export function withReadYourWrites<T>(
  body: (scope: ReadYourWrites) => PromiseLike<T>,
  options?: ReadYourWritesOptions,
): Promise<T>
export function withReadYourWrites<T>(body: (scope: ReadYourWrites) => T, options?: ReadYourWritesOptions): T
export function withReadYourWrites<T>(
  body: (scope: ReadYourWrites) => PromiseLike<T> | T,
  options: ReadYourWritesOptions = {},
): PromiseLike<T> | T {
  assertFunction(body, 'body')
  const checked = checkBy(readYourWritesOptions, options, 'options')
  if (!checked.ok) throw new InvalidOptionsError(checked.problems)
  const scope = scopes.getStore() ?? new Scope()
  if (checked.value.hasWritten === true) scope.before = true
  return scopes.run(scope, () => {
    const value = body(scope)
    return isLazy(value) ? begun(() => value) : value
  })
}

/** Whether anybody wants to know of a write: what it costs to tell one is then worth it. */
export function readsItsWrites(): boolean {
  return scopes.getStore() !== undefined
}

/** To be called in the call chain that writes, before the write can be seen. */
export function noteWrite(pool: object): void {
  scopes.getStore()?.note(pool)
}

/** Whether what the current call chain reads must be read where it has written. */
export function hasWrittenTo(pool: object): boolean {
  return scopes.getStore()?.has(pool) === true
}
