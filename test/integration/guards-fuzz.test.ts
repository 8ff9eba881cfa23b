// Whatever is thrown at us, and however it behaves when it is looked at: it becomes an error of ours, no guard throws over
// it, and nothing that was in it and may be a value is in what is logged or sent. No server is asked here.

import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from '@jest/globals'
import { isMooringsError } from '@moorings/core'
import * as forDrizzle from '@moorings/drizzle'
import * as forKysely from '@moorings/kysely'
import { createPool } from '@moorings/postgres'
import * as pg from 'drizzle-orm/pg-core'
import fc from 'fast-check'

const secret = 'c0nfid3ntial'

const users = pg.pgTable('users', { id: pg.integer().primaryKey(), email: pg.text().unique() })

interface Tables {
  users: { id: number; email: string }
}

/** Makes something to throw; what makes it, fast-check may look at. */
type Recipe = () => unknown

const always =
  (value: unknown): Recipe =>
  () =>
    value
const refuse = (): never => {
  throw new Error(`not to be looked at: ${secret}`)
}

const codes = [
  '23505',
  '23503',
  '23001',
  '23502',
  '23514',
  '23P01',
  '40001',
  '40P01',
  '57014',
  '57P01',
  '0A000',
  '08006',
  '22P02',
  'ECONNRESET',
  'ERR_INVALID_ARG_TYPE',
  '',
  undefined,
  5,
]
const names = fc.constantFrom<unknown>('users', 'users_email_unique', 'email', 'public', '', undefined, 7, {})

/** What the server or the library may say, its values where they are to be expected. */
const fields: fc.Arbitrary<Record<string, Recipe>> = fc
  .record(
    {
      code: fc.constantFrom(...codes),
      name: fc.constantFrom('PostgresError', 'SyntaxError', 'Error'),
      severity: fc.constantFrom('ERROR', 'FATAL', 'FEHLER', 3),
      constraint_name: names,
      table_name: names,
      schema_name: names,
      column_name: names,
      routine: names,
      address: names,
      port: fc.anything(),
      detail: fc.constantFrom(`Key (email)=(${secret}) already exists.`, `Schlüssel »(email)=(${secret})« existiert.`),
      where: fc.constant(`unnamed portal parameter $1 = '${secret}'`),
      hint: fc.constant(secret),
      query: fc.constant(`select '${secret}'`),
      parameters: fc.constantFrom<unknown>([secret], { secret }, secret),
      args: fc.constant([secret]),
      [secret]: fc.constant(secret),
    },
    { requiredKeys: [] },
  )
  .map((record) => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, always(value)])))

/** Errors that quote the value in their message. */
const quoting: fc.Arbitrary<Recipe> = fc.constantFrom<Recipe>(
  () => Object.assign(new Error(`invalid input syntax for type integer: "${secret}"`), { code: '22P02' }),
  () => Object.assign(new Error(`ungültige Eingabesyntax für Typ integer: »${secret}`), { code: '22P02' }),
  () =>
    Object.assign(new TypeError(`It must be a string. Received type number (${secret})`), {
      code: 'ERR_INVALID_ARG_TYPE',
    }),
  () => new SyntaxError(`Unexpected token 'c', "${secret}" is not valid JSON`),
)

const hostile: fc.Arbitrary<Recipe> = fc.constantFrom<Recipe>(
  () => new Proxy({}, { get: refuse, has: refuse, getPrototypeOf: refuse, ownKeys: refuse }),
  () => new Proxy(new Error('proxied'), { get: refuse }),
  () => {
    const { proxy, revoke } = Proxy.revocable([secret], {})
    revoke()
    return proxy
  },
  () => Object.create(null),
  () => ({ toString: refuse, [Symbol.toPrimitive]: refuse, toJSON: refuse, code: '23505' }),
  () => ({ [Symbol.for('moorings.error.lineage')]: ['MooringsError', 'UniqueViolationError'], columns: refuse }),
  () => ({ [Symbol.for('moorings.error.lineage')]: new Proxy(['MooringsError'], { get: refuse }) }),
  () => () => secret,
)

const { thrown } = fc.letrec<{ thrown: Recipe }>((tie) => ({
  thrown: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.anything().map(always),
    hostile,
    quoting,
    fc
      .tuple(
        fields,
        fc.constantFrom('message', 'constructor', 'none'),
        fc.option(tie('thrown')),
        fc.option(
          fc.oneof(
            fc.array(tie('thrown'), { maxLength: 3 }).map(
              (errors): Recipe =>
                () =>
                  errors.map((one) => one()),
            ),
            hostile,
          ),
        ),
        fc.subarray(['code', 'detail', 'cause', 'errors', 'constraint_name', 'severity', 'name']),
        fc.boolean(),
      )
      .map(([made, message, cause, errors, refusing, isCircle]) => () => {
        const error = message === 'none' ? {} : new Error(message === 'message' ? 'it did not work' : '')
        const all: Record<string, Recipe> = {
          ...made,
          ...(cause && { cause }),
          ...(errors && { errors }),
        }
        for (const [key, make] of Object.entries(all)) {
          const value = make()
          const get = refusing.includes(key) ? refuse : () => value
          Object.defineProperty(error, key, { get, enumerable: true, configurable: true })
        }
        if (isCircle) Object.defineProperty(error, 'cause', { value: error })
        return error
      }),
  ),
}))

const pool = createPool('postgres://nobody@localhost:1/nothing', { resilience: { errors: { lookupTimeoutMs: 0 } } })
forDrizzle.registerTables(pool, { users })

/** What each guard answers, and those of one kind to all that they can be asked for. */
const answersOf = (error: unknown): boolean[] => [
  forDrizzle.isUniqueViolation(error),
  forDrizzle.isForeignKeyViolation(error, users),
  forDrizzle.isNotNullViolation(error, users.email),
  forDrizzle.isCheckViolation(error, users),
  forDrizzle.isExclusionViolation(error, users),
  forDrizzle.isConstraintViolation(error, users),
  forDrizzle.isUniqueViolation(error, users.email),
  forDrizzle.isUniqueViolation(error, [users.email, users.id]),
  forDrizzle.isUniqueViolation(error, 'users_email_unique'),
  forDrizzle.isUniqueViolation(error, pg.unique('users_email_unique').on(users.email)),
  forKysely.isUniqueViolation(error),
  forKysely.isForeignKeyViolation<Tables>(error, 'users'),
  forKysely.isNotNullViolation<Tables>(error, 'users', 'email'),
  forKysely.isCheckViolation<Tables>(error, 'users'),
  forKysely.isExclusionViolation<Tables>(error, 'users'),
  forKysely.isConstraintViolation<Tables>(error, 'users'),
  forKysely.isUniqueViolation<Tables>(error, 'users', ['email', 'id']),
  forKysely.isUniqueViolation(error, { constraint: 'users_email_unique' }),
]

describe('E4: whatever is thrown', () => {
  afterAll(() => pool.close())

  it.each(['connect', 'statement', 'commit'] as const)('at %s becomes an error that is safe to show', (at) => {
    fc.assert(
      fc.property(thrown, (make) => {
        const given = make()
        const error = pool.driver.classify(given, at)
        expect(isMooringsError(error)).toBe(true)
        // One of ours, or what pretends to be, was handed through.
        if (error === given) return
        pool.constraints.complete(error, { wait: false })
        for (const shown of [
          error.message,
          String(error),
          JSON.stringify(error),
          inspect(error, { depth: 20 }),
          inspect({ error }, { showHidden: true, depth: 20 }),
        ]) {
          expect(shown).not.toContain(secret)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('makes no guard throw, as it is or behind an error of ours', () => {
    fc.assert(
      fc.property(thrown, (make) => {
        const given = make()
        for (const error of [given, pool.driver.classify(given, 'statement'), new AggregateError([given])]) {
          for (const answer of answersOf(error)) expect(typeof answer).toBe('boolean')
        }
      }),
      { numRuns: 500 },
    )
  })
})
