// What the compatibility test consists of: operations, each run on the stock dialect and on ours.

import type { Kysely, KyselyPlugin, LogConfig } from 'kysely'
import type { Admin } from '../../support/admin.js'
import type { Database } from './schema/database.js'

export interface Operation {
  /** A phrase about what an application relies on; the name of its test. */
  readonly name: string
  /** It rejects, on the stock dialect at least. Said beforehand, so that a slip in `run` is not taken for the behaviour. */
  readonly throws?: true
  /** The first server that can do it, by `server_version_num`. */
  readonly since?: number
  /** What it resolves or rejects with is compared. It finds the seeded tables and may leave anything behind in them. */
  run(context: Context): Promise<unknown>
}

/** How results are parsed, as in pg's own configuration. */
export interface ResultTypes {
  getTypeParser(oid: number, format?: 'text' | 'binary'): (text: string) => unknown
}

/** What both dialects are told. */
export interface DialectOptions {
  readonly max: number
  readonly types?: ResultTypes
}

export interface OpenOptions extends Partial<DialectOptions> {
  readonly plugins?: KyselyPlugin[]
  readonly log?: LogConfig
}

export interface Context {
  /** Shared by all operations of a run. */
  readonly db: Kysely<Database>
  /** A Kysely of this operation's own on the same database, destroyed after it. `DB` where a plugin changes names. */
  open<DB = Database>(options?: OpenOptions): Kysely<DB>
  /** A connection behind the dialect's back. */
  readonly admin: Admin
}

/** For a list of operations that share their first words. */
export function about(subject: string, operations: readonly Operation[]): Operation[] {
  return operations.map((operation) => ({ ...operation, name: `${subject}: ${operation.name}` }))
}

/** What a promise rejects with, as a value, for an operation that goes on after an error. */
export async function caught(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  return 'nothing was thrown'
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = []
  for await (const item of items) collected.push(item)
  return collected
}
