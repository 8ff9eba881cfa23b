// The relational queries: db.query.<table>.findMany and findFirst.

import { desc, eq, gt, inArray, sql } from 'drizzle-orm'
import { type Operation, operation } from '../operation.js'
import { comments, posts, users } from '../schema/index.js'

export const relational: readonly Operation[] = [
  operation('findMany gives the rows as select does', ({ db }) => db.query.users.findMany({ orderBy: users.id })),
  operation('findMany with nested relations maps every type inside', ({ db }) =>
    db.query.users.findMany({
      orderBy: users.id,
      with: {
        posts: {
          orderBy: (post, { asc }) => asc(post.id),
          with: { comments: { orderBy: comments.id, with: { author: true } } },
        },
        comments: { orderBy: comments.id },
      },
    }),
  ),
  operation('findMany with a relation to one, present and missing', ({ db }) =>
    db.query.users.findMany({
      columns: { id: true },
      orderBy: users.id,
      with: { manager: { columns: { name: true } }, reports: { columns: { id: true }, orderBy: users.id } },
    }),
  ),
  operation('findMany across a join table', ({ db }) =>
    db.query.posts.findMany({
      columns: { id: true },
      orderBy: posts.id,
      with: { tags: { columns: {}, with: { tag: true }, orderBy: (link, { asc }) => asc(link.tagId) } },
    }),
  ),
  operation('findMany with columns included and excluded', async ({ db }) => ({
    included: await db.query.posts.findMany({
      columns: { id: true, publishedAt: true, details: true },
      orderBy: posts.id,
    }),
    excluded: await db.query.posts.findMany({ columns: { body: false, labels: false }, orderBy: posts.id }),
  })),
  operation('findMany with where as a callback and as SQL', async ({ db }) => ({
    callback: await db.query.users.findMany({
      where: (user, { and, gt, like }) => and(gt(user.age, 80), like(user.name, 'G%')),
    }),
    sql: await db.query.users.findMany({ where: inArray(users.mood, ['sad']) }),
    nested: await db.query.users.findMany({
      columns: { name: true },
      orderBy: users.id,
      with: { posts: { columns: { title: true }, where: eq(posts.published, true), orderBy: posts.id } },
    }),
  })),
  operation('findMany with extras at both levels', ({ db }) =>
    db.query.users.findMany({
      columns: { id: true },
      extras: { shouted: sql<string>`upper(${users.name})`.as('shouted') },
      orderBy: users.id,
      with: {
        posts: {
          columns: { id: true },
          orderBy: posts.id,
          extras: (post, { sql }) => ({ length: sql<number>`length(${post.title})`.as('length') }),
        },
      },
    }),
  ),
  operation('findMany with order, limit and offset at both levels', ({ db }) =>
    db.query.users.findMany({
      columns: { id: true },
      orderBy: (user, { desc }) => [desc(user.id)],
      limit: 3,
      offset: 1,
      with: { posts: { columns: { id: true }, orderBy: desc(posts.id), limit: 1 } },
    }),
  ),
  operation('findFirst gives one row, or undefined', async ({ db }) => ({
    found: await db.query.posts.findFirst({ where: gt(posts.id, 2), orderBy: posts.id, with: { author: true } }),
    missing: await db.query.posts.findFirst({ where: eq(posts.id, 0) }),
  })),
  operation('a prepared relational query with placeholders', async ({ db }) => {
    const query = db.query.users
      .findMany({
        columns: { name: true },
        where: (user, { eq }) => eq(user.id, sql.placeholder('id')),
        with: { posts: { columns: { title: true }, limit: sql.placeholder('limit'), orderBy: posts.id } },
      })
      .prepare('users_with_posts')
    return [
      await query.execute({ id: 1, limit: 1 }),
      await query.execute({ id: 1, limit: 5 }),
      await query.execute({ id: 3, limit: 2 }),
    ]
  }),
  operation('a relational query tells its SQL', async ({ db }) =>
    db.query.users.findMany({ with: { posts: true }, where: eq(users.id, 1), limit: 2 }).toSQL(),
  ),
  operation('relational queries inside a transaction see its writes', ({ db }) =>
    db.transaction(async (tx) => {
      const [post] = await tx.insert(posts).values({ authorId: 5, title: 'Inside' }).returning({ id: posts.id })
      await tx.insert(comments).values({ postId: post?.id ?? 0, authorId: 1, text: 'Seen' })
      return tx.query.users.findFirst({ where: eq(users.id, 5), with: { posts: { with: { comments: true } } } })
    }),
  ),
]
