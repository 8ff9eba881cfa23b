// `.prepare('name')`, placeholders, and what a table's change does to prepared statements.

import { eq, gt, inArray, sql } from 'drizzle-orm'
import { type Operation, operation } from '../operation.js'
import { posts, tags, users } from '../schema/index.js'

export const prepared: readonly Operation[] = [
  operation('a prepared select runs again and again with other values', async ({ db }) => {
    const query = db
      .select({ id: users.id, name: users.name, joinedAt: users.joinedAt })
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('user_by_id')
    const results: unknown[] = []
    for (const id of [1, 2, 3, 2, 99]) results.push(await query.execute({ id }))
    return results
  }),
  operation('a prepared select runs on several connections at once', async ({ db }) => {
    const query = db
      .select({ name: users.name })
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('user_name')
    return Promise.all(Array.from({ length: 30 }, (_, index) => query.execute({ id: (index % 5) + 1 })))
  }),
  operation('a prepared insert maps its placeholders by their columns', async ({ db }) => {
    const insert = db
      .insert(users)
      .values({ name: sql.placeholder('name'), age: sql.placeholder('age'), joinedAt: sql.placeholder('joinedAt') })
      .returning()
      .prepare('add_user')
    return [
      await insert.execute({ name: 'One', age: 1, joinedAt: new Date('2021-01-01T00:00:00Z') }),
      await insert.execute({ name: 'Two', age: null, joinedAt: new Date('2022-02-02T02:02:02.020Z') }),
    ]
  }),
  operation('a prepared update and delete count their rows', async ({ db }) => {
    const update = db
      .update(posts)
      .set({ published: true })
      .where(gt(posts.id, sql.placeholder('above')))
      .prepare('publish')
    const remove = db
      .delete(tags)
      .where(eq(tags.name, sql.placeholder('name')))
      .prepare('remove_tag')
    return [
      await update.execute({ above: 4 }),
      await update.execute({ above: 100 }),
      await remove.execute({ name: 'unused' }),
      await remove.execute({ name: 'unused' }),
    ]
  }),
  operation('placeholders for a limit, an offset and a list', async ({ db }) => {
    const page = db
      .select({ id: users.id })
      .from(users)
      .orderBy(users.id)
      .limit(sql.placeholder('limit'))
      .offset(sql.placeholder('offset'))
      .prepare('page')
    const some = db
      .select({ id: users.id })
      .from(users)
      .where(inArray(users.id, [sql.placeholder('a'), sql.placeholder('b')]))
      .orderBy(users.id)
      .prepare('some')
    return [
      await page.execute({ limit: 2, offset: 0 }),
      await page.execute({ limit: 2, offset: 3 }),
      await some.execute({ a: 1, b: 4 }),
    ]
  }),
  operation('two prepared queries may carry one name', async ({ db }) => {
    const first = db
      .select({ id: users.id })
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('same')
    const second = db
      .select({ title: posts.title })
      .from(posts)
      .where(eq(posts.id, sql.placeholder('id')))
      .prepare('same')
    return [await first.execute({ id: 1 }), await second.execute({ id: 1 }), await first.execute({ id: 2 })]
  }),
  operation('a prepared query made inside a transaction', ({ db }) =>
    db.transaction(async (tx) => {
      const query = tx
        .select({ name: users.name })
        .from(users)
        .where(eq(users.id, sql.placeholder('id')))
        .prepare('in_transaction')
      const before = await query.execute({ id: 1 })
      await tx.update(users).set({ name: 'Changed' }).where(eq(users.id, 1))
      return [before, await query.execute({ id: 1 }), await query.execute({ id: 2 })]
    }),
  ),
  operation('a prepared query survives a column added to its table', async ({ db }) => {
    await db.execute(sql`create table scratch.growing (id int primary key, name text)`)
    await db.execute(sql`insert into scratch.growing values (1, 'one')`)
    const query = db
      .select({ id: sql<number>`id`, name: sql<string>`name` })
      .from(sql`scratch.growing`)
      .where(sql`id = ${sql.placeholder('id')}`)
      .prepare('growing')
    const before = await query.execute({ id: 1 })
    await db.execute(sql`alter table scratch.growing add column extra int`)
    return [before, await query.execute({ id: 1 })]
  }),
  operation('a prepared select * shows a column added later', async ({ sql }) => {
    await sql`create table scratch.widening (id int primary key)`
    await sql`insert into scratch.widening values (1)`
    const read = () => sql`select * from scratch.widening where id = ${1}`
    const before = [await read(), await read()]
    await sql`alter table scratch.widening add column extra text default 'here'`
    return [before, await read(), await read()]
  }),
  operation('a prepared query executed with a parameter missing', async ({ db }) => {
    const query = db
      .select()
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('missing')
    try {
      return { returned: await query.execute({}) }
    } catch (error) {
      return error
    }
  }),
]
