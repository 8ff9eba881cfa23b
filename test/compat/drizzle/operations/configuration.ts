// What drizzle's own configuration adds: logger, casing, read replicas.

import { DefaultLogger, eq, sql } from 'drizzle-orm'
import { integer, pgTable, pgView, serial, text, timestamp, withReplicas } from 'drizzle-orm/pg-core'
import { type Context, errorOf, type Operation, operation } from '../operation.js'
import * as schema from '../schema/index.js'

const { tags, users } = schema

/** A table whose columns name no column: the casing does. */
const people = pgTable('contacts', { id: serial().primaryKey(), firstName: text(), lastName: text(), homeTown: text() })
const camelPeople = pgTable('camelContacts', { id: serial().primaryKey(), first_name: text(), last_name: text() })
const members = pgTable('users', {
  id: serial().primaryKey(),
  name: text(),
  joinedAt: timestamp({ withTimezone: true }),
  managerId: integer(),
})
const memberView = pgView('member_view').as((query) =>
  query.select({ id: members.id, joinedAt: members.joinedAt }).from(members),
)

/** A db that keeps what is logged. */
function logging({ drizzle, url }: Context) {
  const lines: { query: string; params: unknown[] }[] = []
  const logger = { logQuery: (query: string, params: unknown[]) => lines.push({ query, params: [...params] }) }
  return { db: drizzle({ connection: url, schema, logger }), lines }
}

export const configuration: readonly Operation[] = [
  operation('a logger sees every query with its parameters', async (context) => {
    const { db, lines } = logging(context)
    await db.select().from(users).where(eq(users.id, 1))
    await db
      .insert(users)
      .values({ name: 'Logged', joinedAt: new Date(0), mood: 'sad' })
      .returning()
    await db
      .update(schema.posts)
      .set({ details: { words: 2 }, labels: ['a', 'b'], score: '1.5' })
      .where(eq(schema.posts.id, 1))
    await db.execute(sql`select ${'x'}::text, ${null}::int, ${12n}::int8`)
    await db.query.users.findFirst({ where: eq(users.id, 1), with: { posts: true } })
    await db.$count(users)
    await db.refreshMaterializedView(schema.postCounts)
    return lines
  }),
  operation('a logger sees prepared queries with the values given', async (context) => {
    const { db, lines } = logging(context)
    const query = db
      .select({ id: users.id })
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('logged')
    await query.execute({ id: 1 })
    await query.execute({ id: 2 })
    return lines
  }),
  operation('a logger sees failed queries', async (context) => {
    const { db, lines } = logging(context)
    const caught = await errorOf(db.execute(sql`select ${1}::int / 0`))
    return { lines, caught }
  }),
  operation('a logger sees the queries of transactions', async (context) => {
    const { db, lines } = logging(context)
    await db.transaction(async (tx) => {
      await tx.insert(tags).values({ name: 'logged' })
      await tx.transaction((nested) => nested.select().from(tags))
    })
    return lines
  }),
  operation('a logger and a transaction’s configuration', async (context) => {
    const { db, lines } = logging(context)
    await db.transaction((tx) => tx.execute('select 1'), { isolationLevel: 'serializable', accessMode: 'read only' })
    return lines
  }),
  operation('the default logger writes the same lines', async ({ drizzle, url }) => {
    const lines: string[] = []
    const db = drizzle(url, { logger: new DefaultLogger({ writer: { write: (line) => lines.push(line) } }) })
    await db.insert(users).values({ name: 'L', joinedAt: new Date(0), age: null })
    await db.execute('select 1')
    return lines
  }),
  operation('logger: true writes to the console', async ({ drizzle, url, defer }) => {
    const lines: unknown[] = []
    const { log } = console
    console.log = (line: unknown) => lines.push(line)
    defer(() => {
      console.log = log
    })
    const db = drizzle(url, { logger: true })
    await db.select({ id: users.id }).from(users).where(eq(users.id, 1))
    return lines
  }),
  operation('casing: snake_case', async ({ drizzle, url }) => {
    const db = drizzle({ connection: url, schema: { people, members }, casing: 'snake_case' })
    return {
      inserted: await db.insert(people).values({ firstName: 'Emmy', lastName: 'Noether' }).returning(),
      updated: await db
        .update(people)
        .set({ homeTown: 'Erlangen' })
        .where(eq(people.firstName, 'Emmy'))
        .returning({ homeTown: people.homeTown }),
      selected: await db.select().from(people).orderBy(people.lastName),
      relational: await db.query.people.findMany({ columns: { firstName: true }, orderBy: people.id }),
      mapped: await db.select().from(members).where(eq(members.managerId, 1)).orderBy(members.id),
      prepared: await db
        .select()
        .from(people)
        .where(eq(people.firstName, sql.placeholder('name')))
        .prepare('cased')
        .execute({ name: 'Kurt' }),
      inside: await db.transaction((tx) => tx.select({ lastName: people.lastName }).from(people).orderBy(people.id)),
      view: db.select().from(memberView).toSQL(),
    }
  }),
  operation('casing: camelCase', async ({ drizzle, url }) => {
    const db = drizzle(url, { casing: 'camelCase', schema: { camelPeople } })
    return {
      inserted: await db.insert(camelPeople).values({ first_name: 'Stephen', last_name: 'Kleene' }).returning(),
      selected: await db.select().from(camelPeople).orderBy(camelPeople.first_name),
      conflict: await db
        .insert(camelPeople)
        .values({ id: 1, first_name: 'A', last_name: 'B' })
        .onConflictDoUpdate({ target: camelPeople.id, set: { last_name: sql`excluded.${sql.identifier('lastName')}` } })
        .returning(),
    }
  }),
  operation('withReplicas reads from a replica and writes to the primary', async (context) => {
    const primary = logging(context)
    const replica = logging(context)
    const db = withReplicas(primary.db, [replica.db])
    const results = {
      selected: await db.select({ id: users.id }).from(users).orderBy(users.id),
      distinct: await db.selectDistinct({ mood: users.mood }).from(users).orderBy(users.mood),
      relational: await db.query.users.findFirst({ columns: { name: true }, orderBy: users.id }),
      counted: await db.$count(users),
      inserted: await db.insert(tags).values({ name: 'primary' }).returning(),
      updated: await db.update(tags).set({ name: 'changed' }).where(eq(tags.name, 'primary')).returning(),
      executed: await db.execute(sql`select 'executed' as word`),
      inside: await db.transaction((tx) => tx.select({ n: sql<number>`1` }).from(tags).limit(1)),
      forced: await db.$primary.select({ id: tags.id }).from(tags).orderBy(tags.id).limit(1),
      deleted: await db.delete(tags).where(eq(tags.name, 'changed')).returning(),
    }
    return { results, primary: primary.lines, replica: replica.lines }
  }),
  operation('withReplicas with a choice of replica', async (context) => {
    const [primary, one, two] = [logging(context), logging(context), logging(context)]
    let turn = 0
    const db = withReplicas(primary.db, [one.db, two.db], (replicas) => replicas[turn++ % 2] ?? one.db)
    for (let time = 0; time < 3; time++) await db.select({ id: users.id }).from(users).limit(1)
    return {
      primary: primary.lines.length,
      one: one.lines.length,
      two: two.lines.length,
      replicas: db.$replicas.length,
    }
  }),
  operation('the db tells its schema and its class', async ({ db }) => ({
    tables: Object.keys(db._.fullSchema).sort(),
    relational: Object.keys(db.query).sort(),
    names: db._.tableNamesMap,
    kind: (db.constructor as unknown as Record<symbol, unknown>)[Symbol.for('drizzle:entityKind')],
    client: typeof db.$client,
  })),
]
