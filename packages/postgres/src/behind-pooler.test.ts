import { describe, expect, it } from '@jest/globals'
import type { SessionState } from '@moorings/core'
import { leaves, refusal } from './behind-pooler.js'

describe('F6: what a statement would leave on a session that is lent for one transaction', () => {
  it.each<[SessionState, string]>([
    ['locks', 'select pg_advisory_lock(1)'],
    ['locks', 'select pg_catalog.pg_try_advisory_lock_shared($1, $2)'],
    ['listens', 'listen orders'],
    ['listens', ' LISTEN "orders"'],
    ['cursors', 'declare c cursor with hold for select 1'],
    ['settings', 'set search_path = tenant_1'],
    ['settings', 'SET SESSION statement_timeout TO 5'],
    ['settings', 'set role admin'],
    ['settings', 'set session authorization admin'],
    ['settings', 'set session characteristics as transaction read only'],
    ['settings', 'select 1; set app.tenant = 7'],
    ['settings', "/* set local */ set app.tenant = 'x'"],
    ['settings', "select set_config('app.tenant', $1, false)"],
  ])('is %s, in a transaction or not: %s', (left, text) => {
    expect([leaves(text, false), leaves(text, true)]).toEqual([left, left])
  })

  it.each<[SessionState, string]>([
    ['temporary-tables', 'create temp table t (n int)'],
    ['temporary-tables', 'create temporary table t as select 1'],
    ['temporary-tables', 'select 1 as n into temp t'],
    ['other', 'prepare one as select 1'],
  ])('is %s where it could not be used again, but not in a transaction: %s', (left, text) => {
    expect([leaves(text, false), leaves(text, true)]).toEqual([left, undefined])
  })

  it.each([
    'select pg_advisory_xact_lock(1)',
    'select pg_advisory_unlock(1)',
    'unlisten *',
    'notify orders',
    'declare c cursor for select 1',
    'set local search_path = tenant_1',
    'set transaction read only',
    'set constraints all deferred',
    "set time zone 'UTC'",
    "set timezone to 'UTC'",
    "set client_encoding = 'UTF8'",
    "set names 'UTF8'",
    'set "DateStyle" = ISO',
    "set session application_name = 'jobs'",
    'reset all',
    'update t set listen = 1',
    "select set_config('app.tenant', $1, true)",
    'select set_config($1, $2, $3)',
    'create temp table t (n int) on commit drop',
    'create temp table t (n int); drop table t',
    "insert into temp values ('set role admin')",
    "select 'listen orders' -- pg_advisory_lock(1)",
    'create function f() returns void language plpgsql as $$ begin; set role admin; perform pg_advisory_lock(1); end $$',
    "prepare transaction 'x'",
    'select * from settings where prepared and held',
  ])('is nothing: %s', (text) => {
    expect([leaves(text, false), leaves(text, true)]).toEqual([undefined, undefined])
  })

  it('looks no closer at a text that is very long', () => {
    expect(leaves(`select set_config('a', 'b', false) ${' '.repeat(20_000)}`, true)).toBeUndefined()
  })

  it('is told with what to use instead', () => {
    const error = refusal('settings', { host: 'db1', port: 6432 })
    expect(error).toMatchObject({ name: 'PoolerError', kind: 'session', retry: 'never', needs: 'settings' })
    expect(error.message).toMatch(
      /^SET for the session, and db1:6432 leads through a pooler .*SET LOCAL.*Nothing was sent$/,
    )
  })
})
