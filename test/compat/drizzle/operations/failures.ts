// What the server refuses: each error must arrive with the same code, message, constraint, table, column and detail.

import { isMooringsError } from '@moorings/core'
import { DrizzleQueryError, eq, inArray, sql } from 'drizzle-orm'
import { errorOf, failing, type Operation, operation } from '../operation.js'
import {
  accounts,
  bookings,
  moments,
  numbers,
  posts,
  postsToTags,
  tags,
  transfers,
  users,
  words,
} from '../schema/index.js'

export const failures: readonly Operation[] = [
  failing('a unique violation', '23505', ({ db }) =>
    db.insert(users).values({ name: 'Twin', email: 'ada@example.org' }),
  ),
  failing('a unique violation of a primary key', '23505', ({ db }) =>
    db.insert(users).values({ id: 1, name: 'Again' }),
  ),
  failing('a unique violation of a composite key', '23505', ({ db }) =>
    db.insert(postsToTags).values({ postId: 1, tagId: 1 }),
  ),
  failing('a unique violation in an update', '23505', ({ db }) =>
    db.update(tags).set({ name: 'logic' }).where(eq(tags.name, 'unused')),
  ),
  failing('a foreign key violation by the child', '23503', ({ db }) =>
    db.insert(posts).values({ authorId: 99, title: 'Orphan' }),
  ),
  failing('a foreign key violation by the parent', '23503', ({ db }) => db.delete(users).where(eq(users.id, 1))),
  failing('a not null violation', '23502', ({ db }) => db.insert(users).values({ name: sql`null` })),
  failing('a check violation', '23514', ({ db }) => db.insert(users).values({ name: 'Unborn', age: -1 })),
  failing('an exclusion violation', '23P01', ({ db }) =>
    db.insert(bookings).values({ room: 'red', during: '[2024-05-01 11:00+00,2024-05-01 13:00+00)' }),
  ),
  failing('a syntax error', '42601', ({ db }) => db.execute(sql`selec 1`)),
  failing('a syntax error in a statement with parameters', '42601', ({ db }) =>
    db.execute(sql`select ${1}::int frm users`),
  ),
  failing('an unknown column', '42703', ({ db }) => db.execute(sql`select colour from users`)),
  failing('an unknown table', '42P01', ({ db }) => db.execute(sql`select * from nowhere`)),
  failing('an unknown function', '42883', ({ db }) => db.execute(sql`select no_such_function(${1})`)),
  failing('bad input for an integer', '22P02', ({ db }) => db.insert(numbers).values({ whole: 'many' as never })),
  failing('bad input for a uuid', '22P02', ({ db }) => db.select().from(words).where(eq(words.key, 'not-a-uuid'))),
  failing('bad input for an enum', '22P02', ({ db }) => db.insert(users).values({ name: 'Odd', mood: 'odd' as never })),
  failing('bad input for a date', '22007', ({ db }) => db.insert(moments).values({ dayText: 'yesteryear' })),
  failing('bad input for json', '22P02', ({ db }) => db.execute(sql`select ${'{'}::jsonb`)),
  failing('a number out of range', '22003', ({ db }) => db.insert(numbers).values({ small: 40_000 })),
  failing('a text too long', '22001', ({ db }) => db.insert(words).values({ short: 'more than twenty characters' })),
  failing('a text with a NUL byte', '22021', ({ db }) => db.insert(words).values({ plain: 'a\0b' })),
  failing('division by zero', '22012', ({ db }) => db.select({ x: sql`1 / (${users.id} - 1)` }).from(users)),
  failing('a subquery with several rows', '21000', ({ db }) => db.execute(sql`select (select id from users)`)),
  failing('a type that cannot be determined', '42P18', ({ db }) =>
    db.execute(sql`select ${'x'} as x, ${null} is null, pg_typeof(${null})`),
  ),
  failing('an undefined parameter', 'UNDEFINED_VALUE', ({ db }) =>
    db
      .select()
      .from(users)
      .where(eq(users.id, undefined as never)),
  ),
  failing('more parameters than the protocol can carry', 'MAX_PARAMETERS_EXCEEDED', ({ db }) =>
    db
      .select({ id: users.id })
      .from(users)
      .where(
        inArray(
          users.id,
          Array.from({ length: 65_535 }, (_, index) => index),
        ),
      ),
  ),
  failing('an exception raised with a code of its own', 'MY001', ({ db }) =>
    db.execute(sql`select raise_custom(${'MY001'}, ${'custom message'})`),
  ),
  failing('an exception raised with a code that looks like another’s', '40001', ({ db }) =>
    db.execute(sql`select raise_custom(${'40001'}, ${'pretended'})`),
  ),
  failing('an error inside a transaction', '23505', ({ db }) =>
    db.transaction(async (tx) => {
      await tx.insert(tags).values({ name: 'fine' })
      await tx.insert(tags).values({ name: 'logic' })
    }),
  ),
  failing('a deferred foreign key that fails at COMMIT', '23503', ({ db }) =>
    db.transaction(async (tx) => {
      await tx.insert(transfers).values({ accountId: 99, amount: '1' })
      return 'inserted'
    }),
  ),
  failing('a deferred unique constraint that fails at COMMIT', '23505', ({ db }) =>
    db.transaction((tx) => tx.insert(accounts).values({ owner: 'left' })),
  ),
  operation('a transaction that failed at COMMIT keeps nothing', async ({ db }) => {
    const caught = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert(tags).values({ name: 'gone' })
        await tx.insert(transfers).values({ accountId: 99, amount: '1' })
      }),
    )
    return { caught, tags: await db.$count(tags), transfers: await db.$count(transfers) }
  }),
  failing('a deferred constraint outside a transaction', '23503', ({ db }) =>
    db.insert(transfers).values({ accountId: 99, amount: '1' }),
  ),
  failing('a write in a read-only transaction', '25006', ({ db }) =>
    db.transaction((tx) => tx.insert(tags).values({ name: 'no' }), { accessMode: 'read only' }),
  ),
  failing('a lock that is not to be had', '55P03', ({ db }) =>
    db.transaction(async (tx) => {
      await tx.select().from(users).where(eq(users.id, 1)).for('update')
      await db.select().from(users).where(eq(users.id, 1)).for('update', { noWait: true })
    }),
  ),
  failing('a statement that takes too long', '57014', ({ db }) =>
    db.transaction(async (tx) => {
      await tx.execute(sql`set local statement_timeout = 20`)
      await tx.execute(sql`select pg_sleep(20)`)
    }),
  ),
  failing('a table without the privilege', '42501', ({ db }) =>
    db.transaction(async (tx) => {
      await tx.execute(sql`set local role pg_monitor`)
      await tx.insert(tags).values({ name: 'not allowed' })
    }),
  ),
  failing('a relational query over an unknown column', '42703', ({ db }) =>
    db.query.users.findMany({ where: sql`"users"."colour" = ${'red'}` }),
  ),
  failing('a prepared statement that fails', '22P02', ({ db }) =>
    db
      .select()
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('by_id')
      .execute({ id: 'one' }),
  ),
  failing('an error in the second of several statements', '42P01', ({ db }) =>
    db.execute(sql.raw(`insert into tags (name) values ('first'); select * from nowhere`)),
  ),
  operation('an error in the second of several statements undoes the first', async ({ db }) => {
    const caught = await errorOf(db.execute(sql.raw(`insert into tags (name) values ('first'); select * from nowhere`)))
    return { caught, tags: await db.$count(tags) }
  }),
  failing('no values to set', 'No values to set', ({ db }) => db.update(users).set({}) as never),
  failing(
    'no values to insert',
    'values() must be called with at least one value',
    ({ db }) => db.insert(users).values([]) as never,
  ),
  operation('a failed query leaves its connection to others', async ({ db }) => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) =>
        db.execute(index % 2 ? sql`select ${index}::int as n` : sql`select ${`x${index}`}::int`),
      ),
    )
    return { outcomes, after: await db.$count(users) }
  }),
  operation('the class of a failed query’s error, and what its message shows', async ({ db }) => {
    const error = await errorOf(db.insert(tags).values({ name: 'logic' }))
    return {
      isDrizzleQueryError: error instanceof DrizzleQueryError,
      isMooringsError: isMooringsError(error),
      showsParameters: error instanceof Error && error.message.includes('logic'),
      code: (error as { code?: string }).code,
    }
  }),
  operation('an error tells the query to old catch blocks', async ({ db }) => {
    const error = await errorOf(db.insert(tags).values({ name: 'logic' }))
    if (!(error instanceof Error) || !(error.cause instanceof Error)) return { unexpected: error }
    const cause = error.cause as Error & { query?: string; code?: string; constraint_name?: string }
    return { name: cause.name, code: cause.code, constraint: cause.constraint_name, query: cause.query }
  }),
]
