// drizzle-orm/postgres-js's factory, with the same arguments plus `resilience`, on a pool of ours.

import { describeGiven, InvalidOptionsError, nearestName, type ResilienceOptions, unknownOption } from '@moorings/core'
import {
  type Client,
  type ConnectionInput,
  createClient,
  isStockClient,
  PostgresPool,
  type ReplicasInput,
  takeOver,
} from '@moorings/postgres'
import { type PgWithReplicas, withReplicas } from 'drizzle-orm/pg-core'
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

/**
 * As Drizzle's own `withReplicas` gives: `select`, `query` and `$count` read from replicas, all else is the primary's, and
 * so is everything on `$primary`. There is one in `$replicas`, which stands for all of them.
 */
export type ResilientDatabaseWithReplicas<TSchema extends Record<string, unknown> = NoSchema> = PgWithReplicas<
  ResilientDatabase<TSchema>
>

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
  connection: string,
  config: WithReplicas<ResilientDrizzleConfig<TSchema>>,
): ResilientDatabaseWithReplicas<TSchema>
export function drizzle<TSchema extends Record<string, unknown> = NoSchema>(
  config: WithReplicas<ResilientDrizzleConfig<TSchema> & { connection: ConnectionInput }>,
): ResilientDatabaseWithReplicas<TSchema>
export function drizzle<TSchema extends Record<string, unknown> = NoSchema>(
  ...params:
    | [connection: string | ClientInput]
    | [connection: string, config: ResilientDrizzleConfig<TSchema> & PerhapsReplicas]
    | [connection: string | ClientInput, config: ResilientDrizzleConfig<TSchema> & { replicas?: undefined }]
    | [
        config: ResilientDrizzleConfig<TSchema> &
          (({ connection: ConnectionInput } & PerhapsReplicas) | { client: ClientInput; replicas?: undefined }),
      ]
): ResilientDatabase<TSchema>
export function drizzle<TSchema extends Record<string, unknown> = NoSchema>(
  ...params: readonly [unknown, Partial<WithReplicas<ResilientDrizzleConfig<TSchema>>>?]
): ResilientDatabase<TSchema> {
  const { source, config } = normalise(params)
  refuseMisplaced(config)
  const { resilience, replicas, ...own } = config
  const client = clientFor(source, resilience, replicas)
  const on = (one: Client) => withResilience(stock<TSchema, Client>({ ...own, client: one }))
  const db = on(client)
  const readable = client.pool.replicas
  // A pool that is shared may have replicas for others.
  if (replicas === undefined || readable === undefined) return db
  return withReplicas(db, [on(client.on(readable))])
}

/** As drizzle-orm's: a database that builds SQL and has nowhere to send it. */
drizzle.mock = stock.mock

type WithReplicas<Config> = Config & {
  /** Standbys that reads go to: as `createPool` takes them. */
  replicas: ReplicasInput
}

interface PerhapsReplicas {
  /** Standbys that reads go to, if there are any: then the database has `$primary`, which its type does not know of. */
  replicas?: ReplicasInput | undefined
}

interface Normalised<TSchema extends Record<string, unknown>> {
  source: unknown
  config: Partial<WithReplicas<ResilientDrizzleConfig<TSchema>>>
}

function normalise<TSchema extends Record<string, unknown>>(
  params: readonly [unknown, Normalised<TSchema>['config']?],
): Normalised<TSchema> {
  const [first, config = {}] = params
  if (typeof first !== 'object' || first === null || first instanceof PostgresPool) return { source: first, config }
  const { connection, client, ...rest }: { connection?: unknown; client?: unknown } = first
  return { source: client ?? connection, config: { ...rest, ...config } }
}

/** Drizzle ignores what it does not know; what was meant for us must not be lost that way. */
function refuseMisplaced(config: object): void {
  const problems = Object.entries(config)
    .filter(([name]) => name !== 'resilience' && name !== 'replicas')
    .flatMap(([name, value]) => {
      if (name === 'pool' || name === 'statement' || nearestName(name, ['resilience']) !== undefined) {
        return [unknownOption('config', name, value, ['resilience'])]
      }
      return name === 'max' ? [{ path: 'config.max', given: describeGiven(value), allowed: 'resilience.pool.max' }] : []
    })
  if (problems.length > 0) throw new InvalidOptionsError(problems)
}

function clientFor(
  source: unknown,
  resilience: ResilienceOptions | undefined,
  replicas: ReplicasInput | undefined,
): Client {
  const pool = source instanceof PostgresPool ? source : isClient(source) ? source.pool : undefined
  if (replicas !== undefined && (pool !== undefined || isStockClient(source))) {
    const allowed = 'nothing beside a client of its own: give `replicas` to createPool, or `connection`'
    throw new InvalidOptionsError([{ path: 'replicas', given: 'a value', allowed }])
  }
  if (pool === undefined) {
    return createClient(
      isStockClient(source) ? takeOver(source, resilience) : new PostgresPool(source, { resilience, replicas }),
    )
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
