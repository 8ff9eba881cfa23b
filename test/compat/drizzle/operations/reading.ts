// SELECT through Drizzle's builders: joins, aggregates, subqueries, set operations, views.

import {
  and,
  asc,
  avg,
  between,
  count,
  countDistinct,
  desc,
  eq,
  exists,
  getTableColumns,
  gt,
  gte,
  ilike,
  inArray,
  isNotNull,
  isNull,
  lt,
  max,
  min,
  ne,
  not,
  or,
  sql,
  sum,
} from 'drizzle-orm'
import { alias, except, intersect, type PgSelect, union, unionAll } from 'drizzle-orm/pg-core'
import { type Operation, operation } from '../operation.js'
import { comments, postCounts, posts, publishedPosts, publishedPostsByHand, users } from '../schema/index.js'

export const reading: readonly Operation[] = [
  operation('select every column of a table', ({ db }) => db.select().from(users).orderBy(users.id)),
  operation('select chosen columns, nested and aliased', ({ db }) =>
    db
      .select({
        id: posts.id,
        text: { title: posts.title, body: posts.body },
        year: sql<number>`extract(year from ${posts.publishedAt})`.as('year'),
      })
      .from(posts)
      .orderBy(posts.id),
  ),
  operation('select that finds nothing', async ({ db }) => ({
    rows: await db.select().from(users).where(eq(users.id, 0)),
  })),
  operation('select everything but some columns', async ({ db }) => {
    const { email: _email, ...columns } = getTableColumns(users)
    return db.select(columns).from(users).where(eq(users.id, 1))
  }),
  operation('where with and, or, not, in, between, like and null tests', ({ db }) =>
    db
      .select({ id: users.id, name: users.name })
      .from(users)
      .where(
        and(
          or(inArray(users.id, [1, 2, 3]), isNull(users.age), ilike(users.name, 'BAR%')),
          not(between(users.age, 80, 84)),
          isNotNull(users.email),
          ne(users.mood, 'sad'),
        ),
      )
      .orderBy(users.id),
  ),
  operation('where compares dates, numerics, booleans and enums', ({ db }) =>
    db
      .select({ user: users.name, post: posts.title })
      .from(posts)
      .innerJoin(users, eq(users.id, posts.authorId))
      .where(
        and(
          gt(users.joinedAt, new Date('2024-01-01T12:00:00Z')),
          gte(posts.score, '8.00'),
          lt(posts.publishedAt, new Date('2024-03-04T00:00:00Z')),
          eq(posts.published, true),
          inArray(users.mood, ['ok', 'sad']),
        ),
      )
      .orderBy(posts.id),
  ),
  operation('where with an empty in list finds nothing', async ({ db }) => ({
    rows: await db.select().from(users).where(inArray(users.id, [])),
  })),
  operation('inner join', ({ db }) =>
    db
      .select()
      .from(posts)
      .innerJoin(users, eq(users.id, posts.authorId))
      .where(eq(posts.published, true))
      .orderBy(posts.id),
  ),
  operation('left join gives null for the missing side', ({ db }) =>
    db.select().from(users).leftJoin(posts, eq(posts.authorId, users.id)).orderBy(users.id, posts.id),
  ),
  operation('right and full joins', async ({ db }) => ({
    right: await db
      .select({ comment: comments.text, name: users.name })
      .from(comments)
      .rightJoin(users, eq(users.id, comments.authorId))
      .orderBy(users.id, comments.id),
    full: await db
      .select({ comment: comments, user: users })
      .from(comments)
      .fullJoin(users, eq(users.id, comments.authorId))
      .orderBy(comments.id, users.id),
  })),
  operation('cross join and lateral join', async ({ db }) => {
    const newest = db
      .select({ title: posts.title })
      .from(posts)
      .where(eq(posts.authorId, users.id))
      .orderBy(desc(posts.id))
      .limit(1)
      .as('newest')
    return {
      cross: await db
        .select({ a: users.id, b: comments.id })
        .from(users)
        .crossJoin(comments)
        .orderBy(users.id, comments.id),
      lateral: await db
        .select({ name: users.name, title: newest.title })
        .from(users)
        .leftJoinLateral(newest, sql`true`)
        .orderBy(users.id),
    }
  }),
  operation('self join through an alias', async ({ db }) => {
    const manager = alias(users, 'manager')
    return db
      .select({ name: users.name, manager: manager.name })
      .from(users)
      .leftJoin(manager, eq(manager.id, users.managerId))
      .orderBy(users.id)
  }),
  operation('aggregates keep their types', ({ db }) =>
    db
      .select({
        all: count(),
        emails: count(users.email),
        managers: countDistinct(users.managerId),
        total: sum(users.age),
        average: avg(users.age),
        youngest: min(users.age),
        latest: max(users.joinedAt),
        plain: sql`count(*)`,
        mapped: sql`count(*)`.mapWith(Number),
        names: sql<string[]>`array_agg(${users.name} order by ${users.id})`,
        ages: sql<(number | null)[]>`array_agg(coalesce(${users.age}, 0) order by ${users.id})`,
        objects: sql`json_agg(json_build_object('id', ${users.id}) order by ${users.id})`,
      })
      .from(users),
  ),
  operation('group by with having', ({ db }) =>
    db
      .select({ author: posts.authorId, posts: count(), best: max(posts.score) })
      .from(posts)
      .groupBy(posts.authorId)
      .having(({ posts: number }) => gt(number, 1))
      .orderBy(posts.authorId),
  ),
  operation('order by several keys, nulls placed, limit and offset', ({ db }) =>
    db
      .select({ id: posts.id, score: posts.score })
      .from(posts)
      .orderBy(sql`${posts.score} desc nulls last`, asc(posts.title))
      .limit(3)
      .offset(1),
  ),
  operation('a window function', ({ db }) =>
    db
      .select({ id: posts.id, rank: sql<string>`rank() over (order by ${posts.score} desc nulls last)` })
      .from(posts)
      .orderBy(posts.id),
  ),
  operation('one CTE built on another', async ({ db }) => {
    const scored = db
      .$with('scored')
      .as(db.select({ author: posts.authorId, score: posts.score }).from(posts).where(isNotNull(posts.score)))
    const best = db.$with('best').as(
      db
        .with(scored)
        .select({ author: scored.author, top: sql<string>`max(${scored.score})`.as('top') })
        .from(scored)
        .groupBy(scored.author),
    )
    return db
      .with(best)
      .select({ name: users.name, top: best.top })
      .from(users)
      .innerJoin(best, eq(best.author, users.id))
      .orderBy(users.id)
  }),
  operation('a recursive CTE in SQL', ({ db }) =>
    db.execute(sql`with recursive chain as (
      select id, manager_id, 0 as depth from ${users} where id = 4
      union all select u.id, u.manager_id, depth + 1 from ${users} u join chain on chain.manager_id = u.id
    ) select * from chain order by depth`),
  ),
  operation('a subquery to select from', async ({ db }) => {
    const counts = db
      .select({ author: posts.authorId, number: count().as('number') })
      .from(posts)
      .groupBy(posts.authorId)
      .as('counts')
    return db
      .select({ name: users.name, number: counts.number })
      .from(users)
      .leftJoin(counts, eq(counts.author, users.id))
      .orderBy(users.id)
  }),
  operation('a scalar subquery, exists, and in a subquery', async ({ db }) => {
    const published = db.select({ author: posts.authorId }).from(posts).where(eq(posts.published, true))
    return {
      scalar: await db
        .select({
          name: users.name,
          posts: sql<number>`(select count(*)::int from ${posts} where author_id = "users"."id")`,
        })
        .from(users)
        .orderBy(users.id),
      exists: await db
        .select({ id: users.id })
        .from(users)
        .where(exists(db.select({ one: sql`1` }).from(comments).where(eq(comments.authorId, users.id))))
        .orderBy(users.id),
      in: await db.select({ id: users.id }).from(users).where(inArray(users.id, published)).orderBy(users.id),
    }
  }),
  operation('union, union all, intersect and except', async ({ db }) => {
    const authors = () => db.select({ id: posts.authorId }).from(posts)
    const commenters = () =>
      db
        .select({ id: sql<number>`${comments.authorId}`.as('id') })
        .from(comments)
        .where(isNotNull(comments.authorId))
    return {
      union: await union(authors(), commenters()).orderBy(sql`1`),
      unionAll: await unionAll(authors(), commenters()).orderBy(sql`1`).limit(7),
      intersect: await intersect(authors(), commenters()).orderBy(sql`1`),
      except: await except(authors(), commenters()).orderBy(sql`1`),
    }
  }),
  operation('set operations as methods', ({ db }) =>
    db
      .select({ name: users.name })
      .from(users)
      .where(eq(users.mood, 'happy'))
      .union(db.select({ name: users.name }).from(users).where(gt(users.age, 80)))
      .orderBy(users.name),
  ),
  operation('select distinct', ({ db }) => db.selectDistinct({ mood: users.mood }).from(users).orderBy(users.mood)),
  operation('select distinct on', ({ db }) =>
    db
      .selectDistinctOn([posts.authorId], { author: posts.authorId, title: posts.title })
      .from(posts)
      .orderBy(posts.authorId, desc(posts.id)),
  ),
  operation('select for update, of a table, skipping locked rows', ({ db }) =>
    db.transaction(async (tx) => {
      const mine = await tx.select({ id: users.id }).from(users).where(lt(users.id, 3)).orderBy(users.id).for('update')
      // Another connection, which finds those two locked.
      const others = await db.transaction((other) =>
        other
          .select({ id: users.id })
          .from(users)
          .orderBy(users.id)
          .for('no key update', { of: users, skipLocked: true }),
      )
      return { mine, others }
    }),
  ),
  operation('a dynamic query takes its parts one by one', async ({ db }) => {
    const page = <T extends PgSelect>(query: T, size: number) => query.limit(size).offset(size)
    return page(db.select({ id: users.id }).from(users).orderBy(users.id).$dynamic(), 2)
  }),
  operation('$count of a table, with a filter, and inside a select', async ({ db }) => ({
    all: await db.$count(users),
    some: await db.$count(users, gt(users.age, 80)),
    inside: await db
      .select({ name: users.name, posts: db.$count(posts, eq(posts.authorId, users.id)) })
      .from(users)
      .orderBy(users.id),
  })),
  operation('a view, mapped by its query and by hand', async ({ db }) => ({
    query: await db.select().from(publishedPosts).orderBy(publishedPosts.id),
    hand: await db
      .select()
      .from(publishedPostsByHand)
      .where(gt(publishedPostsByHand.score, 9))
      .orderBy(publishedPostsByHand.id),
    counted: await db.$count(publishedPosts),
  })),
  operation('a materialized view shows new rows after its refresh', async ({ db }) => {
    const read = () => db.select().from(postCounts).orderBy(postCounts.authorId)
    await db.insert(posts).values({ authorId: 5, title: 'Fresh', score: '1.00' })
    const stale = await read()
    const plain = await db.refreshMaterializedView(postCounts)
    const fresh = await read()
    await db.delete(posts).where(eq(posts.authorId, 5))
    const concurrent = await db.refreshMaterializedView(postCounts).concurrently()
    return { stale, plain, fresh, concurrent, back: await read() }
  }),
  operation('queries sent at once come back each to its caller', ({ db }) =>
    Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        db
          .select({ n: sql<number>`${index}::int` })
          .from(users)
          .limit(1),
      ),
    ),
  ),
  operation('a query tells its SQL without running', async ({ db }) => [
    db.select().from(users).where(eq(users.id, 1)).toSQL(),
    db
      .insert(users)
      .values({ name: 'x', joinedAt: new Date(0) })
      .toSQL(),
    db
      .update(posts)
      .set({ details: { words: 1 } })
      .toSQL(),
    db
      .delete(posts)
      .where(eq(posts.publishedAt, new Date(0)))
      .toSQL(),
  ]),
]
