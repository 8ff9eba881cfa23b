// One of the two sides of the comparison: a database and a Kysely on it, and how an operation is run there.

import { type Dialect, Kysely } from 'kysely'
import type { Database as TestDatabase } from '../../support/database.js'
import { until } from '../../support/until.js'
import type { Context, DialectOptions, OpenOptions, Operation } from './operation.js'
import type { Database } from './schema/database.js'
import { migrate } from './schema/migrations.js'
import { seed } from './schema/seed.js'

export type MakeDialect = (url: string, options: DialectOptions) => Dialect

export type Outcome = { readonly value: unknown } | { readonly thrown: unknown }

const defaults: DialectOptions = { max: 5 }

export class Side {
  readonly #makeDialect: MakeDialect
  readonly #database: TestDatabase
  #shared: Kysely<Database> | undefined

  constructor(makeDialect: MakeDialect, database: TestDatabase) {
    this.#makeDialect = makeDialect
    this.#database = database
  }

  async migrate(): Promise<void> {
    this.#shared = this.#open<Database>()
    await migrate(this.#shared)
  }

  async run(operation: Operation): Promise<Outcome> {
    const { admin } = this.#database
    await seed(admin)
    const opened: { destroy(): Promise<void> }[] = []
    const context: Context = {
      db: this.#db,
      admin,
      open: <DB>(options?: OpenOptions) => {
        const db = this.#open<DB>(options)
        opened.push(db)
        return db
      },
    }
    try {
      return await settle(operation.run(context))
    } finally {
      await Promise.all(opened.map((db) => db.destroy()))
      await this.#untilQuiet()
    }
  }

  async destroy(): Promise<void> {
    await this.#shared?.destroy()
  }

  get #db(): Kysely<Database> {
    if (!this.#shared) throw new Error('migrate() comes first')
    return this.#shared
  }

  #open<DB>({ plugins = [], log = [], ...options }: OpenOptions = {}): Kysely<DB> {
    const dialect = this.#makeDialect(this.#database.url, { ...defaults, ...options })
    return new Kysely<DB>({ dialect, plugins, log })
  }

  /** A query still running or a transaction left open would be the next operation's trouble. */
  async #untilQuiet(): Promise<void> {
    let busy: unknown
    await until(
      async () => {
        busy = await this.#database.admin.query(
          `select state, query from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend'
              and pid <> pg_backend_pid() and state <> 'idle'`,
        )
        return Array.isArray(busy) && busy.length === 0
      },
      { what: 'all connections to be idle after the operation' },
    ).catch((error: unknown) => {
      throw new Error(`after the operation: ${JSON.stringify(busy)}`, { cause: error })
    })
  }
}

async function settle(promise: Promise<unknown>): Promise<Outcome> {
  try {
    return { value: await promise }
  } catch (thrown) {
    return { thrown }
  }
}
