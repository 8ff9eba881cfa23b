import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { fingerprint } from './fingerprint.js'
import { targetOf } from './statement-target.js'

describe('a fingerprint', () => {
  it.each([
    ['select * from users where id = 7', 'select * from users where id = ?'],
    ["update users set name = 'O''Hara' where id = $1", 'update users set name = ? where id = $1'],
    ["select E'it\\'s secret', 1.5e3, .5, 0xff, 1_000", 'select ?'],
    ["select b'01' || x'ff' || U&'\\0041'", 'select ? || ? || ?…'],
    ['select $$secret$$, $body$secret $$ more$body$', 'select ?'],
    ['select "Column 7" from "t1" where t1.c2 > 3', 'select "Column 7" from "t1" where t1.c2 > ?'],
    ['select 1 -- secret\nfrom t /* secret\n * and more */ where x', 'select ? from t where x'],
    ['select * from t where id in ($1, $2, $3)', 'select * from t where id in (?)'],
    ['insert into t (a, b) values ($1, $2), ($3, default)', 'insert into t (a, b) values (?), ($3, default)'],
    ['insert into t (a, b) values (1, 2), (3, 4), (5, 6)', 'insert into t (a, b) values (?)'],
    ['  select\n\n  x\tfrom t ', 'select x from t'],
    ["select 'unclosed secret", 'select ?'],
    ["select 'a\\' secret '", 'select ?…'],
    ['select 1 /* a /* secret */ secret */', 'select ? ?…'],
    ['', ''],
  ])('%s', (statement, expected) => {
    expect(fingerprint(statement)).toBe(expected)
  })

  it('is the same whatever the values and however many', () => {
    const insert = (rows: number) =>
      `insert into t (a, b) values ${Array.from({ length: rows }, (_, row) => `($${2 * row + 1}, $${2 * row + 2})`)}`
    expect(fingerprint(insert(2))).toBe(fingerprint(insert(40)))
  })

  it('is short, also of a statement of megabytes, which is not read to its end', () => {
    expect(fingerprint(`select ${'a_long_name, '.repeat(1_000_000)}`).length).toBeLessThan(1_010)
    expect(fingerprint(`select '${'x'.repeat(5_000_000)}'`)).toBe('select ?')
  })

  it('shows nothing that stands in a literal, as whatever kind it is written', () => {
    const literal = fc.oneof(
      fc.string().map((text) => `'${text.replaceAll("'", "''")}SECRET'`),
      fc.string().map((text) => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}SECRET'`),
      fc.string().map((text) => `$q$${text.replaceAll('$', '')}SECRET$q$`),
    )
    fc.assert(
      fc.property(fc.array(literal, { maxLength: 4 }), (literals) => {
        expect(fingerprint(`select f(${literals.join(' || ')}) from t`)).not.toContain('SECRET')
      }),
    )
  })
})

describe('what a statement is about', () => {
  it.each([
    ['update accounts set balance = ?', 'update', 'accounts'],
    ['UPDATE ONLY "public"."Accounts" SET x = ?', 'update', 'Accounts'],
    ['insert into shop.orders values (?) on conflict (id) do update set x = ?', 'insert', 'orders'],
    ['with old as (select ?) delete from "a ""b""" where id = $1', 'delete', 'a "b"'],
    ['select * from Seats s where id = $1 for no key update', 'lock-rows', 'seats'],
    ['select * from seats for share of seats', 'lock-rows', 'seats'],
    ['lock table seats in exclusive mode', 'lock-table', 'seats'],
    ['lock seats', 'lock-table', 'seats'],
    ['select * from seats', 'other', undefined],
    ['commit', 'other', undefined],
  ])('%s', (statement, action, relation) => {
    expect(targetOf(statement)).toEqual({ action, relation })
  })
})
