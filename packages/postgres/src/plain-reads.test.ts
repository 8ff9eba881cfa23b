import { describe, expect, it } from '@jest/globals'
import { readsOnly, standbyReads } from './plain-reads.js'

describe('reads', () => {
  it.each([
    'select 1',
    ' \n\tSELECT * FROM "t" WHERE "a" = $1 AND "b" IN ($2, $3) LIMIT $10;',
    '(select "a" from "t") union all (select "a" from "u") order by "a"',
    'with x as (select 1), y as materialized (select 2) select * from x, y',
    'with recursive r as (values (1)) table r',
    'values (1), (2)',
    'table t',
    'show timezone',
    'select f(a), app.g(b) from t for share',
    '-- delete from t\nselect 1',
    '/* insert /* nested */ into */ select 1 /* copy */',
    `select 'insert into t; delete from u', 'it''s'`,
    'select "update", "into", "a""delete;" from "copy"',
    'select updated_at, deleted, "call_id" from merged;  ;',
  ])('%s', (text) => expect(readsOnly(text)).toBe(true))
})

describe('may write', () => {
  it.each([
    '',
    'insert into t values (1)',
    'update t set a = 1',
    'delete from t',
    'merge into t using u on true when matched then delete',
    'call p()',
    'copy t to stdout',
    'do $$ begin end $$',
    'explain analyze delete from t',
    'begin',
    'set x = 1',
    'listen c',
    'selected',
    'with x as (insert into t values (1) returning *) select * from x',
    'with x as (DELETE from t returning *) table x',
    'select * into t from u',
    'select * from t for update',
    'select * from t for no key update skip locked',
    'select 1; delete from t',
    'select 1; select 2',
    `select 'a'; drop table t`,
    'select 1 /* ; */; truncate t',
    "select nextval('s')",
    `select "nextval"('s')`,
    "select pg_catalog.pg_notify('c', 'x')",
    'select pg_advisory_lock(1)',
    'select pg_try_advisory_lock_shared(1)',
    'select pg_terminate_backend(1)',
    `select dblink_exec('delete from t')`,
    `select set_config('a.b', 'c', false)`,
    // Where a literal ends cannot be told for sure.
    `select 'a\\'; delete from t; --'`,
    `select E'\\''`,
    'select $$"$$; delete from t where x = $$"$$',
    'select $é$"$é$',
  ])('%s', (text) => expect(readsOnly(text)).toBe(false))
})

describe('a standby', () => {
  it.each([
    'select "id" from "users" where "id" = $1',
    'select f(a) from t -- for share',
    `select 'for share', "for share" from "for share"`,
    'with x as (select 1) select * from x',
    'select txid_current, pg_promote, pg_current_wal_lsn from t',
    'select txid_current_if_assigned(), pg_is_in_recovery(), pg_last_wal_replay_lsn()',
    `select id from t where id in (${Array.from({ length: 2_000 }, (_, at) => `$${at + 1}`).join(', ')})`,
  ])('carries out %s', (text) => expect(standbyReads(text)).toBe(true))

  it.each([
    'select * from t for share',
    'select * from t for /* a key */ key\nshare of t skip locked',
    'select * from (select * from t for share) as u',
    'select * from t for no key update',
    'with x as (insert into t values (1) returning *) select * from x',
    "select nextval('s')",
    'select pg_advisory_lock(1)',
    'select pg_catalog.txid_current()',
    'select "pg_current_xact_id" ()',
    'select pg_current_wal_lsn()',
    'select pg_wal_replay_pause()',
    'select pg_promote(true)',
    'select pg_stat_reset_shared(null)',
    "select pg_create_physical_replication_slot('s')",
    "select * from pg_logical_slot_get_changes('s', null, null)",
    'explain analyze select 1',
    'insert into t values (1)',
    "set x = '1'",
    `insert into t values ${Array.from({ length: 2_000 }, (_, at) => `($${at + 1})`).join(', ')}`,
  ])('does not carry out %s', (text) => {
    expect(standbyReads(text)).toBe(false)
    // From memory as well.
    expect(standbyReads(text)).toBe(false)
  })
})
