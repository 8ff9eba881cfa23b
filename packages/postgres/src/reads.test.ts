import { describe, expect, it } from '@jest/globals'
import { evidentlyReads } from './reads.js'

describe('evidently reads', () => {
  it.each([
    'select 1',
    '  \n\tSELECT * FROM t WHERE a IN (1, 2) AND (b OR c);',
    'select count(*), coalesce(sum(a), 0), lower(b), now() from t group by 1 having count(*) > 1',
    'select "t"."id", (select json_agg("u") from (select * from "u") "u") from "t" where "t"."id" in ($1, $2) limit $3',
    'select a from t order by b desc limit 1 for update skip locked',
    "select 'a b' || x::varchar(3) from t",
    'values (1), (2)',
    'table t',
    'show timezone',
    'explain select * from t',
    'explain (verbose, costs off) insert_log',
    'savepoint "s(1)"',
    'release savepoint s',
    'ROLLBACK TO SAVEPOINT s',
    'set local work_mem = 1',
    'set transaction isolation level serializable;',
    "select set_config('app.tenant', '1', true)",
  ])('%s', (text) => {
    // Found, and remembered.
    expect([evidentlyReads(text), evidentlyReads(text)]).toEqual([true, true])
  })
})

describe('may write', () => {
  it.each([
    'insert into t values (1)',
    'update t set a = 1',
    'delete from t',
    'merge into t using u on a = b when matched then delete',
    'with x as (select 1) select * from x',
    'call p()',
    'do $$ begin end $$',
    'copy t from stdin',
    'create table t ()',
    'truncate t',
    'notify c',
    'fetch 1 from c',
    'execute p',
    '(select 1)',
    '/* who */ select 1',
    'selects',
    '',
    'set x = 1; delete from t',
    'savepoint s; delete from t',
    'set local a.b = 1; delete from t',
    'rollback',
    'commit',
    // One that calls what is not known.
    'select f()',
    'select F ()',
    'select a, b from f(1)',
    "select nextval('s')",
    'select 1 where f(1) = 2',
    'select app.count(1)',
    'select app . count (1)',
    'select "app".count(1)',
    'select "f"(1)',
    'select "count"(1)',
    `select U&"!0066" uescape '!'(1)`,
    'select é(1)',
    'select countz(1)',
    'select f\u00a0(1)',
    'select f$1(1)',
    'select f/**/(1)',
    'select f -- so\n(1)',
    'values (f())',
    'explain analyze delete from t',
    'EXPLAIN (ANALYSE) delete from t',
    'select 1; delete from t',
    'select a into t from u',
    "select pg_notify('a', 'b')",
    `select '${'x'.repeat(5_000)}'`,
  ])('%s', (text) => {
    expect([evidentlyReads(text), evidentlyReads(text)]).toEqual([false, false])
  })

  it('is told of a text however many there have been', () => {
    for (let n = 0; n < 2_000; n++) {
      expect(evidentlyReads(`select ${n}`)).toBe(true)
      expect(evidentlyReads(`select f(${n})`)).toBe(false)
    }
  })
})
