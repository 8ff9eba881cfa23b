// One operation of a soak: the doors it may go through, the books it is entered in, and what operations have in common.

import { setTimeout as pause } from 'node:timers/promises'
import { CommitOutcomeUnknownError } from '@moorings/core'
import type { Client, PostgresPool } from '@moorings/postgres'
import type { Kysely } from 'kysely'
import type { Db, Runner, Schema } from '../integration/orms.js'
import type { Books } from './books.js'

/** Two ORMs, and the client beneath them, on one pool. */
export interface Doors {
  readonly pool: PostgresPool
  readonly orms: readonly Db[]
  /** Those whose transactions can be nested. */
  readonly nesting: readonly Db[]
  readonly sql: Client
  readonly kysely: Kysely<Schema>
  readonly books: Books
}

/** One operation of its kind. */
export interface Call extends Doors {
  /** Its number, which is nobody else's. */
  readonly n: number
  /** Its own random decisions. */
  readonly random: () => number
}

/** What no fault explains. */
export class WrongAnswer extends Error {}

/** There from the beginning, and unique. */
export const taken = 'taken'

export function pick<T>(all: readonly T[], random: () => number): T {
  const one = all[Math.floor(random() * all.length)]
  if (one === undefined) throw new Error('there is nothing to pick from')
  return one
}

export function orm({ orms, random }: Call): Db {
  return pick(orms, random)
}

export function expectEqual(seen: unknown, expected: unknown): void {
  if (seen !== expected) throw new WrongAnswer(`${String(seen)} instead of ${String(expected)}`)
}

/** An answer that is nobody else's. */
export async function sees(runner: Runner, { n }: Call): Promise<void> {
  const [row] = await runner.query(`select ${n} as n`)
  expectEqual(row?.n, n)
}

export async function borrow({ pool, n }: Call, options: Parameters<PostgresPool['acquire']>[0]): Promise<void> {
  const lease = await pool.acquire(options)
  try {
    const { rows } = await lease.connection.execute({ text: `select ${n} as n` })
    expectEqual(JSON.stringify(rows), `[{"n":${n}}]`)
  } finally {
    lease.release()
  }
}

/** A signal that fires in a moment, unless done before. */
export function soon({ random }: Call): { readonly signal: AbortSignal; done(): void } {
  const abort = new AbortController()
  const over = new AbortController()
  pause(random() * 10, undefined, { signal: over.signal }).then(
    () => abort.abort(),
    () => {},
  )
  return { signal: abort.signal, done: () => over.abort() }
}

export function unknown(error: unknown): boolean {
  return error instanceof CommitOutcomeUnknownError
}

/** A row of this kind, and what is known about it afterwards. */
export async function written(
  { books }: Call,
  kind: string,
  work: () => Promise<unknown>,
  uncertain: (error: unknown) => boolean,
): Promise<void> {
  try {
    await work()
    books.acknowledged(kind)
  } catch (error) {
    if (uncertain(error)) books.uncertain(kind)
    throw error
  }
}

export async function provoke(call: Pick<Call, 'books'>, name: string, work: Promise<unknown>): Promise<void> {
  if (await mayFail(call, name, work)) throw new WrongAnswer(`success instead of ${name}`)
}

/** False when it failed as was to be expected. */
export async function mayFail({ books }: Pick<Call, 'books'>, name: string, work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (!(error instanceof Error && error.name === name)) throw error
    books.provoked(name)
    return false
  }
}
