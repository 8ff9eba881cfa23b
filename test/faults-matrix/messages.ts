// What the harness and a process under load say to each other.

import type { Transfer } from '../faults/history.js'
import type { Place } from './system.js'

export interface LoadSettings {
  readonly system: string
  readonly place: Place
  /** Who do one operation after the other. */
  readonly workers: number
  /** Beyond the caller's limit: who has not ended by then hangs. */
  readonly graceMs: number
  readonly accounts: number
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

/** A row in the log, or a transfer; tried again by the caller as long as an error allows it. */
export interface Operation {
  readonly id: string
  readonly transfer?: Transfer | undefined
  /** `rejected`: an error that the caller takes for "not done". `unknown`: one that says that nobody knows. */
  readonly told: 'acknowledged' | 'rejected' | 'unknown' | 'hung'
}

export const epoch = (): number => performance.timeOrigin + performance.now()
