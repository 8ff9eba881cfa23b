// Without an ORM: Moorings' own client beside the drivers. What resilience costs shows best against connections without a
// pool, one for each caller, on which the same prepared statements run.

import type { Pool } from 'pg'
import type { Sql } from 'postgres'
import { poolOf } from './ours.js'
import { type Client, type Family, type Operations, type Settings, sharedByAll } from './subject.js'
import { memo, rowsAtOnce } from './tables.js'

export const family: Family = {
  name: 'raw',
  pgbench: true,
  subjects: [
    { name: 'postgres.js, a connection for each caller', open: openOneEach },
    {
      name: 'moorings, as many as callers',
      open: ({ url, callers }) => ours(url, callers),
    },
    { name: 'moorings', open: ({ url, connections }) => ours(url, connections) },
    {
      name: 'postgres.js',
      async open({ url, connections }) {
        const { default: postgres } = await import('postgres')
        const sql = postgres(url, { max: connections })
        return sharedByAll(withSql(sql), () => sql.end())
      },
    },
    {
      name: 'pg',
      async open({ url, connections }) {
        const { default: pg } = await import('pg')
        const pool = new pg.Pool({ connectionString: url, max: connections })
        return sharedByAll(withPg(pool), () => pool.end())
      },
    },
  ],
}

async function openOneEach({ url, callers }: Settings): Promise<Client> {
  const { default: postgres } = await import('postgres')
  const connections = Array.from({ length: callers }, () => postgres(url, { max: 1 }))
  const operations = connections.map(withSql)
  return {
    of(caller) {
      const own = operations[caller]
      if (own === undefined) throw new Error(`There is no caller ${caller}`)
      return own
    },
    close: () => Promise.all(connections.map((connection) => connection.end())),
  }
}

async function ours(url: string, connections: number): Promise<Client> {
  const { createClient, createPool } = await import('@moorings/postgres')
  const sql = createClient(createPool(url, { resilience: poolOf(connections) }))
  return sharedByAll(withSql(sql), () => sql.end())
}

function withSql(sql: Sql): Operations {
  return {
    select: (id) => sql`select id, owner, balance, active, opened from accounts where id = ${id}`,
    insert: (account) => sql`insert into entries (account, amount, memo) values (${account}, 1, ${memo})`,
    transaction: (id) =>
      sql.begin(async (sql) => {
        const [account] = await sql`select id, owner, balance, active, opened from accounts where id = ${id}`
        if (account === undefined) throw new Error(`There is no account ${id}`)
        await sql`update accounts set balance = ${account.balance + 1} where id = ${id}`
        await sql`insert into entries (account, amount, memo) values (${id}, 1, ${memo})`
      }),
    rows: (first) =>
      sql`select id, owner, balance, active, opened from accounts where id between ${first} and ${first + rowsAtOnce - 1}`,
  }
}

const statements = {
  select: { name: 'select', text: 'select id, owner, balance, active, opened from accounts where id = $1' },
  rows: { name: 'rows', text: 'select id, owner, balance, active, opened from accounts where id between $1 and $2' },
  update: { name: 'update', text: 'update accounts set balance = $1 where id = $2' },
  insert: { name: 'insert', text: 'insert into entries (account, amount, memo) values ($1, 1, $2)' },
}

/** Named statements are those that it prepares. */
function withPg(pool: Pool): Operations {
  return {
    select: async (id) => (await pool.query({ ...statements.select, values: [id] })).rows,
    insert: (account) => pool.query({ ...statements.insert, values: [account, memo] }),
    async transaction(id) {
      const client = await pool.connect()
      try {
        await client.query('begin')
        const { rows } = await client.query<{ balance: number }>({ ...statements.select, values: [id] })
        if (rows[0] === undefined) throw new Error(`There is no account ${id}`)
        await client.query({ ...statements.update, values: [rows[0].balance + 1, id] })
        await client.query({ ...statements.insert, values: [id, memo] })
        await client.query('commit')
      } catch (error) {
        await client.query('rollback')
        throw error
      } finally {
        client.release()
      }
    },
    rows: async (first) => (await pool.query({ ...statements.rows, values: [first, first + rowsAtOnce - 1] })).rows,
  }
}
