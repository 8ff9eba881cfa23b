// The application's own tables as Drizzle sees them: people, posts and comments, their relations and views.
// The tables themselves come from migrations/schema.

import { eq, relations, sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  boolean,
  check,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgMaterializedView,
  pgTable,
  pgView,
  primaryKey,
  serial,
  text,
  timestamp,
  unique,
  varchar,
} from 'drizzle-orm/pg-core'

export const mood = pgEnum('mood', ['sad', 'ok', 'happy'])

export const users = pgTable(
  'users',
  {
    id: serial().primaryKey(),
    name: text().notNull(),
    email: varchar({ length: 120 }).unique(),
    age: integer(),
    mood: mood().notNull().default('ok'),
    managerId: integer('manager_id').references((): AnyPgColumn => users.id),
    joinedAt: timestamp('joined_at', { withTimezone: true }).notNull().default(sql`'2024-01-01 00:00:00+00'`),
    updatedBy: text('updated_by').$onUpdate(() => 'on-update'),
  },
  (table) => [check('users_age_check', sql`${table.age} >= 0`)],
)

export const posts = pgTable('posts', {
  id: serial().primaryKey(),
  authorId: integer('author_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' }),
  title: text().notNull(),
  body: text(),
  score: numeric({ precision: 10, scale: 2 }),
  published: boolean().notNull().default(false),
  labels: text().array(),
  details: jsonb().$type<{ words: number; draft?: boolean }>(),
  publishedAt: timestamp('published_at'),
})

export const comments = pgTable('comments', {
  id: serial().primaryKey(),
  postId: integer('post_id')
    .notNull()
    .references(() => posts.id, { onDelete: 'cascade' }),
  authorId: integer('author_id').references(() => users.id, { onDelete: 'set null' }),
  text: text().notNull(),
  madeAt: timestamp('made_at', { withTimezone: true, mode: 'string' }).notNull().default(sql`'2024-02-01 00:00:00+00'`),
})

export const tags = pgTable('tags', { id: serial().primaryKey(), name: text().notNull().unique() })

export const postsToTags = pgTable(
  'posts_to_tags',
  {
    postId: integer('post_id')
      .notNull()
      .references(() => posts.id, { onDelete: 'cascade' }),
    tagId: integer('tag_id')
      .notNull()
      .references(() => tags.id, { onDelete: 'cascade' }),
  },
  (table) => [primaryKey({ columns: [table.postId, table.tagId] })],
)

export const contacts = pgTable(
  'contacts',
  {
    id: serial().primaryKey(),
    firstName: text('first_name').notNull(),
    lastName: text('last_name').notNull(),
    homeTown: text('home_town'),
  },
  (table) => [unique('contacts_full_name').on(table.firstName, table.lastName)],
)

export const usersRelations = relations(users, ({ one, many }) => ({
  posts: many(posts),
  comments: many(comments),
  manager: one(users, { fields: [users.managerId], references: [users.id], relationName: 'reports' }),
  reports: many(users, { relationName: 'reports' }),
}))

export const postsRelations = relations(posts, ({ one, many }) => ({
  author: one(users, { fields: [posts.authorId], references: [users.id] }),
  comments: many(comments),
  tags: many(postsToTags),
}))

export const commentsRelations = relations(comments, ({ one }) => ({
  post: one(posts, { fields: [comments.postId], references: [posts.id] }),
  author: one(users, { fields: [comments.authorId], references: [users.id] }),
}))

export const tagsRelations = relations(tags, ({ many }) => ({ posts: many(postsToTags) }))

export const postsToTagsRelations = relations(postsToTags, ({ one }) => ({
  post: one(posts, { fields: [postsToTags.postId], references: [posts.id] }),
  tag: one(tags, { fields: [postsToTags.tagId], references: [tags.id] }),
}))

export const publishedPosts = pgView('published_posts').as((query) =>
  query
    .select({ id: posts.id, authorId: posts.authorId, title: posts.title, score: posts.score })
    .from(posts)
    .where(eq(posts.published, true)),
)

export const publishedPostsByHand = pgView('published_posts', {
  id: integer(),
  authorId: integer('author_id'),
  title: text(),
  score: numeric({ mode: 'number' }),
}).existing()

export const postCounts = pgMaterializedView('post_counts', {
  authorId: integer('author_id'),
  posts: integer(),
  best: numeric(),
}).existing()
