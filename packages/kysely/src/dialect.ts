// Kysely's dialect for PostgreSQL on a Moorings pool.

import {
  describeGiven,
  InvalidOptionsError,
  type OptionProblem,
  type ResilienceOptions,
  unknownOption,
} from '@moorings/core'
import { type ConnectionInput, PostgresPool, type ReplicasInput } from '@moorings/postgres'
import {
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
} from 'kysely'
import { createCodec, type TypeParsers } from './codec.js'
import { ourAdapters, ResilientPostgresDriver } from './driver.js'

/** A dialect with a pool of its own, closed by `db.destroy()`. */
export interface OwnPoolConfig {
  /** A `postgres://` URL, or postgres.js options: host, user, ssl, … */
  readonly connection: ConnectionInput
  /** How the pool behaves. */
  readonly resilience?: ResilienceOptions | undefined
  /** Standbys that `withReplica(db)` reads from: as `createPool` takes them. */
  readonly replicas?: ReplicasInput | undefined
  /** Parsers of result values, as pg's `types`. Default: pg-types, with what `pg.types.setTypeParser` changed in it. */
  readonly types?: TypeParsers | undefined
}

/** A dialect on a pool that others use too. Whoever made the pool closes it: `db.destroy()` leaves it open. */
export interface SharedPoolConfig {
  readonly client: PostgresPool
  readonly types?: TypeParsers | undefined
}

export type ResilientPostgresDialectConfig = OwnPoolConfig | SharedPoolConfig

const known = ['connection', 'resilience', 'replicas', 'client', 'types']

/**
 * Takes the place of Kysely's `PostgresDialect`. Values are mapped as `pg` maps them. Nothing is opened before the first
 * query.
 *
 * @throws InvalidOptionsError listing everything that is wrong
 * @example
 * const db = new Kysely<Database>({
 *   dialect: new ResilientPostgresDialect({
 *     connection: 'postgres://app@localhost/shop',
 *     resilience: { pool: { max: 20 } },
 *   }),
 * })
 */
export class ResilientPostgresDialect implements Dialect {
  readonly #makePool: () => PostgresPool
  readonly #owned: boolean
  #pool: PostgresPool
  readonly #types: TypeParsers | undefined
  /** Kysely instances that use this dialect: the last one closes the pool. */
  #users = 0

  constructor(config: ResilientPostgresDialectConfig) {
    const { connection, resilience, replicas, client, types } = checked(config)
    this.#owned = client === undefined
    this.#makePool = () => client ?? new PostgresPool(connection, { resilience, replicas })
    this.#pool = this.#makePool()
    this.#types = types
  }

  /** The pool, for its statistics. */
  get pool(): PostgresPool {
    return this.#pool
  }

  createDriver(): Driver {
    return new ResilientPostgresDriver(createCodec(this.#types), {
      started: () => {
        // One Kysely was destroyed and with it the pool; another begins only now.
        if (this.#owned && this.#pool.closed) this.#pool = this.#makePool()
        this.#users++
        return this.#pool
      },
      ended: async () => {
        if (--this.#users === 0 && this.#owned) await this.#pool.close()
      },
    })
  }

  createQueryCompiler(): QueryCompiler {
    return new PostgresQueryCompiler()
  }

  createAdapter(): DialectAdapter {
    const adapter = new PostgresAdapter()
    ourAdapters.set(adapter, this)
    return adapter
  }

  // biome-ignore lint/suspicious/noExplicitAny: Kysely's own signature
  createIntrospector(db: Kysely<any>): DatabaseIntrospector {
    return new PostgresIntrospector(db)
  }
}

interface Parts {
  connection?: ConnectionInput
  resilience?: ResilienceOptions | undefined
  replicas?: ReplicasInput | undefined
  client?: PostgresPool
  types?: TypeParsers | undefined
}

function checked(config: ResilientPostgresDialectConfig): Parts {
  if (typeof config !== 'object' || config === null) {
    throw new InvalidOptionsError([
      {
        path: 'config',
        given: describeGiven(config, true),
        allowed: '{ connection: url, resilience } or { client: pool }',
      },
    ])
  }
  const parts: Parts = config
  const problems: OptionProblem[] = Object.entries(config)
    .filter(([name]) => !known.includes(name))
    .map(([name, value]) => unknownOption('config', name, value, known))
  if (parts.types !== undefined && typeof parts.types.getTypeParser !== 'function') {
    problems.push({
      path: 'types',
      given: 'something else',
      allowed: "{ getTypeParser(oid, 'text') }, as pg's `types`",
    })
  }
  if (parts.client !== undefined) {
    if (!(parts.client instanceof PostgresPool)) {
      problems.push({
        path: 'client',
        given: 'something else',
        allowed: 'a pool from createPool of @moorings/postgres',
      })
    }
    for (const name of ['connection', 'resilience', 'replicas'] as const) {
      if (parts[name] === undefined) continue
      const allowed = 'nothing beside `client`: a shared pool was told when it was made'
      problems.push({ path: name, given: 'a value', allowed })
    }
  }
  if (problems.length > 0) throw new InvalidOptionsError(problems)
  return parts
}
