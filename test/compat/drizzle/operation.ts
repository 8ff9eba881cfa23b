// What the program is made of: named operations, and what each of them is given to work with.

import type { drizzle, PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import type { DrizzleConfig } from 'drizzle-orm/utils'
import type { Options, PostgresType, Sql } from 'postgres'
import type { Admin } from '../../support/admin.js'
import type * as schema from './schema/index.js'

type ConnectionOptions = { url?: string } & Options<Record<string, PostgresType>>

/** The type of `drizzle` as of 0.45, less its second type parameter (the client's type), which ours decides. */
export interface Factory {
  <TSchema extends Record<string, unknown> = Record<string, never>>(
    ...params:
      | [Sql | string]
      | [Sql | string, DrizzleConfig<TSchema>]
      | [DrizzleConfig<TSchema> & ({ connection: string | ConnectionOptions } | { client: Sql })]
  ): PostgresJsDatabase<TSchema> & { $client: Sql }
  mock: typeof drizzle.mock
}

export type Schema = typeof schema
export type Db = PostgresJsDatabase<Schema> & { $client: Sql }

/** The pieces of the database's URL, for those who configure a connection by parts. */
export interface Address {
  host: string
  port: number
  user: string
  password: string
  database: string
}

export interface Context {
  /** Made once per side with `drizzle({ connection: { url, … }, schema })`. */
  readonly db: Db
  /** `db.$client`. */
  readonly sql: Sql
  /** This side's `drizzle`; whatever it makes is closed when the operation has ended. */
  readonly drizzle: Factory
  readonly url: string
  readonly address: Address
  /** A connection of the test's own, the same kind on both sides. */
  readonly admin: Admin
  /** Runs when the operation has ended, the last first. */
  defer(cleanUp: () => unknown): void
}

export interface Operation {
  readonly name: string
  run(context: Context): Promise<unknown>
  /** The code (SQLSTATE or the driver's), else the message, of the error that the stock side ends with. */
  readonly throws?: string
}

/** Resolves with what is to be compared. */
export function operation(name: string, run: (context: Context) => Promise<unknown>): Operation {
  return { name, run }
}

/** An operation whose error is what is to be compared. */
export function failing(name: string, throws: string, run: (context: Context) => Promise<unknown>): Operation {
  return { name, throws, run }
}

/** The error of something that should fail, for operations that go on after it. */
export async function errorOf(failure: PromiseLike<unknown> | (() => unknown)): Promise<unknown> {
  try {
    const value = await (typeof failure === 'function' ? failure() : failure)
    return { didNotThrow: value }
  } catch (error) {
    return error
  }
}
