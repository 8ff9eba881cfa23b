// What the application says of its own statements: that carrying them out twice does what carrying them out once does.

import { AsyncLocalStorage } from 'node:async_hooks'
import { assertFunction, begun } from '../begun.js'

const said = new AsyncLocalStorage<true>()

/** Before Node 24 each look costs something, so nobody looks before anybody has said anything. */
let used = false

/**
 * Says that carrying out twice what the body sends does no more than carrying it out once: an upsert, `set x = 1`, a delete
 * by key. A statement outside of any transaction in the body's call chain whose connection is lost while it is under way is
 * then sent again on another one, instead of failing because nobody knows whether it was carried out. How often, and out of
 * which budget: `resilience.statement.maxResends`.
 *
 * It is a promise of yours: `set x = x + 1` and an insert without ON CONFLICT are not. Inside a transaction it means nothing:
 * that is run again as a whole.
 *
 * @returns what the body returns; a query of an ORM's that was not awaited is carried out
 * @example
 * await idempotent(() => db.insert(users).values(user).onConflictDoNothing())
 */
export function idempotent<T>(body: () => PromiseLike<T> | T): Promise<T> {
  assertFunction(body, 'body')
  used = true
  return said.run(true, () => begun(body))
}

/** Whether the current call chain is inside of {@link idempotent}. */
export function saidIdempotent(): boolean {
  return used && said.getStore() === true
}
