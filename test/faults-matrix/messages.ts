// What the harness and a process under load say to each other.

import type { Told, Transfer } from '../faults/history.js'
import type { Kind, Place } from './system.js'

export interface LoadSettings {
  readonly system: string
  readonly place: Place
  /** Who do one operation after the other. */
  readonly workers: number
  /** Beyond the caller's limit: who has not ended by then hangs. */
  readonly graceMs: number
  readonly accounts: number
  /** Decides what each transfer is. */
  readonly seed: number
  /** What host names mean in the beginning. */
  readonly names: Readonly<Record<string, readonly string[]>>
}

export type Order =
  | { readonly ask: 'go' }
  /** Answered when nothing is under way. */
  | { readonly ask: 'rest' }
  /** What a host name means from now on. */
  | { readonly ask: 'name'; readonly name: string; readonly means: readonly string[] | 'hangs' }
  /** Begins nothing more; answered when everything has ended, or hangs. */
  | { readonly ask: 'end' }
  /** Answered when the system is closed. */
  | { readonly ask: 'close' }

export interface Telling {
  readonly calls: readonly Call[]
  readonly operations: readonly Operation[]
  /** What nobody caught, in words. */
  readonly uncaught: readonly string[]
  readonly answer?: Order['ask'] | undefined
}

/** One try. Times are in milliseconds since 1970, of the machine's clock. */
export interface Call {
  readonly began: number
  /** Undefined when it never ended. */
  readonly ended?: number | undefined
  readonly error?: string | undefined
}

/** A row in the log, a transfer, or a look at them; tried again by the caller as long as an error allows it. */
export interface Operation {
  readonly id: string
  readonly kind: Kind
  readonly transfer?: Transfer | undefined
  readonly told: Told
  /** As those of a call, from the first try to the last. */
  readonly began: number
  readonly ended?: number | undefined
  readonly error?: string | undefined
}

export const epoch = (): number => performance.timeOrigin + performance.now()
