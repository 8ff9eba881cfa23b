// One side at work: its own freshly migrated database, brought back to the same rows before every operation.

import { fileURLToPath } from 'node:url'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import { killBackends } from '../../support/admin.js'
import { createDatabase, type Database, inventName } from '../../support/database.js'
import { until } from '../../support/until.js'
import { normalise, type Plain } from './normalise.js'
import type { Address, Context, Db, Factory, Operation } from './operation.js'
import * as schema from './schema/index.js'
import { resetSql } from './seed.js'
import type { Side } from './side.js'

const migrationsFolder = fileURLToPath(new URL('./migrations/schema', import.meta.url))

/** What an operation came to. */
export interface Outcome {
  readonly plain: {
    returned?: Plain
    threw?: Plain
    /** Transactions still open after it, which stand in the way of the next operation. */
    leftBehind?: Plain
  }
  /** All errors met in it, as they were thrown. */
  readonly errors: readonly Error[]
}

const operationTimeoutMs = 15_000

export class Participant {
  readonly #side: Side
  readonly #database: Database
  #db: Db

  private constructor(side: Side, database: Database) {
    this.#side = side
    this.#database = database
    this.#db = this.#connect()
  }

  static async start(side: Side): Promise<Participant> {
    const database = await createDatabase(inventName(`compat_${side.name}`))
    const participant = new Participant(side, database)
    try {
      await migrate(participant.#db, { migrationsFolder })
      await database.admin.query(resetSql)
      return participant
    } catch (error) {
      await participant.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.#db.$client.end({ timeout: 5 })
    await this.#database.drop()
  }

  async run(operation: Operation): Promise<Outcome> {
    const { context, close } = this.#openContext()
    const errors: Error[] = []
    const onError = (error: Error) => errors.push(error)
    let plain: Outcome['plain']
    try {
      plain = { returned: normalise(await this.#limited(operation, context), { onError }) }
    } catch (error) {
      plain = { threw: normalise(error, { onError }) }
    }
    await close()
    const leftBehind = await this.#reset()
    return { plain: leftBehind ? { ...plain, leftBehind } : plain, errors }
  }

  /** Back to the seed, by force if need be. */
  async #reset(): Promise<Plain | undefined> {
    const { admin } = this.#database
    let open: unknown[] = []
    const none = async () => {
      open = await admin.query(
        `select state, query from pg_stat_activity
          where datname = current_database() and state like 'idle in transaction%' order by query`,
      )
      return open.length === 0
    }
    // Some of postgres.js's promises resolve just before the transaction behind them ends.
    await until(none, { what: 'transactions to end', timeoutMs: 2_000 }).catch(() => {})
    const stuck = await admin.query(`set lock_timeout = '3s'; ${resetSql}`).then(
      () => undefined,
      (error: Error) => error.message,
    )
    if (open.length === 0 && stuck === undefined) return undefined
    await this.#startAfresh()
    await admin.query(resetSql)
    return normalise({ open, stuck })
  }

  async #limited(operation: Operation, context: Context): Promise<unknown> {
    const expired = Symbol('expired')
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<typeof expired>((resolve) => {
      timer = setTimeout(resolve, operationTimeoutMs, expired)
    })
    try {
      const value = await Promise.race([operation.run(context), limit])
      if (value !== expired) return value
    } finally {
      clearTimeout(timer)
    }
    // Whatever hangs must not reach the next operation.
    await this.#startAfresh()
    throw new Error(`${this.#side.name}: not done within ${operationTimeoutMs} ms`)
  }

  async #startAfresh(): Promise<void> {
    await killBackends(this.#database.admin, 'true')
    await this.#db.$client.end({ timeout: 0 })
    this.#db = this.#connect()
  }

  #connect(): Db {
    return this.#side.drizzle({ connection: { url: this.#database.url, onnotice: () => {} }, schema })
  }

  #openContext(): { context: Context; close: () => Promise<void> } {
    const cleanUps: (() => unknown)[] = []
    const defer = (cleanUp: () => unknown) => {
      cleanUps.push(cleanUp)
    }
    const { drizzle } = this.#side
    const opening = (...params: Parameters<Factory>) => {
      const db = drizzle(...params)
      defer(() => db.$client.end({ timeout: 1 }))
      return db
    }
    const context: Context = {
      db: this.#db,
      sql: this.#db.$client,
      drizzle: Object.assign(opening as Factory, { mock: drizzle.mock }),
      url: this.#database.url,
      address: addressOf(this.#database.url),
      admin: this.#database.admin,
      defer,
    }
    const close = async () => {
      for (const cleanUp of cleanUps.reverse()) await cleanUp()
    }
    return { context, close }
  }
}

function addressOf(url: string): Address {
  const { hostname, port, username, password, pathname } = new URL(url)
  return {
    host: decodeURIComponent(hostname),
    port: Number(port || 5432),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
  }
}
