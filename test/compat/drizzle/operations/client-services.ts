// db.$client as a postgres.js Sql: notifications, COPY, cancelling, parameters, options, ending.

import type { Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { until } from '../../../support/until.js'
import { errorOf, failing, type Operation, operation } from '../operation.js'

export const clientServices: readonly Operation[] = [
  operation('listen hears what notify says', async ({ sql, defer }) => {
    const heard: string[] = []
    let listening = 0
    const { unlisten, state } = await sql.listen(
      'news',
      (payload) => heard.push(payload),
      () => {
        listening += 1
      },
    )
    defer(unlisten)
    const result = await sql.notify('news', 'first')
    await sql`select pg_notify('news', ${'second'})`
    await sql.notify('other', 'not for us')
    await sql.notify('news', '')
    await until(() => heard.length === 3, { what: 'three notifications' })
    return { heard, listening, result, state: Object.keys(state).sort() }
  }),
  operation('two listeners on one channel, one leaves', async ({ sql, defer }) => {
    const first: string[] = []
    const second: string[] = []
    const one = await sql.listen('Odd "channel"', (payload) => first.push(payload))
    const two = await sql.listen('Odd "channel"', (payload) => second.push(payload))
    defer(two.unlisten)
    await sql.notify('Odd "channel"', 'both')
    await until(() => first.length + second.length === 2, { what: 'both listeners to hear' })
    await one.unlisten()
    await sql.notify('Odd "channel"', 'second only')
    await until(() => second.length === 2, { what: 'the second listener to hear again' })
    return { first, second }
  }),
  operation('a notification in a transaction is heard after COMMIT', async ({ sql, db, defer }) => {
    const heard: string[] = []
    const { unlisten } = await sql.listen('committed', (payload) => heard.push(payload))
    defer(unlisten)
    const caught = await errorOf(
      db.transaction(async (tx) => {
        await tx.execute(`select pg_notify('committed', 'rolled back')`)
        tx.rollback()
      }),
    )
    await db.transaction((tx) => tx.execute(`select pg_notify('committed', 'kept')`))
    await sql.begin((tx) => tx.notify('committed', 'by begin'))
    await until(() => heard.length > 1, { what: 'two notifications' })
    return { heard, caught }
  }),
  operation('COPY out through readable()', async ({ sql }) => {
    const stream: Readable = await sql`copy (select id, name from users order by id) to stdout`.readable()
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }),
  operation('COPY in through writable()', async ({ sql }) => {
    const stream: Writable = await sql`copy tags (name) from stdin`.writable()
    stream.write('copied one\n')
    stream.end('copied two\n')
    await finished(stream)
    const rows = () => sql`select id, name from tags where id > 4 order by id`
    return until(async () => ((await rows()).length === 2 ? rows() : undefined), { what: 'the copied rows' })
  }),
  operation('cancel() ends a running query', async ({ sql, admin }) => {
    const query = sql`select pg_sleep(60), 'to be cancelled' as marker`
    const failure = errorOf(query)
    await until(() => isRunning(admin, 'to be cancelled'), { what: 'the query to run' })
    query.cancel()
    return { caught: await failure, after: await sql`select 1 as one` }
  }),
  operation('cancel() before a query has started', async ({ sql }) => {
    const query = sql`insert into tags (name) values ('never')`
    query.cancel()
    const caught = await errorOf(query)
    return { code: (caught as { code?: string }).code, tags: await sql`select count(*)::int as n from tags` }
  }),
  operation('parameters tell what the server said when it was first asked', async ({ sql }) => {
    await sql`select 1`
    const { server_version, server_encoding, client_encoding, standard_conforming_strings, integer_datetimes } =
      sql.parameters as unknown as Record<string, string>
    const [version] = await sql`show server_version`
    return {
      same: server_version === version?.server_version,
      server_encoding,
      client_encoding,
      standard_conforming_strings,
      integer_datetimes,
    }
  }),
  operation('options tell where it leads', async ({ sql, address }) => {
    const { host, port, database, user, ssl, prepare, transform, connection } = sql.options as unknown as Record<
      string,
      unknown
    >
    return {
      host,
      port,
      sameDatabase: database === address.database,
      sameUser: user === address.user,
      ssl,
      prepare,
      transform,
      connection,
    }
  }),
  operation('it has every member of a postgres.js client', async ({ sql }) =>
    [
      'array',
      'begin',
      'close',
      'end',
      'file',
      'json',
      'largeObject',
      'listen',
      'notify',
      'options',
      'parameters',
      'reserve',
      'subscribe',
      'typed',
      'types',
      'unsafe',
      'CLOSE',
      'END',
      'PostgresError',
    ].map((name) => [name, typeof (sql as unknown as Record<string, unknown>)[name]]),
  ),
  operation('PostgresError recognises the driver’s errors', async ({ sql }) => {
    const error = await errorOf(sql`select 1 / 0`)
    const own = error instanceof sql.PostgresError ? error : (error as Error).cause
    return own instanceof sql.PostgresError
  }),
  operation('a large object', ({ sql }) =>
    sql.begin(async (tx) => {
      const [created] = await tx`select lo_creat(-1) as oid`
      const [descriptor] = await tx`select lo_open(${created?.oid}, 131072 | 262144) as fd`
      await tx`select lowrite(${descriptor?.fd}, ${Buffer.from('content')})`
      const content = await tx`select lo_get(${created?.oid}) as bytes`
      await tx`select lo_unlink(${created?.oid})`
      return content
    }),
  ),
  operation('largeObject() writes and reads', async ({ sql }) => {
    const large = await sql.largeObject()
    await large.write(Buffer.from('hello world'))
    await large.seek(6)
    const chunks: Buffer[] = []
    for await (const chunk of await large.readable()) chunks.push(chunk)
    await large.close()
    return Buffer.concat(chunks).toString()
  }),
  failing('a query after end() is refused', 'CONNECTION_ENDED', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.execute('select 1')
    await db.$client.end()
    return db.$client`select 1`
  }),
  failing('a Drizzle query after end() is refused', 'CONNECTION_ENDED', async ({ drizzle, url }) => {
    const db = drizzle(url)
    await db.$client.end()
    return db.execute('select 1')
  }),
  operation('end() with a timeout of nothing rejects what runs', async ({ drizzle, url, admin }) => {
    const db = drizzle(url)
    await admin.query('select pg_advisory_lock(8)')
    const running = errorOf(db.execute(`select pg_advisory_xact_lock(8), 'rejected' as state`))
    await until(() => isRunning(admin, 'rejected'), { what: 'the query to run' })
    await db.$client.end({ timeout: 0 })
    const caught = await running
    await admin.query('select pg_advisory_unlock(8)')
    return caught
  }),
  operation('end() lets what runs finish, and may be called twice', async ({ drizzle, url, admin }) => {
    const db = drizzle(url)
    await admin.query('select pg_advisory_lock(7)')
    const running = errorOf(db.execute(`select pg_advisory_xact_lock(7), 'finished' as state`))
    await until(() => isRunning(admin, 'finished'), { what: 'the query to run' })
    const endings = [db.$client.end(), db.$client.end()]
    await admin.query('select pg_advisory_unlock(7)')
    return { running: await running, endings: await Promise.all(endings) }
  }),
]

async function isRunning(
  admin: { query(sql: string, params: unknown[]): Promise<unknown[]> },
  marker: string,
): Promise<boolean> {
  const rows = await admin.query(
    `select 1 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and datname = current_database() and query like $1`,
    [`%${marker}%`],
  )
  return rows.length > 0
}
