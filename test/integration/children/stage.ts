// What a program in a process of its own needs: the stage's URL, orders to the proxy, which lives in the test, and a
// report of what is left when it is done. The channel to the test is let go of at the end, so that nothing of the
// stage's own keeps the process alive.

import type { PostgresPool } from '@moorings/postgres'
import { type Db, type Orm, orms, type ResilienceOptions } from '../orms.js'

/** What a program may ask the test to do, each awaited until it is done. */
export type Order =
  | 'swallow'
  | 'slow'
  | 'silent'
  | 'closed'
  | 'reset'
  | 'fin'
  | 'reset all'
  | 'close all'
  | 'kill all'
  | 'restore'
  /** The program itself, for a while. */
  | 'stop'
  | 'stop, and kill all'

export interface Report {
  /** Sockets, timers and the like, from `process.getActiveResourcesInfo()`. */
  readonly left: readonly string[]
  readonly errors: readonly string[]
  readonly notes: Readonly<Record<string, unknown>>
}

export const url = process.env.STAGE_URL ?? ''
export const program = process.argv[2] ?? ''

const errors = new Set<string>()
const notes: Record<string, unknown> = {}

export function order(what: Order): Promise<void> {
  return new Promise((resolve) => {
    process.once('message', () => resolve())
    process.send?.({ order: what })
  })
}

export function note(key: string, value: unknown): void {
  notes[key] = value
}

/** Resolves when the promise has settled, and remembers the name of the error. */
export async function ended(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise
  } catch (error) {
    errors.add(nameOf(error))
    return error
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : String(error)
}

export function openAll(resilience?: ResilienceOptions, connection: Parameters<Orm['open']>[0] = url): Db[] {
  return orms.map((orm) => orm.open(connection, resilience))
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(5)
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export function counts(pool: PostgresPool): Record<string, number> {
  const { idle, leased, connecting, waiting } = pool.stats()
  return { idle, leased, connecting, waiting }
}

const kept = /^(TCP|TLS|Timeout|Immediate|GetAddrInfo|ConnectWrap|PipeConnect|Shutdown|Write)/

function active(): string[] {
  return process.getActiveResourcesInfo().filter((name) => kept.test(name))
}

/** The last call of a program: afterwards nothing but what the pools left could keep the process alive. */
export async function report(): Promise<void> {
  // What was destroyed is closed a few turns of the event loop later, at which postgres.js sets a last timer of 0 ms.
  const limit = performance.now() + 200
  let left = active()
  while (left.length > 0 && performance.now() < limit) {
    await new Promise((resolve) => setImmediate(resolve))
    left = active()
  }
  await new Promise<void>((resolve) => {
    process.send?.({ report: { left, errors: [...errors].sort(), notes } }, () => resolve())
  })
  process.disconnect()
}
