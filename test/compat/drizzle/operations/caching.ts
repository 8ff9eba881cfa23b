// Drizzle's query cache: which calls a Cache sees, with the explicit strategy and with all.

import { eq, sql } from 'drizzle-orm'
import { Cache, type MutationOption } from 'drizzle-orm/cache/core'
import type { CacheConfig } from 'drizzle-orm/cache/core/types'
import { getTableConfig } from 'drizzle-orm/pg-core'
import { type Context, errorOf, type Operation, operation } from '../operation.js'
import * as schema from '../schema/index.js'

const { posts, tags, users } = schema

/** Keeps responses by key, forgets all of them on a write, and writes down what it is asked. */
class RecordingCache extends Cache {
  readonly calls: unknown[] = []
  readonly #strategy: 'explicit' | 'all'
  readonly #stored = new Map<string, unknown[]>()

  constructor(strategy: 'explicit' | 'all') {
    super()
    this.#strategy = strategy
  }

  override strategy() {
    return this.#strategy
  }

  override async get(key: string, tables: string[], isTag: boolean, isAutoInvalidate?: boolean) {
    const found = this.#stored.get(key)
    this.calls.push({ get: key, tables, isTag, isAutoInvalidate, hit: found !== undefined })
    return found
  }

  override async put(key: string, response: unknown[], tables: string[], isTag: boolean, config?: CacheConfig) {
    this.calls.push({ put: key, response: [...response], tables, isTag, config })
    this.#stored.set(key, response)
  }

  override async onMutate({ tags: names, tables }: MutationOption) {
    const list = [tables ?? []]
      .flat()
      .map((table) => (typeof table === 'string' ? table : getTableConfig(table as never).name))
    this.calls.push({ onMutate: list, tags: names })
    this.#stored.clear()
  }
}

function caching({ drizzle, url }: Context, strategy: 'explicit' | 'all') {
  const cache = new RecordingCache(strategy)
  return { db: drizzle({ connection: url, schema, cache }), calls: cache.calls }
}

export const cached: readonly Operation[] = [
  operation('explicit: only $withCache() is cached, and read from the cache', async (context) => {
    const { db, calls } = caching(context, 'explicit')
    const results = [
      await db.select().from(users).where(eq(users.id, 1)),
      await db.select().from(users).where(eq(users.id, 1)).$withCache(),
      await db.select().from(users).where(eq(users.id, 1)).$withCache(),
      await db.select().from(users).where(eq(users.id, 2)).$withCache(),
    ]
    return { results, calls }
  }),
  operation('explicit: with a tag, an expiry, and without invalidation', async (context) => {
    const { db, calls } = caching(context, 'explicit')
    const tagged = () =>
      db
        .select({ id: users.id })
        .from(users)
        .orderBy(users.id)
        .$withCache({ tag: 'ids', config: { ex: 60 } })
    const lasting = () => db.select({ id: tags.id }).from(tags).orderBy(tags.id).$withCache({ autoInvalidate: false })
    const results = [await tagged(), await tagged(), await lasting(), await lasting()]
    await db.$cache.invalidate({ tags: 'ids' })
    await db.$cache.invalidate({ tables: [users, posts] })
    await db.$cache.invalidate({ tables: 'tags' })
    return { results: [...results, await tagged()], calls }
  }),
  operation('explicit: a write tells its tables', async (context) => {
    const { db, calls } = caching(context, 'explicit')
    await db.insert(tags).values({ name: 'cached' })
    await db.update(posts).set({ title: 'T' }).where(eq(posts.id, 1))
    await db.delete(tags).where(eq(tags.name, 'cached'))
    await db.execute(sql`delete from tags where id > 100`)
    return calls
  }),
  operation('all: every select is cached until a write', async (context) => {
    const { db, calls } = caching(context, 'all')
    const read = () => db.select({ id: tags.id, name: tags.name }).from(tags).orderBy(tags.id)
    const joined = () =>
      db
        .select({ user: users.name, post: posts.title })
        .from(users)
        .innerJoin(posts, eq(posts.authorId, users.id))
        .orderBy(posts.id)
    const results: unknown[] = [await read(), await read(), await joined(), await joined()]
    await db.insert(tags).values({ name: 'fresh' })
    results.push(await read(), await read().$withCache(false))
    return { results, calls }
  }),
  operation('all: a prepared query is cached by its values', async (context) => {
    const { db, calls } = caching(context, 'all')
    const query = db
      .select({ name: users.name })
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('cached')
    return {
      results: [await query.execute({ id: 1 }), await query.execute({ id: 1 }), await query.execute({ id: 2 })],
      calls,
    }
  }),
  operation('all: relational queries, counts and raw SQL', async (context) => {
    const { db, calls } = caching(context, 'all')
    const results = {
      relational: await db.query.users.findMany({ columns: { id: true }, orderBy: users.id }),
      counted: await db.$count(users),
      executed: await db.execute(sql`select 1 as one`),
    }
    return { results, calls }
  }),
  operation('all: inside a transaction', async (context) => {
    const { db, calls } = caching(context, 'all')
    const inside = await db.transaction(async (tx) => {
      const before = await tx.select({ id: tags.id }).from(tags).orderBy(tags.id)
      await tx.insert(tags).values({ name: 'inside' })
      return { before, after: await tx.select({ id: tags.id }).from(tags).orderBy(tags.id) }
    })
    return { inside, calls }
  }),
  operation('all: a failed query is not cached', async (context) => {
    const { db, calls } = caching(context, 'all')
    const caught = [
      await errorOf(db.select({ x: sql`1 / 0` }).from(tags)),
      await errorOf(db.insert(tags).values({ name: 'logic' })),
    ]
    return { caught, calls }
  }),
]
