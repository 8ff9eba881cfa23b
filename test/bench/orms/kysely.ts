// Kysely on Moorings, on the stock drivers, and on nothing.

import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  DummyDriver,
  type Generated,
  Kysely,
  PostgresAdapter,
  PostgresDialect,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'
import { poolOf } from './ours.js'
import { type Client, type Family, sharedByAll } from './subject.js'
import { memo, rowsAtOnce } from './tables.js'

interface Tables {
  accounts: { id: number; owner: string; balance: number; active: boolean; opened: Date }
  entries: { id: Generated<number>; account: number; amount: number; memo: string; at: Generated<Date> }
}

export const family: Family = {
  name: 'kysely',
  subjects: [
    {
      name: 'kysely + pg',
      async open({ url, connections }) {
        const { default: pg } = await import('pg')
        return clientOf(new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: connections }) }))
      },
    },
    {
      name: 'kysely + moorings',
      async open({ url, connections }) {
        const { ResilientPostgresDialect } = await import('@moorings/kysely')
        return clientOf(new ResilientPostgresDialect({ connection: url, resilience: poolOf(connections) }))
      },
    },
    {
      name: 'kysely + postgres.js',
      async open({ url, connections }) {
        const { PostgresJSDialect } = await import('kysely-postgres-js')
        const { default: postgres } = await import('postgres')
        return clientOf(new PostgresJSDialect({ postgres: postgres(url, { max: connections }) }))
      },
    },
    { name: 'kysely + nothing', floor: true, open: async () => clientOf(nowhere) },
  ],
}

function clientOf(dialect: Dialect): Client {
  const db = new Kysely<Tables>({ dialect })
  const columns = ['id', 'owner', 'balance', 'active', 'opened'] as const
  const operations = {
    select: (id: number) => db.selectFrom('accounts').select(columns).where('id', '=', id).execute(),
    insert: (account: number) => db.insertInto('entries').values({ account, amount: 1, memo }).execute(),
    transaction: (id: number) =>
      db.transaction().execute(async (trx) => {
        const { balance } = await trx
          .selectFrom('accounts')
          .select(columns)
          .where('id', '=', id)
          .executeTakeFirstOrThrow()
        await trx
          .updateTable('accounts')
          .set({ balance: balance + 1 })
          .where('id', '=', id)
          .execute()
        await trx.insertInto('entries').values({ account: id, amount: 1, memo }).execute()
      }),
    rows: (first: number) =>
      db
        .selectFrom('accounts')
        .select(columns)
        .where('id', '>=', first)
        .where('id', '<', first + rowsAtOnce)
        .execute(),
  }
  return sharedByAll(operations, () => db.destroy())
}

/** Every answer is there already. */
class NullConnection implements DatabaseConnection {
  readonly #many = Array.from({ length: rowsAtOnce }, (_, n) => ({
    id: n + 1,
    owner: `Owner of account ${n + 1}`,
    balance: 1_000,
    active: true,
    opened: new Date('2024-01-01T00:00:00Z'),
  }))
  readonly #one = this.#many.slice(0, 1)

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>>
  async executeQuery({ sql, parameters }: CompiledQuery): Promise<QueryResult<unknown>> {
    if (!sql.startsWith('select')) return { rows: [] }
    return { rows: parameters.length === 1 ? this.#one : this.#many }
  }

  // biome-ignore lint/correctness/useYield: nobody streams from nothing
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error('Nothing is streamed from nowhere')
  }
}

class NullDriver extends DummyDriver {
  readonly #connection = new NullConnection()

  override async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection
  }
}

const nowhere: Dialect = {
  createAdapter: () => new PostgresAdapter(),
  createDriver: () => new NullDriver(),
  createIntrospector: (db) => new PostgresIntrospector(db),
  createQueryCompiler: () => new PostgresQueryCompiler(),
}
