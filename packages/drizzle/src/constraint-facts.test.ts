// What the tables of a schema tell of the constraints in the database.

import { describe, expect, it } from '@jest/globals'
import type { ConstraintFacts } from '@moorings/core'
import { type SQL, sql } from 'drizzle-orm'
import { toCamelCase, toSnakeCase } from 'drizzle-orm/casing'
import * as pg from 'drizzle-orm/pg-core'
import { factsOf } from './constraint-facts.js'

const named = (facts: readonly ConstraintFacts[], name: string) => facts.find((one) => one.name === name)

const parents = pg.pgSchema('family').table('parents', { id: pg.integer().primaryKey(), code: pg.text('the_code') })
const children = pg.pgTable(
  'children',
  {
    id: pg.integer().primaryKey(),
    parent: pg.integer('parent_id').references(() => parents.id),
    email: pg.text('e_mail').unique('one_mail'),
    born: pg.date(),
    died: pg.date(),
  },
  (t) => [
    pg.uniqueIndex('one_mail_a_day').on(sql`lower(${t.email})`, t.born),
    pg.index('by_day').on(t.born),
    pg.check('in_order', sql`${t.died} >= ${t.born} and ${t.born} > '1900-01-01'`),
    pg.foreignKey({ name: 'coded', columns: [t.email], foreignColumns: [parents.code] }),
  ],
)

describe('the facts of a table', () => {
  const facts = factsOf(children)

  it('name columns and keys, in the order of the constraint', () => {
    expect(named(facts, 'one_mail')).toEqual({
      kind: 'unique',
      schema: undefined,
      table: 'children',
      name: 'one_mail',
      columns: ['e_mail'],
      keys: ['email'],
    })
    expect(named(facts, 'children_pkey')).toMatchObject({ kind: 'primary-key', keys: ['id'] })
    expect(named(factsOf(parents), 'parents_pkey')).toMatchObject({ schema: 'family', keys: ['id'] })
  })

  it('name the columns that an expression or a condition speaks of, each once', () => {
    expect(named(facts, 'one_mail_a_day')).toMatchObject({ columns: ['e_mail', 'born'], keys: ['email', 'born'] })
    expect(named(facts, 'in_order')).toMatchObject({ kind: 'check', columns: ['died', 'born'] })
  })

  it('name no columns of what speaks of one in plain SQL, which would be missing', () => {
    const condition = (value: SQL) => {
      const columns = { id: pg.integer(), date: pg.text(), length: pg.integer(), sizeOfIt: pg.integer('size') }
      const table = pg.pgTable('things', columns, () => [pg.check('c', value)])
      return named(factsOf(table), 'c')?.columns
    }
    const { id } = pg.pgTable('things', { id: pg.integer() })
    expect(condition(sql`${id} > 0 and SIZE > 1`)).toEqual([])
    expect(condition(sql`${id} > 0 and ${sql.raw('"size"')} > 1`)).toEqual([])
    expect(condition(sql`${id} > 0 and ${sql.identifier('size')} > 1`)).toEqual([])
    expect(condition(sql`things.size > 0`)).toEqual([])
    expect(condition(sql`${id}::date is null and length('size, ''size''') > ${id} and ${id} < sizes`)).toEqual(['id'])
  })

  it('say what a foreign key leads to', () => {
    const references = { schema: 'family', table: 'parents', columns: ['the_code'] }
    expect(named(facts, 'coded')).toMatchObject({ kind: 'foreign-key', columns: ['e_mail'], references })
    expect(named(facts, 'children_parent_id_fkey')).toMatchObject({ keys: ['parent'] })
  })

  it('know the key of each column, as any may be one that must not be null', () => {
    const columns = facts.filter((one) => one.kind === 'not-null')
    expect(columns.map(({ columns: [column], keys }) => [column, keys?.[0]])).toEqual([
      ['id', 'id'],
      ['parent_id', 'parent'],
      ['e_mail', 'email'],
      ['born', 'born'],
      ['died', 'died'],
    ])
  })

  it('have nothing of an index that is not unique', () => {
    expect(named(facts, 'by_day')).toBeUndefined()
  })

  it('name columns as the casing of a database does', () => {
    const table = pg.pgTable('some', {
      firstName: pg.text().unique(),
      last_name: pg.text().unique(),
      own: pg.text('oWn'),
    })
    expect(named(factsOf(table, toSnakeCase), 'some_firstName_unique')?.columns).toEqual(['first_name'])
    expect(named(factsOf(table, toCamelCase), 'some_last_name_unique')?.columns).toEqual(['lastName'])
    expect(named(factsOf(table), 'some_firstName_unique')?.columns).toEqual(['firstName'])
  })

  it('leave out a name that two constraints may have, but for the one that was given it', () => {
    const table = pg.pgTable(
      't',
      { a: pg.text(), b: pg.text(), a_b: pg.text().unique(), c: pg.text().unique() },
      (t) => [pg.unique().on(t.a, t.b), pg.uniqueIndex('t_c_key').on(t.a, t.c)],
    )
    const all = factsOf(table)
    expect(named(all, 't_a_b_key')).toBeUndefined()
    expect(named(all, 't_c_key')?.columns).toEqual(['a', 'c'])
    expect(named(all, 't_c_unique')?.columns).toEqual(['c'])
  })

  it('are none as long as the table’s definition cannot be evaluated, and then there', () => {
    let later: typeof parents | undefined
    const early = pg.pgTable('early', { parent: pg.integer() }, (t) => {
      if (later === undefined) throw new ReferenceError("Cannot access 'later' before initialization")
      return [pg.foreignKey({ columns: [t.parent], foreignColumns: [later.id] })]
    })
    expect(factsOf(early)).toEqual([])
    later = parents
    expect(named(factsOf(early), 'early_parent_parents_id_fk')).toMatchObject({ kind: 'foreign-key', keys: ['parent'] })
  })
})
