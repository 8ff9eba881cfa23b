// Every form of arguments that drizzle() accepts, and what becomes of a client of the user's own.

import { eq } from 'drizzle-orm'
import postgres from 'postgres'
import { type Context, errorOf, failing, type Operation, operation } from '../operation.js'
import * as schema from '../schema/index.js'

const { users } = schema

interface Queryable {
  execute(query: string): PromiseLike<unknown>
}

const whoIsThere = async (db: Queryable, { address }: Context) => {
  const [row] = (await db.execute(
    `select current_database() as database, current_user as user, current_setting('application_name') as application from users limit 1`,
  )) as { database: string; user: string; application: string }[]
  return {
    sameDatabase: row?.database === address.database,
    sameUser: row?.user === address.user,
    application: row?.application,
  }
}

/** A postgres.js client that the user made. */
const userClient = ({ url, defer }: Context, options: postgres.Options<Record<string, postgres.PostgresType>> = {}) => {
  const client = postgres(url, options)
  defer(() => client.end({ timeout: 1 }))
  return client
}

export const forms: readonly Operation[] = [
  operation('drizzle(url)', async (context) => {
    const db = context.drizzle(context.url)
    return { who: await whoIsThere(db, context), rows: await db.select().from(users).where(eq(users.id, 1)) }
  }),
  operation('drizzle(url, config)', async (context) => {
    const db = context.drizzle(context.url, { schema })
    return {
      who: await whoIsThere(db, context),
      row: await db.query.users.findFirst({ where: eq(users.id, 1), with: { posts: true } }),
    }
  }),
  operation('drizzle({ connection: url, schema })', async (context) => {
    const db = context.drizzle({ connection: context.url, schema })
    return { who: await whoIsThere(db, context), row: await db.query.users.findFirst({ where: eq(users.id, 2) }) }
  }),
  operation('drizzle({ connection: { url, … } })', async (context) => {
    const db = context.drizzle({ connection: { url: context.url, connection: { application_name: 'by-option' } } })
    return { who: await whoIsThere(db, context), rows: await db.select({ id: users.id }).from(users).orderBy(users.id) }
  }),
  operation('drizzle({ connection: { host, port, … } })', async (context) => {
    const { host, port, user, password, database } = context.address
    const db = context.drizzle({ connection: { host, port, user, password, database }, schema })
    return { who: await whoIsThere(db, context), row: await db.query.users.findFirst({ where: eq(users.id, 3) }) }
  }),
  operation('drizzle({ connection: { hostname, username, pass, db } })', async (context) => {
    const { host, port, user, password, database } = context.address
    const db = context.drizzle({
      connection: { hostname: host, port, username: user, pass: password, db: database } as never,
    })
    return whoIsThere(db, context)
  }),
  operation('a host with its port inside', async (context) => {
    const { host, port, user, password, database } = context.address
    const db = context.drizzle({ connection: { host: `${host}:${port}`, user, password, database } })
    return whoIsThere(db, context)
  }),
  operation('a password by function', async (context) => {
    const { host, port, user, password, database } = context.address
    const db = context.drizzle({ connection: { host, port, user, database, password: async () => password } })
    return whoIsThere(db, context)
  }),
  operation('drizzle(client) with the user’s own client', async (context) => {
    const client = userClient(context)
    const db = context.drizzle(client)
    return { who: await whoIsThere(db, context), row: await db.select().from(users).where(eq(users.id, 1)) }
  }),
  operation('drizzle(client, config) with the user’s own client', async (context) => {
    const db = context.drizzle(userClient(context, { connection: { application_name: 'users-own' } }), { schema })
    return { who: await whoIsThere(db, context), row: await db.query.users.findFirst({ where: eq(users.id, 1) }) }
  }),
  operation('drizzle({ client, schema }) with the user’s own client', async (context) => {
    const db = context.drizzle({ client: userClient(context), schema })
    const inside = await db.transaction(async (tx) => {
      await tx.insert(schema.tags).values({ name: 'through the client' })
      return tx.query.tags.findMany({ orderBy: schema.tags.id })
    })
    return { who: await whoIsThere(db, context), inside }
  }),
  operation('the user’s own client goes on working beside drizzle', async (context) => {
    const client = userClient(context)
    const db = context.drizzle({ client })
    return { client: await client`select id, name from users order by id`, db: await db.execute('select 1 as one') }
  }),
  operation('what drizzle does to the dates of the user’s own client', async (context) => {
    const client = userClient(context)
    const db = context.drizzle({ client })
    const text = `select date '2024-01-01' as day`
    return { client: await client.unsafe(text), db: await db.execute(text), own: await db.$client.unsafe(text) }
  }),
  operation('db.$client is the user’s own client', async (context) => {
    const client = userClient(context)
    return {
      positional: context.drizzle(client).$client === client,
      named: context.drizzle({ client }).$client === client,
    }
  }),
  failing('ending the user’s own client ends the db', 'CONNECTION_ENDED', async (context) => {
    const client = userClient(context)
    const db = context.drizzle({ client })
    await db.execute('select 1')
    await client.end()
    return db.execute('select 1 as one')
  }),
  operation('two drizzles on one client', async (context) => {
    const client = userClient(context)
    const plain = context.drizzle(client)
    const full = context.drizzle({ client, schema })
    return [await plain.$count(users), await full.query.users.findMany({ columns: { id: true }, orderBy: users.id })]
  }),
  operation('drizzle.mock() builds queries and runs none', async ({ drizzle }) => {
    const db = drizzle.mock({ schema, casing: 'snake_case' })
    return {
      select: db.select().from(users).where(eq(users.id, 1)).toSQL(),
      relational: db.query.users.findMany({ with: { posts: true } }).toSQL(),
      ran: (await errorOf(db.select().from(users))) instanceof Error,
    }
  }),
]
