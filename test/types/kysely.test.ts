// What a Kysely application's types see after the swap. Checked by the compiler; at run time nothing connects.

import { describe, expect, it } from '@jest/globals'
import { ResilientPostgresDialect, type ResilientPostgresDialectConfig } from '@moorings/kysely'
import { createPool } from '@moorings/postgres'
import { expectTypeOf } from 'expect-type'
import { type Dialect, type Generated, Kysely } from 'kysely'

interface Database {
  users: { id: Generated<number>; email: string | null }
}

const url = 'postgres://app@localhost/shop'

describe('types of the Kysely dialect', () => {
  it('is a dialect, from a connection or from a pool', () => {
    expectTypeOf<ResilientPostgresDialect>().toExtend<Dialect>()
    expectTypeOf({ connection: url, resilience: { pool: { max: 3 } } }).toExtend<ResilientPostgresDialectConfig>()
    expectTypeOf({ client: createPool(url) }).toExtend<ResilientPostgresDialectConfig>()
  })

  it('changes nothing in how queries are typed', () => {
    const db = new Kysely<Database>({ dialect: new ResilientPostgresDialect({ connection: url }) })
    expectTypeOf(db.selectFrom('users').selectAll().execute).returns.resolves.toEqualTypeOf<
      { id: number; email: string | null }[]
    >()
  })

  it('refuses both a connection and a pool, and neither', () => {
    const both = { connection: url, client: createPool(url) }
    expect(() => new ResilientPostgresDialect(both)).toThrow('client')
    // @ts-expect-error: nothing to connect to
    expect(() => new ResilientPostgresDialect({})).toThrow('connection')
  })
})

describe('a URL where the configuration belongs', () => {
  it('is refused without showing its password', () => {
    const make = () => Reflect.construct(ResilientPostgresDialect, ['postgres://me:hunter2@localhost/shop'])
    expect(make).toThrow('{ connection: url, resilience }')
    expect(make).not.toThrow('hunter2')
  })
})
