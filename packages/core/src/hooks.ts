// The application's own steps in a connection's life: when each is called, what it may do, and what its failure means.

import { z } from 'zod'
import type { Connection, Credentials } from './driver.js'
import type { CloseReason } from './events.js'
import { strictOptions } from './option-problems.js'

/** What a hook is given. The connection is the hook's alone until it has returned, and not to be kept. */
export interface HookContext {
  readonly connection: Connection
  /** Fires when the hook's time is over, or the pool gives up on the connection. */
  readonly signal: AbortSignal
}

/**
 * What becomes of a connection about to be lent.
 *
 * - `use` (or nothing): it is lent
 * - `replace`: it is destroyed and the caller is given another
 * - `{ fail, connection: 'keep' }`: the caller gets the error, the connection goes back to the pool
 * - `{ fail, connection: 'destroy' }`: the caller gets the error, the connection is destroyed
 */
export type AcquireVerdict =
  | 'use'
  | 'replace'
  | { readonly fail: unknown; readonly connection: 'keep' | 'destroy' }
  | Nothing

// A hook that only looks returns nothing.
// biome-ignore lint/suspicious/noConfusingVoidType: what `() => console.log(…)` returns
type Nothing = void | undefined

type MaybePromise<T> = T | Promise<T>

/**
 * Each may be async, and has `timeoutMs`; `beforeConnect` and `afterConnect` also share `connectTimeoutMs` with the rest
 * of the connect. A hook that throws, rejects or is late is reported as `moorings:hook:failed`.
 *
 * TypeScript widens the only literal of an async arrow function to `string`: write `async () => 'replace' as const`.
 *
 * @example
 * const hooks = {
 *   beforeConnect: async () => ({ password: await freshToken() }),
 *   afterConnect: async ({ connection }) => {
 *     await connection.execute({ text: "set application_name = 'shop'" })
 *   },
 * }
 */
export interface HookOptions {
  /**
   * Before each connect. What it returns goes before the configured user and password, for this connect alone: for
   * tokens that live shorter than the process. If it fails, so does the connect (ConnectError).
   */
  beforeConnect?: ((context: { readonly signal: AbortSignal }) => MaybePromise<Credentials | Nothing>) | undefined
  /**
   * On each new connection, after `onConnect`, before anybody is lent it; and again after what a borrower had changed of
   * the session was undone, so that it can set the session up. If it fails, the connection is destroyed (ConnectError).
   */
  afterConnect?: ((context: HookContext) => MaybePromise<unknown>) | undefined
  /**
   * On an idle connection that is about to be lent, after it was found alive. What it sets on the session is undone at the return.
   * Not for what belongs to one caller: it may be another one who gets the connection. See {@link AcquireVerdict}. If it fails,
   * the connection is destroyed and the caller gets a HookError.
   */
  beforeAcquire?: ((context: HookContext) => MaybePromise<AcquireVerdict>) | undefined
  /**
   * When a connection was given back and its session is clean again, before anybody else is lent it. `destroy` closes
   * the connection; so does a failure.
   */
  afterRelease?:
    | ((context: HookContext & { readonly heldMs: number }) => MaybePromise<'keep' | 'destroy' | Nothing>)
    | undefined
  /**
   * When a living connection is about to be closed politely: for its age, its rest, the pool's end. One that is destroyed
   * (evicted, given back with work under way) has no such moment. It is closed all the same if this fails.
   */
  beforeClose?: ((context: HookContext & { readonly reason: CloseReason }) => MaybePromise<unknown>) | undefined
  /** How long one call of a hook may take, in milliseconds. Default 5 000. */
  timeoutMs?: number | undefined
}

function hook<T>() {
  return z.custom<T>((value) => typeof value === 'function', { error: 'a function' }).optional()
}

const allowed = 'an integer >= 1 and <= 2147483647 (milliseconds)'

export const hookOptions = strictOptions({
  beforeConnect: hook<HookOptions['beforeConnect']>(),
  afterConnect: hook<HookOptions['afterConnect']>(),
  beforeAcquire: hook<HookOptions['beforeAcquire']>(),
  afterRelease: hook<HookOptions['afterRelease']>(),
  beforeClose: hook<HookOptions['beforeClose']>(),
  timeoutMs: z
    .int({ error: allowed })
    .min(1, { error: allowed })
    .max(2 ** 31 - 1, { error: allowed })
    .default(5_000),
} satisfies Record<keyof HookOptions, z.ZodType>)
