// db.$client as a postgres.js Sql: begin, savepoint, reserve.

import { fileURLToPath } from 'node:url'
import { describeStatement } from '../normalise.js'
import { errorOf, failing, type Operation, operation } from '../operation.js'

export const clientTransactions: readonly Operation[] = [
  operation('begin commits and gives the callback’s value', async ({ sql }) => ({
    value: await sql.begin(async (tx) => {
      await tx`insert into tags (name) values ('kept')`
      return 'done'
    }),
    rows: await sql`select name from tags where id > 4`,
  })),
  operation('begin with a query returned gives its result', ({ sql }) =>
    sql.begin((tx) => tx`insert into tags (name) values ('x') returning *`),
  ),
  operation('begin with an array of queries returned runs and gives all', async ({ sql }) => {
    const results = await sql.begin((tx) => [
      tx`insert into tags (name) values ('x') returning id`,
      tx`insert into tags (name) values ('y') returning id`,
      tx`select count(*)::int as n from tags`,
    ])
    return { results, stored: await sql`select name from tags where id > 4 order by id` }
  }),
  operation('begin with options', async ({ sql }) => {
    const show = (options: string) =>
      sql.begin(
        options,
        (tx) =>
          tx`select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as read_only`,
      )
    return [
      await show('isolation level serializable read only'),
      await show('read write'),
      await show('isolation level repeatable read'),
    ]
  }),
  failing('begin read only refuses a write', '25006', ({ sql }) =>
    sql.begin('read only', (tx) => tx`insert into tags (name) values ('x')`),
  ),
  failing('begin with options that are not SQL', '42601', ({ sql }) => sql.begin('nonsense', (tx) => tx`select 1`)),
  operation('begin with an error thrown rolls back', async ({ sql }) => {
    const thrown = new RangeError('mine')
    const caught = await errorOf(
      sql.begin(async (tx) => {
        await tx`insert into tags (name) values ('gone')`
        throw thrown
      }),
    )
    return { same: caught === thrown, tags: await sql`select count(*)::int as n from tags` }
  }),
  operation('begin with a failed query rolls back', async ({ sql }) => {
    const caught = await errorOf(
      sql.begin((tx) => [tx`insert into tags (name) values ('gone')`, tx`insert into tags (name) values ('logic')`]),
    )
    return { caught, tags: await sql`select count(*)::int as n from tags` }
  }),
  failing('begin with a failed query swallowed', '22012', ({ sql }) =>
    sql.begin(async (tx) => {
      await errorOf(tx`select 1 / 0`)
      return 'looks well'
    }),
  ),
  failing('begin with a refusal after a failed query swallowed', '22012', ({ sql }) =>
    sql.begin(async (tx) => {
      await errorOf(tx`select 1 / 0`)
      await tx`select 1`
    }),
  ),
  failing('begin that fails at COMMIT', '23503', ({ sql }) =>
    sql.begin((tx) => tx`insert into transfers (account_id, amount) values (99, 1)`),
  ),
  operation('helpers, unsafe and file inside begin', ({ sql }) =>
    sql.begin(async (tx) => ({
      insert: await tx`insert into tags ${tx([{ name: 'p' }, { name: 'q' }])} returning ${tx('name')}`,
      unsafe: await tx.unsafe('select count(*)::int as n from tags where id > $1', [4]),
      several: await tx.unsafe('select 1 as one; select 2 as two'),
      file: await tx.file(fileURLToPath(new URL('../files/plain.sql', import.meta.url))),
      helpers: await tx`select ${tx.array([1, 2])}::int[] as list, ${tx.typed('5', 23)} as n`,
      values: await tx`select id, name from tags order by id`.values(),
    })),
  ),
  operation('fragments and helpers of the root client inside begin', ({ sql }) => {
    const old = sql`age > ${80}`
    return sql.begin(async (tx) => ({
      fragment: await tx`select id from users where ${old} and ${sql`id > ${1}`} order by ${sql('id')}`,
      helper: await tx`insert into tags ${sql({ name: 'by the root' })} returning id, name`,
      nested: await tx.savepoint((nested) => nested`select count(*)::int as n from tags where ${tx`id > ${4}`}`),
      outer: await tx.savepoint(async () => tx`select count(*)::int as n from tags`),
    }))
  }),
  operation('describe, forEach and simple inside begin', ({ sql }) =>
    sql.begin(async (tx) => {
      const rows: unknown[] = []
      await tx`insert into tags (name) values ('inside')`
      const result = await tx`select name from tags where id > ${3} order by id`.forEach((row) => {
        rows.push(row)
      })
      return {
        described: describeStatement(await tx`select name from tags where id = ${1}`.describe()),
        rows,
        count: result.count,
        simple: await tx`select 1 as one`.simple(),
      }
    }),
  ),
  operation('a cursor inside begin', ({ sql }) =>
    sql.begin(async (tx) => {
      const pages: unknown[] = []
      await tx`insert into tags (name) values ('seen')`
      for await (const rows of tx`select name from tags order by id`.cursor(2)) pages.push([...rows])
      return { pages, after: await tx`select 1 as one` }
    }),
  ),
  operation('savepoint, unnamed', async ({ sql }) => ({
    value: await sql.begin(async (tx) => {
      await tx`insert into tags (name) values ('outer')`
      const inner = await tx.savepoint(async (nested) => {
        await nested`insert into tags (name) values ('inner')`
        return 'inner'
      })
      return { inner }
    }),
    rows: await sql`select name from tags where id > 4 order by id`,
  })),
  operation('savepoint, named, that fails and is caught', async ({ sql }) => {
    const thrown = new Error('undo')
    const same = await sql.begin(async (tx) => {
      await tx`insert into tags (name) values ('kept')`
      const caught = await errorOf(
        tx.savepoint('my_point', async (nested) => {
          await nested`insert into tags (name) values ('undone')`
          throw thrown
        }),
      )
      await tx`insert into tags (name) values ('kept too')`
      return caught === thrown
    })
    return { same, rows: await sql`select name from tags where id > 4 order by id` }
  }),
  operation('savepoint with a failed query, caught', async ({ sql }) => {
    const caught = await sql.begin(async (tx) => {
      const failure = await errorOf(tx.savepoint((nested) => nested`select 1 / 0`))
      await tx`insert into tags (name) values ('after')`
      return failure
    })
    return { caught, rows: await sql`select name from tags where id > 4 order by id` }
  }),
  operation('savepoint in a savepoint, and an array of queries from one', async ({ sql }) => ({
    value: await sql.begin((tx) =>
      tx.savepoint('a', (one) =>
        one.savepoint('b', (two) => [two`insert into tags (name) values ('deep')`, two`select 1 as one`]),
      ),
    ),
    rows: await sql`select name from tags where id > 4 order by id`,
  })),
  operation('many begins at once', ({ sql }) =>
    Promise.all(
      Array.from({ length: 25 }, (_, n) =>
        sql.begin((tx) => [tx`select ${n}::int as n`, tx`select ${n + 1}::int as n`]),
      ),
    ),
  ),
  operation('begin inside Drizzle’s own client leaves Drizzle’s queries outside', async ({ db, sql }) =>
    sql.begin(async (tx) => {
      await tx`insert into tags (name) values ('inside')`
      const outside = await db.execute('select count(*)::int as n from tags')
      return { outside, inside: await tx`select count(*)::int as n from tags` }
    }),
  ),
  operation('reserve goes on after a failed query, and rolls back by hand', async ({ sql }) => {
    const reserved = await sql.reserve()
    try {
      await reserved`begin`
      await reserved`insert into tags (name) values ('undone')`
      const caught = await errorOf(reserved`select 1 / 0`)
      await reserved`rollback`
      return { caught, after: await reserved`select count(*)::int as n from tags` }
    } finally {
      reserved.release()
    }
  }),
  operation('reserve keeps one connection', async ({ sql }) => {
    const reserved = await sql.reserve()
    try {
      await reserved`create temporary table mine (id int)`
      await reserved`insert into mine values (1), (2)`
      const pids = await Promise.all([
        reserved`select pg_backend_pid() as pid`,
        reserved`select pg_backend_pid() as pid`,
      ])
      return { rows: await reserved`select * from mine order by id`, sameBackend: pids[0][0]?.pid === pids[1][0]?.pid }
    } finally {
      await reserved`drop table if exists mine`
      reserved.release()
    }
  }),
  // With a client of its own: postgres.js leaves the transaction open.
  failing('begin as a plain statement is refused', 'UNSAFE_TRANSACTION', async ({ drizzle, url }) => {
    await drizzle(url).$client`begin`
    return 'begun'
  }),
]
