// Guards through Kysely, in the names of its database interface: of constraints that nobody but the server has described.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import {
  isCheckViolation,
  isExclusionViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isUniqueViolation,
  ResilientPostgresDialect,
  toIssues,
  violationIn,
} from '@moorings/kysely'
import { CamelCasePlugin, Kysely, sql } from 'kysely'
import { useDatabase } from '../support/use-database.js'

interface Tables {
  customers: { id: number; email: string | null; home_town: string | null; zip: string | null }
  visits: { id: number; customer_id: number | null; age: number | null }
  'archive.customers': { id: number; email: string | null }
  readings: { day: string; station: number }
  rooms: { id: number; span: unknown }
}

const ddl = `
create table customers (id integer primary key, email text unique, home_town text, zip text not null default '', unique (home_town, zip));
create table visits (id integer primary key, customer_id integer references customers, age integer check (age >= 0));
create schema archive;
create table archive.customers (id integer primary key, email text unique);
create table readings (day date, station integer, primary key (day, station)) partition by range (day);
create table readings_2024 partition of readings for values from ('2024-01-01') to ('2025-01-01');
create table rooms (id integer, span int4range, exclude using gist (span with &&));`

const rows = `
truncate customers, visits, archive.customers, readings, rooms;
insert into customers values (1, 'ada@example.test', 'London', 'N1');
insert into visits values (1, 1, 3);
insert into archive.customers values (1, 'ada@example.test');
insert into readings values ('2024-02-01', 7);
insert into rooms values (1, '[1,5)');`

describe('E2: guards through Kysely', () => {
  const database = useDatabase()
  let db: Kysely<Tables>

  const dialect = () => new ResilientPostgresDialect({ connection: database.url, resilience: { pool: { min: 0 } } })

  beforeAll(async () => {
    await database.admin.query(ddl)
    db = new Kysely<Tables>({ dialect: dialect() })
  })
  afterAll(() => db.destroy())
  beforeEach(() => database.admin.query(rows))

  const failing = (statement: { execute(): Promise<unknown> }): Promise<unknown> =>
    statement.execute().then(
      () => 'it was done',
      (error) => error,
    )

  it('tell a unique constraint by its columns', async () => {
    const taken = await failing(db.insertInto('customers').values({ id: 2, email: 'ada@example.test', zip: 'N2' }))
    expect(isUniqueViolation<Tables>(taken, 'customers', 'email')).toBe(true)
    expect(isUniqueViolation<Tables>(taken, 'customers', 'id')).toBe(false)
    expect(isUniqueViolation<Tables>(taken, 'visits')).toBe(false)
    const moved = await failing(db.insertInto('customers').values({ id: 2, home_town: 'London', zip: 'N1' }))
    expect(isUniqueViolation<Tables>(moved, 'customers', ['zip', 'home_town'])).toBe(true)
    expect(isUniqueViolation<Tables>(moved, 'customers', 'zip')).toBe(false)
    expect(isUniqueViolation<Tables>(moved, { constraint: 'customers_home_town_zip_key' })).toBe(true)
  })

  it('tell a table of another schema by it', async () => {
    const taken = await failing(db.insertInto('archive.customers').values({ id: 2, email: 'ada@example.test' }))
    expect(isUniqueViolation<Tables>(taken, 'archive.customers', 'email')).toBe(true)
    const there = await failing(db.insertInto('customers').values({ id: 2, email: 'ada@example.test' }))
    expect(isUniqueViolation<Tables>(there, 'archive.customers', 'email')).toBe(false)
  })

  it('tell each kind', async () => {
    const orphan = await failing(db.insertInto('visits').values({ id: 2, customer_id: 9 }))
    expect(isForeignKeyViolation<Tables>(orphan, 'visits', 'customer_id')).toBe(true)
    const parent = await failing(db.deleteFrom('customers'))
    expect(isForeignKeyViolation<Tables>(parent, 'visits', 'customer_id')).toBe(true)
    const young = await failing(db.insertInto('visits').values({ id: 2, age: -1 }))
    expect(isCheckViolation<Tables>(young, 'visits', 'age')).toBe(true)
    const bare = await failing(db.insertInto('customers').values({ id: 2, zip: sql<string>`null` }))
    expect(isNotNullViolation<Tables>(bare, 'customers', 'zip')).toBe(true)
    const booked = await failing(db.insertInto('rooms').values({ id: 2, span: '[4,6)' }))
    expect(isExclusionViolation<Tables>(booked, 'rooms', 'span')).toBe(true)
  })

  it('tell a partition by the table it is a part of', async () => {
    const again = await failing(db.insertInto('readings').values({ day: '2024-02-01', station: 7 }))
    expect(isUniqueViolation<Tables>(again, 'readings', ['day', 'station'])).toBe(true)
    expect(violationIn(again)?.table).toBe('readings_2024')
  })

  it('tell what the CamelCasePlugin has named', async () => {
    interface Cased {
      customers: { id: number; homeTown: string | null; zip: string }
    }
    const cased = new Kysely<Cased>({ dialect: dialect(), plugins: [new CamelCasePlugin()] })
    try {
      const moved = await failing(cased.insertInto('customers').values({ id: 2, homeTown: 'London', zip: 'N1' }))
      expect(isUniqueViolation<Cased>(moved, 'customers', ['homeTown', 'zip'])).toBe(true)
      expect(isUniqueViolation<Cased>(moved, 'customers', 'homeTown')).toBe(false)
    } finally {
      await cased.destroy()
    }
  })

  it('go with issues that have the CamelCasePlugin’s names, where the option asks for them', async () => {
    interface Cased {
      customers: { id: number; homeTown: string | null; zip: string | null }
    }
    const plugin = new (class extends CamelCasePlugin {
      cased = (name: string) => this.camelCase(name)
    })()
    const resilience = { pool: { min: 0 }, errors: { casing: 'camelCase' } } as const
    const own = new ResilientPostgresDialect({ connection: database.url, resilience })
    const cased = new Kysely<Cased>({ dialect: own, plugins: [plugin] })
    try {
      const moved = await failing(cased.insertInto('customers').values({ id: 2, homeTown: 'London', zip: 'N1' }))
      expect(toIssues(moved)?.map(({ path }) => path)).toEqual([['homeTown'], ['zip']])
      expect(violationIn(moved)?.keys).toEqual(violationIn(moved)?.columns?.map(plugin.cased))
      expect(isUniqueViolation<Cased>(moved, 'customers', ['homeTown', 'zip'])).toBe(true)
    } finally {
      await cased.destroy()
    }
  })
})
