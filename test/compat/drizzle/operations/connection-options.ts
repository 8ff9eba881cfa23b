// The options of postgres.js that are handed on through drizzle(): where and how to connect, types, transforms, hooks.

import { eq, sql } from 'drizzle-orm'
import postgres from 'postgres'
import { errorOf, type Operation, operation } from '../operation.js'
import * as schema from '../schema/index.js'

const { users } = schema

export const connectionOptions: readonly Operation[] = [
  operation('options in the URL', async (context) => {
    const url = new URL(context.url)
    url.searchParams.set('application_name', 'in-the-url')
    url.searchParams.set('search_path', 'audit')
    const db = context.drizzle(url.href)
    const [path] = await db.execute('show search_path')
    return { path, application: await db.execute(`select current_setting('application_name') as name`) }
  }),
  operation('server settings in connection', async ({ drizzle, url }) => {
    const db = drizzle({
      connection: {
        url,
        connection: { search_path: 'audit, public', statement_timeout: 12_345, TimeZone: 'Asia/Tokyo' },
      },
    })
    return db.execute(
      `select current_setting('search_path') as path, current_setting('statement_timeout') as timeout, '2024-01-01 00:00+00'::timestamptz as moment`,
    )
  }),
  operation('types of the user’s own, here bigint', async ({ drizzle, url }) => {
    const db = drizzle({ connection: { url, types: { bigint: postgres.BigInt } }, schema })
    await db.insert(schema.numbers).values({ big: 7n, bigNumber: 8 })
    return {
      executed: await db.execute('select 9007199254740993::int8 as big, array[1::int8] as list'),
      tagged: await db.$client`select ${9007199254740993n as never} as big`,
      selected: await db.select().from(schema.numbers),
      counted: await db.$count(schema.numbers),
    }
  }),
  operation('types of the user’s own, with a helper', async ({ drizzle, url }) => {
    const rectangle = {
      to: 603,
      from: [603],
      serialize: ({ x, y }: { x: number; y: number }) => `(${x},${y}),(0,0)`,
      parse: (text: string) =>
        text
          .split(/[(),]+/)
          .filter(Boolean)
          .map(Number),
    }
    const db = drizzle({ connection: { url, types: { rectangle } } })
    const client = db.$client as unknown as postgres.Sql<{ rectangle: { x: number; y: number } }>
    return client`select ${client.types.rectangle({ x: 3, y: 4 })} as box, ${client.typed.rectangle({ x: 1, y: 1 })}::box as other`
  }),
  operation('types of the user’s own for dates, which Drizzle takes over', async ({ drizzle, url }) => {
    const day = {
      to: 1082,
      from: [1082],
      serialize: (value: string) => value,
      parse: (text: string) => `parsed ${text}`,
    }
    const db = drizzle({ connection: { url, types: { day } } })
    return {
      executed: await db.execute(`select date '2024-01-01' as day`),
      tagged: await db.$client`select date '2024-01-01' as day`,
    }
  }),
  operation('transform to camel case', async ({ drizzle, url }) => {
    const db = drizzle({ connection: { url, transform: postgres.camel }, schema })
    const client = db.$client
    return {
      executed: await db.execute(
        `select id, joined_at, manager_id, '{"inner_key": [{"deep_key": 1}]}'::jsonb as some_json from users order by id limit 2`,
      ),
      selected: await db.select().from(users).where(eq(users.id, 2)),
      tagged: await client`select ${client('managerId')}, ${client(['joinedAt'])} from users order by id limit 1`,
      inserted: await client`insert into contacts ${client({ firstName: 'Emmy', lastName: 'Noether' })} returning *`,
    }
  }),
  operation('transform of columns one way only', async ({ drizzle, url }) => {
    const db = drizzle({ connection: { url, transform: { column: { from: postgres.toPascal } } } })
    return db.execute('select manager_id from users order by id')
  }),
  operation('transform of undefined', async ({ drizzle, url }) => {
    const db = drizzle({ connection: { url, transform: { undefined: null } } })
    return {
      executed: await db.execute(sql`select ${sql.param(undefined)}::text as nothing`),
      tagged: await db.$client`select ${undefined as never}::int as nothing`,
      inserted:
        await db.$client`insert into contacts ${db.$client({ first_name: 'A', last_name: 'B', home_town: undefined })} returning home_town`,
    }
  }),
  operation('transform of values and rows', async ({ drizzle, url }) => {
    const transform = {
      value: (value: unknown) => (typeof value === 'string' ? value.toUpperCase() : value),
      row: (row: object) => ({ ...row, seen: true }),
    }
    const db = drizzle({ connection: { url, transform } })
    return {
      executed: await db.execute('select id, name from users order by id limit 2'),
      tagged: await db.$client`select name from users limit 1`,
    }
  }),
  operation('prepare: false and fetch_types: false', async ({ drizzle, url }) => {
    const db = drizzle({ connection: { url, prepare: false, fetch_types: false } })
    const query = db
      .select({ name: users.name })
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('unprepared')
    return {
      prepared: [await query.execute({ id: 1 }), await query.execute({ id: 2 })],
      arrays: await db.execute(`select array['a', 'b'] as texts, array[1, 2] as ints, array['ok'::mood] as moods`),
    }
  }),
  operation('onnotice, debug and onparameter are called', async ({ drizzle, url }) => {
    const notices: unknown[] = []
    const queries: unknown[] = []
    const parameters = new Set<string>()
    const db = drizzle({
      connection: {
        url,
        onnotice: ({ severity, code, message }) => notices.push({ severity, code, message }),
        debug: (_connection, query, values) => query.includes('tell') && queries.push({ query, values: [...values] }),
        onparameter: (key) => parameters.add(key),
      },
    })
    await db.execute(sql`select tell(${'heard'})`)
    return { notices, queries, encoding: parameters.has('server_encoding') }
  }),
  operation('what the pool decides, among the connection options', async ({ drizzle, url }) => {
    const owned = {
      max: 3,
      idle_timeout: 20,
      connect_timeout: 5,
      max_lifetime: 60,
      backoff: () => 1,
      max_pipeline: 10,
      onclose: () => {},
      publications: 'some',
    }
    const seen: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(owned)) {
      seen[name] = await errorOf(() => drizzle({ connection: { url, [name]: value } }).$count(users))
    }
    return seen
  }),
  operation('the other connection options', async ({ drizzle, url }) => {
    const others = {
      ssl: false,
      keep_alive: 30,
      target_session_attrs: 'read-write',
      onnotify: () => {},
      no_prepare: true,
      path: undefined,
    }
    const seen: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(others)) {
      seen[name] = await errorOf(() => drizzle({ connection: { url, [name]: value } }).$count(users))
    }
    return seen
  }),
  operation('postgres.js’s options in the URL', async ({ drizzle, url }) => {
    const seen: Record<string, unknown> = {}
    for (const option of [
      'sslmode=disable',
      'prepare=false',
      'fetch_types=false',
      'connect_timeout=5',
      'max=2',
      'idle_timeout=5',
    ]) {
      seen[option] = await errorOf(() => drizzle(`${url}${url.includes('?') ? '&' : '?'}${option}`).$count(users))
    }
    return seen
  }),
  operation('everything from the environment', async ({ drizzle, address, defer }) => {
    const environment = { ...process.env }
    defer(() => {
      process.env = environment
    })
    const { host, port, user, password, database } = address
    Object.assign(process.env, {
      PGHOST: host,
      PGPORT: `${port}`,
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: database,
      PGAPPNAME: 'by-environment',
    })
    const db = drizzle({ connection: {} })
    return db.execute(`select current_setting('application_name') as application, count(*)::int as users from users`)
  }),
  operation('several hosts, the first of them down', async ({ drizzle, address }) => {
    const { host, port, ...rest } = address
    return {
      text: await drizzle({ connection: { ...rest, host: `127.0.0.1:1,${host}:${port}` } }).$count(users),
      lists: await drizzle({ connection: { ...rest, host: ['127.0.0.1', host], port: [1, port] } as never }).$count(
        users,
      ),
    }
  }),
  operation('parsers that the application changes afterwards', async ({ drizzle, url }) => {
    const db = drizzle(url)
    const { parsers, serializers } = db.$client.options
    parsers[20] = BigInt
    parsers[1082] = (text: string) => `day ${text}`
    serializers[25] = (value: string) => value.toUpperCase()
    const text = `select 7::int8 as big, date '2024-01-01' as day`
    return {
      executed: await db.execute(text),
      tagged: await db.$client.unsafe(text),
      written: await db.$client`select ${'text'}::text as written`,
      inside: await db.transaction((tx) => tx.execute(text)),
    }
  }),
  operation('a server that is not there', async ({ drizzle, address }) => {
    const config = {
      connection: { ...address, host: '127.0.0.1', port: 1 },
      // Stock gives up at the first refusal and knows nothing of this; ours tries until its limit.
      resilience: { pool: { acquireTimeoutMs: 500 } },
    }
    return errorOf(drizzle(config).execute('select 1'))
  }),
  operation('a database that is not there', async ({ drizzle, address }) => {
    const db = drizzle({ connection: { ...address, database: 'no_such_database' } })
    return errorOf(db.execute('select 1'))
  }),
]
