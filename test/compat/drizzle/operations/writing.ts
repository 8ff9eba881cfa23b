// INSERT, UPDATE and DELETE through Drizzle's builders.

import { and, desc, eq, gt, inArray, isNull, sql } from 'drizzle-orm'
import { type Operation, operation } from '../operation.js'
import { accounts, contacts, events, posts, postsToTags, tags, users } from '../schema/index.js'

export const writing: readonly Operation[] = [
  operation('insert without returning tells the command and the count', async ({ db }) => {
    const result = await db.insert(users).values({ name: 'Linus', email: 'linus@example.org' })
    return { result, isArray: Array.isArray(result), length: result.length, count: result.count }
  }),
  operation('insert returning gives the whole row with its defaults', ({ db }) =>
    db.insert(users).values({ name: 'Linus' }).returning(),
  ),
  operation('insert returning chosen columns and expressions', ({ db }) =>
    db
      .insert(users)
      .values({ name: 'Linus', age: 20 })
      .returning({ id: users.id, shouted: sql<string>`upper(${users.name})`, joined: users.joinedAt }),
  ),
  operation('insert many returns every row in order', ({ db }) =>
    db
      .insert(users)
      .values([
        { name: 'A', mood: 'sad' },
        { name: 'B', age: 0 },
        { name: 'C', joinedAt: new Date('2020-02-29T12:00:00Z') },
      ])
      .returning(),
  ),
  operation('insert a thousand rows in one statement', async ({ db }) => {
    const values = Array.from({ length: 1000 }, (_, index) => ({ name: `tag ${index}` }))
    const result = await db.insert(tags).values(values)
    return {
      count: result.count,
      stored: await db.$count(tags),
      last: await db.select().from(tags).orderBy(desc(tags.id)).limit(1),
    }
  }),
  operation('insert with every default spelled by Drizzle', ({ db }) =>
    db.insert(accounts).values({ owner: 'nobody' }).returning(),
  ),
  operation('insert with SQL expressions as values', ({ db }) =>
    db
      .insert(posts)
      .values({
        authorId: sql`(select max(id) from users)`,
        title: sql`upper('made up')`,
        labels: sql`array['a', 'b']`,
      })
      .returning(),
  ),
  operation('insert from a select', async ({ db }) => {
    const copied = await db
      .insert(tags)
      .select(
        db
          .select({ id: sql<number>`${users.id} + 100`.as('id'), name: users.name })
          .from(users)
          .where(gt(users.age, 80)),
      )
      .returning()
    return { copied, all: await db.select().from(tags).orderBy(tags.id) }
  }),
  operation('insert with a CTE feeding it', async ({ db }) => {
    const oldest = db.$with('oldest').as(db.select({ id: users.id }).from(users).orderBy(desc(users.age)).limit(1))
    return db
      .with(oldest)
      .insert(posts)
      .values({ authorId: sql`(select id from ${oldest})`, title: 'By the oldest' })
      .returning({ id: posts.id, authorId: posts.authorId })
  }),
  operation('onConflictDoNothing keeps the row there is', async ({ db }) => {
    const written = await db
      .insert(tags)
      .values([{ name: 'logic' }, { name: 'new' }])
      .onConflictDoNothing()
      .returning()
    return { written, all: await db.select().from(tags).orderBy(tags.id) }
  }),
  operation('onConflictDoNothing with a target, without returning, counts nothing', async ({ db }) => {
    const result = await db.insert(tags).values({ name: 'logic' }).onConflictDoNothing({ target: tags.name })
    return { result, count: result.count }
  }),
  operation('onConflictDoUpdate takes the excluded row', ({ db }) =>
    db
      .insert(users)
      .values([
        { name: 'Ada Lovelace', email: 'ada@example.org', age: 37 },
        { name: 'New', email: 'new@example.org' },
      ])
      .onConflictDoUpdate({ target: users.email, set: { name: sql`excluded.name`, age: sql`${users.age} + 1` } })
      .returning(),
  ),
  operation('onConflictDoUpdate with setWhere leaves rows that do not match', async ({ db }) => {
    const values = { name: 'Someone', email: 'grace@example.org' }
    const conflict = { target: users.email, set: { name: values.name }, setWhere: eq(users.mood, 'sad') }
    const written = await db.insert(users).values(values).onConflictDoUpdate(conflict).returning()
    return { written, stored: await db.select().from(users).where(eq(users.email, values.email)) }
  }),
  operation('onConflictDoUpdate on a composite key', async ({ db }) => {
    await db
      .insert(contacts)
      .values({ firstName: 'Kurt', lastName: 'Gödel', homeTown: 'Brünn' })
      .onConflictDoUpdate({
        target: [contacts.firstName, contacts.lastName],
        set: { homeTown: sql`excluded.home_town` },
      })
    return db.select().from(contacts).orderBy(contacts.id)
  }),
  operation('insert into a table of another schema, with identity and generated columns', ({ db }) =>
    db
      .insert(events)
      .values([{ kind: 'login' }, { kind: 'logout', payload: { after: [1, 'two', null] } }])
      .returning(),
  ),
  operation('update returning the new rows', ({ db }) =>
    db.update(users).set({ age: 37, mood: 'ok' }).where(eq(users.id, 1)).returning(),
  ),
  operation('update with an expression over its own column', ({ db }) =>
    db
      .update(accounts)
      .set({ balance: sql`${accounts.balance} * 1.1` })
      .returning({ owner: accounts.owner, balance: accounts.balance }),
  ),
  operation('update to NULL, and nothing for undefined', ({ db }) =>
    db.update(users).set({ email: null, name: undefined }).where(eq(users.id, 2)).returning(),
  ),
  operation('update without returning counts the rows', async ({ db }) => {
    const result = await db.update(posts).set({ published: true }).where(eq(posts.published, false))
    return { result, count: result.count, command: result.command }
  }),
  operation('update that matches nothing', async ({ db }) => {
    const none = await db.update(users).set({ age: 1 }).where(eq(users.id, 999))
    return { none, returned: { rows: await db.update(users).set({ age: 1 }).where(eq(users.id, 999)).returning() } }
  }),
  operation('update from another table', ({ db }) =>
    db
      .update(posts)
      .set({ title: sql`${posts.title} || ' by ' || ${users.name}` })
      .from(users)
      .where(and(eq(users.id, posts.authorId), eq(users.name, 'Ada')))
      .returning({ id: posts.id, title: posts.title, author: users.name }),
  ),
  operation('update with a CTE', async ({ db }) => {
    const best = db.$with('best').as(db.select({ id: posts.id }).from(posts).where(gt(posts.score, '9.6')))
    return db
      .with(best)
      .update(posts)
      .set({ labels: ['best'] })
      .where(inArray(posts.id, sql`(select id from ${best})`))
      .returning({ id: posts.id, labels: posts.labels })
  }),
  operation('delete returning what was there', ({ db }) => db.delete(posts).where(isNull(posts.score)).returning()),
  operation('delete without returning counts the rows, cascading ones not', async ({ db }) => {
    const result = await db.delete(users).where(eq(users.id, 4))
    return { result, count: result.count, posts: await db.$count(posts) }
  }),
  operation('delete with a CTE', async ({ db }) => {
    const unused = db
      .$with('unused')
      .as(
        db
          .select({ id: tags.id })
          .from(tags)
          .leftJoin(postsToTags, eq(postsToTags.tagId, tags.id))
          .where(isNull(postsToTags.postId)),
      )
    return db
      .with(unused)
      .delete(tags)
      .where(inArray(tags.id, sql`(select id from ${unused})`))
      .returning()
  }),
  operation('a statement that writes inside a CTE', ({ db }) =>
    db.execute(sql`with gone as (delete from ${tags} where ${tags.name} = 'unused' returning *) select * from gone`),
  ),
  operation('an insert awaited twice runs twice', async ({ db }) => {
    const insert = db.insert(accounts).values({ owner: sql`gen_random_uuid()::text` }).returning({ id: accounts.id })
    return [await insert, await insert]
  }),
]
