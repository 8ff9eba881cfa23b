// drizzle-orm/postgres-js's factory, with the same arguments plus `resilience`, on a pool of ours.

import { describeGiven, InvalidOptionsError, nearestName, type ResilienceOptions, unknownOption } from '@moorings/core'
import {
  type Client,
  type ConnectionInput,
  createClient,
  isStockClient,
  PostgresPool,
  takeOver,
} from '@moorings/postgres'
import { type PostgresJsDatabase, drizzle as stock } from 'drizzle-orm/postgres-js'
import type { DrizzleConfig } from 'drizzle-orm/utils'
import type { Sql } from 'postgres'
import { withResilience } from '../resilience.js'
import type { Resilient } from '../types.js'

type NoSchema = Record<string, never>

/** Drizzle's own configuration, and how the pool behaves. */
export interface ResilientDrizzleConfig<TSchema extends Record<string, unknown> = NoSchema>
  extends DrizzleConfig<TSchema> {
  /** Not beside `client: pool`, which was told when it was made. */
  resilience?: ResilienceOptions | undefined
}

/** A stock database whose `$client` is the pool's facade; `db.$client.pool` is the pool. */
export type ResilientDatabase<TSchema extends Record<string, unknown> = NoSchema> = Resilient<
  PostgresJsDatabase<TSchema>
> & { $client: Client }

type ClientInput = Sql | PostgresPool

/**
 * Makes a Drizzle database whose connections come from a Moorings pool. Nothing is opened before the first query.
 *
 * Takes every form of drizzle-orm's factory: a URL, a URL and a config, `{ connection }`, `{ client }`. A `client` may be
 * a pool from `createPool`, to be shared, or a postgres.js client: its options are taken over, and its `end()` ends the
 * pool as well.
 *
 * @throws InvalidOptionsError listing everything that is wrong
 * @example
 * const db = drizzle(process.env.DATABASE_URL!, { schema, resilience: { pool: { max: 20 } } })
 * await db.select().from(users)
 */
export function drizzle<TSchema extends Record<string, unknown> = NoSchema>(
  ...params:
    | [connection: string | ClientInput]
    | [connection: string | ClientInput, config: ResilientDrizzleConfig<TSchema>]
    | [config: ResilientDrizzleConfig<TSchema> & ({ connection: ConnectionInput } | { client: ClientInput })]
): ResilientDatabase<TSchema> {
  const { source, config } = normalise(params)
  refuseMisplaced(config)
  const { resilience, ...own } = config
  const db = stock<TSchema, Client>({ ...own, client: clientFor(source, resilience) })
  return withResilience(db)
}

/** As drizzle-orm's: a database that builds SQL and has nowhere to send it. */
drizzle.mock = stock.mock

interface Normalised<TSchema extends Record<string, unknown>> {
  source: unknown
  config: ResilientDrizzleConfig<TSchema>
}

function normalise<TSchema extends Record<string, unknown>>(
  params: readonly [unknown, ResilientDrizzleConfig<TSchema>?],
): Normalised<TSchema> {
  const [first, config = {}] = params
  if (typeof first !== 'object' || first === null || first instanceof PostgresPool) return { source: first, config }
  const { connection, client, ...rest }: { connection?: unknown; client?: unknown } = first
  return { source: client ?? connection, config: { ...rest, ...config } }
}

/** Drizzle ignores what it does not know; what was meant for us must not be lost that way. */
function refuseMisplaced(config: object): void {
  const problems = Object.entries(config)
    .filter(([name]) => name !== 'resilience')
    .flatMap(([name, value]) => {
      if (name === 'pool' || name === 'statement' || nearestName(name, ['resilience']) !== undefined) {
        return [unknownOption('config', name, value, ['resilience'])]
      }
      return name === 'max' ? [{ path: 'config.max', given: describeGiven(value), allowed: 'resilience.pool.max' }] : []
    })
  if (problems.length > 0) throw new InvalidOptionsError(problems)
}

function clientFor(source: unknown, resilience: ResilienceOptions | undefined): Client {
  const pool = source instanceof PostgresPool ? source : isClient(source) ? source.pool : undefined
  if (pool === undefined) {
    return createClient(isStockClient(source) ? takeOver(source, resilience) : new PostgresPool(source, { resilience }))
  }
  if (resilience !== undefined) {
    const allowed = 'nothing beside a pool of its own: give `resilience` to createPool'
    throw new InvalidOptionsError([{ path: 'resilience', given: 'an object', allowed }])
  }
  return createClient(pool)
}

function isClient(value: unknown): value is Client {
  return typeof value === 'function' && 'pool' in value && value.pool instanceof PostgresPool
}
