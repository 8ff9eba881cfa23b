// A pool of PostgreSQL connections, from a URL or options.

import {
  Deadlines,
  describeGiven,
  InvalidOptionsError,
  Pool,
  type ResilienceOptions,
  systemClock,
  unknownOption,
} from '@moorings/core'
import type { Options, PostgresType, Sql } from 'postgres'
import type { PostgresConnection } from './connection.js'
import { PostgresDriver } from './driver.js'
import { Listener } from './listener.js'
import { parsePoolOptions, type StockClient } from './options.js'

/** What the pool decides itself; asking for it is an error that names the option of ours. */
type OwnedByPool =
  | 'max'
  | 'idle_timeout'
  | 'timeout'
  | 'connect_timeout'
  | 'max_lifetime'
  | 'max_pipeline'
  | 'backoff'
  | 'onclose'
  | 'publications'

/** postgres.js's options, minus what the pool decides itself. */
export type ConnectionOptions = Omit<Options<Record<string, PostgresType>>, OwnedByPool> & { url?: string | undefined }

/** Where and as whom to connect: a `postgres://` URL, options, or a postgres.js client whose options are taken over. */
export type ConnectionInput = string | URL | ConnectionOptions | Sql

export interface CreatePoolOptions {
  /** How the pool behaves; see {@link ResilienceOptions}. */
  readonly resilience?: ResilienceOptions | undefined
  /** Names the pool in events. Default `default`. */
  readonly name?: string | undefined
}

/** One pool, which several ORMs may share. Opens nothing before its first use. */
export class PostgresPool extends Pool<PostgresConnection> {
  declare readonly driver: PostgresDriver
  readonly listener: Listener

  constructor(connection: unknown, options: CreatePoolOptions = {}) {
    const { resilience: wanted, name } = checkedOptions(options)
    const parsed = parsePoolOptions({ resilience: wanted, connection })
    const { resilience } = parsed
    const deadlines = new Deadlines(systemClock)
    const driver = new PostgresDriver(parsed.connection, resilience, deadlines)
    super({ driver, resilience, name, deadlines })
    this.listener = new Listener(driver, deadlines, resilience.pool)
  }

  protected override closeOthers(timeoutMs: number): Promise<void> {
    return this.listener.end(timeoutMs)
  }
}

const optionNames = ['resilience', 'name']

function checkedOptions(options: CreatePoolOptions): CreatePoolOptions {
  const given: unknown = options
  if (typeof given !== 'object' || given === null) {
    const allowed = '{ resilience, name }'
    throw new InvalidOptionsError([{ path: 'options', given: describeGiven(given, true), allowed }])
  }
  const problems = Object.entries(options)
    .filter(([name]) => !optionNames.includes(name))
    .map(([name, value]) => unknownOption('options', name, value, optionNames))
  if (options.name !== undefined && typeof options.name !== 'string') {
    problems.push({ path: 'options.name', given: describeGiven(options.name), allowed: 'a string' })
  }
  if (problems.length > 0) throw new InvalidOptionsError(problems)
  return options
}

const poolsOf = new WeakMap<StockClient, PostgresPool>()

/**
 * The pool that takes the place of a postgres.js client, for an application that made one for its ORM and goes on ending
 * it: `client.end()` ends the pool, too. Without `resilience` of their own, several ORMs on one client share one pool.
 */
export function takeOver(client: StockClient, resilience?: ResilienceOptions): PostgresPool {
  const shared = resilience === undefined ? poolsOf.get(client) : undefined
  if (shared !== undefined) return shared
  const pool = new PostgresPool(client, { resilience })
  if (resilience === undefined) poolsOf.set(client, pool)
  const { end } = client
  client.end = async (options) => {
    const timeout = options?.timeout
    const closed = pool.close(typeof timeout === 'number' ? { timeoutMs: timeout * 1_000 } : {})
    await Promise.all([closed, end(options)])
  }
  return pool
}

/**
 * Makes a pool. Nothing is opened until it is used.
 *
 * @param connection a `postgres://` URL, postgres.js options (host, user, ssl, types, …), or a postgres.js client, whose
 *   options are taken over and which itself never connects
 * @throws InvalidOptionsError listing everything that is wrong
 * @example
 * const pool = createPool('postgres://app@localhost/shop', { resilience: { pool: { max: 20 } } })
 * const orders = drizzle({ client: pool, schema })
 * const reports = new Kysely<DB>({ dialect: new ResilientPostgresDialect({ client: pool }) })
 */
export function createPool(connection: ConnectionInput, options?: CreatePoolOptions): PostgresPool {
  return new PostgresPool(connection, options)
}
