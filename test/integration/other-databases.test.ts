// What is given in the place of a database of ours: the swap that was forgotten in one file.

import { expect, it } from '@jest/globals'
import * as ofDrizzle from '@moorings/drizzle'
import * as ofKysely from '@moorings/kysely'
import { drizzle } from 'drizzle-orm/postgres-js'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { errorOf } from './scene.js'

const stockKysely = () => new Kysely<object>({ dialect: new PostgresDialect({ pool: new pg.Pool({ max: 1 }) }) })
const stockDrizzle = () => drizzle.mock()

const calls: readonly (readonly [string, (db: never) => Promise<unknown>])[] = [
  ["Drizzle's withTransaction", (db) => ofDrizzle.withTransaction(db, () => {})],
  ["Drizzle's withSession", (db) => ofDrizzle.withSession(db, () => {})],
  ["Drizzle's withAdvisoryLock", (db) => ofDrizzle.withAdvisoryLock(db, 'a lock', () => {})],
  ["Drizzle's beginTest", (db) => ofDrizzle.beginTest(db)],
  ["Kysely's withTransaction", (db) => ofKysely.withTransaction(db, () => {})],
  ["Kysely's withSession", (db) => ofKysely.withSession(db, () => {})],
  ["Kysely's withAdvisoryLock", (db) => ofKysely.withAdvisoryLock(db, 'a lock', () => {})],
  ["Kysely's beginTest", (db) => ofKysely.beginTest(db)],
]

it.each(calls)('%s() says what it takes, and connects to nothing', async (_, call) => {
  for (const db of [stockKysely(), stockDrizzle(), undefined, {}, 'postgres://localhost']) {
    const error = await errorOf((async () => call(db as never))())
    expect(error).toMatchObject({ name: 'InvalidOptionsError', message: expect.stringMatching(/\bdb: given/) })
  }
})
