// Violations name the application's own columns by the Drizzle schema alone, whoever has created its constraints and
// whatever these are called: nothing is looked up on the server here.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import {
  type ConstraintViolationError,
  isCheckViolation,
  isConstraintViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isUniqueViolation,
  violationIn,
} from '@moorings/drizzle'
import { useDatabase } from '../support/use-database.js'
import { member, type Opened, seeded, textOf, variants, violating } from './kit-schemas.js'

describe.each(variants)('E2: a schema of drizzle-orm $name', ({ ddl, column, open, tables, isNickViolation }) => {
  const database = useDatabase()
  let db: Opened

  beforeAll(async () => {
    await database.admin.query(ddl)
    db = open(database.url, { errors: { lookupTimeoutMs: 0 }, pool: { min: 0 } })
  })
  afterAll(() => db.pool.close())
  beforeEach(() => database.admin.query(text(seeded)))

  const text = (statement: string) => textOf(statement, column)

  async function violationBy(statement: string): Promise<ConstraintViolationError> {
    const error: unknown = await db.execute(text(statement)).then(
      () => new Error('it was done'),
      (reason) => reason,
    )
    const violation = violationIn(error)
    if (violation === undefined) throw error
    return violation
  }

  const { projects, members } = tables

  it.each(violating)('names the keys of %s', async (_, statement, keys) => {
    const violation = await violationBy(statement)
    expect(violation.keys).toEqual(keys)
    expect(violation.columns).toEqual(keys.map(column))
    expect(violation.schema).toBe('public')
    expect([members, projects].map((table) => isConstraintViolation(violation, table))).toEqual(
      ['memberships_of_people_in_projects', 'projects'].map((table) => violation.table === table),
    )
  })

  it('tells violations by tables and columns', async () => {
    const email = await violationBy("insert into projects values (1, 2, 'ada@example.test')")
    expect(isUniqueViolation(email, projects)).toBe(true)
    expect(isUniqueViolation(email, members)).toBe(false)
    expect(isUniqueViolation(email, projects.ownerEmail)).toBe(true)
    expect(isUniqueViolation(email, projects.tenant)).toBe(false)
    expect(isForeignKeyViolation(email, projects.ownerEmail)).toBe(false)

    const nick = await violationBy(member('id, {projectTenant}, {nickName}', "2, 1, 'ada'"))
    expect(isUniqueViolation(nick, members.nickName)).toBe(false)
    expect(isUniqueViolation(nick, members.projectTenant)).toBe(false)
    expect(isNickViolation(nick)).toBe(true)

    const boss = await violationBy(member('id, {projectTenant}, {bossId}', '2, 1, 9'))
    expect(isForeignKeyViolation(boss, members.bossId)).toBe(true)
    expect(boss).toMatchObject({ references: { table: 'memberships_of_people_in_projects', columns: ['id'] } })
    expect(isCheckViolation(await violationBy(member('id, {projectTenant}, age', '2, 1, 17')), members.age)).toBe(true)
    expect(isCheckViolation(await violationBy(member('id, {projectTenant}, age', '2, 1, 17')), 'grown_up')).toBe(true)
    expect(isNotNullViolation(await violationBy(member('id', '2')), members.projectTenant)).toBe(true)
  })

  it('does so in a transaction that was given up because of one', async () => {
    const swallowed = db.transaction(async (execute) => {
      await execute(text("insert into projects values (1, 2, 'ada@example.test')")).catch(() => undefined)
    })
    const error: unknown = await swallowed.catch((reason) => reason)
    expect(error).toMatchObject({ name: 'TransactionAbortedError' })
    expect(isUniqueViolation(error, projects.ownerEmail)).toBe(true)
    expect(violationIn(error)?.keys).toEqual(['ownerEmail'])
    // A guard says that they are there.
    expect(error).toMatchObject({ keys: ['ownerEmail'], columns: [column('ownerEmail')], table: 'projects' })
    expect(JSON.stringify(error)).not.toContain('"keys"')
  })
})
