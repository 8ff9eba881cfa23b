import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError, type SessionState } from '@moorings/core'
import { SessionMarks } from './session-state.js'
import { tagged } from './wire.js'

const undoSettings = 'set session authorization default; reset role; reset all'
const undoLocks = 'select pg_catalog.pg_advisory_unlock_all()'

function sent(text: string): SessionMarks {
  const marks = new SessionMarks()
  marks.sent(text)
  return marks
}

function answered(tag: keyof typeof tagged, text: string, sets = tag === 'set' ? 1 : 0): SessionMarks {
  const marks = new SessionMarks()
  marks.answered(tagged[tag], sets, text)
  return marks
}

describe('a session', () => {
  it('is clean at first, with nothing to undo', () => {
    const marks = new SessionMarks()
    expect([marks.state, marks.undo]).toEqual(['clean', ''])
  })

  it.each<[SessionState, string]>([
    ['settings', undoSettings],
    ['locks', undoLocks],
    ['temporary-tables', 'discard temp'],
    ['listens', 'unlisten *'],
    ['cursors', 'close all'],
  ])('with %s declared is dirty, and just that is undone', (left, undo) => {
    const marks = new SessionMarks()
    marks.declare(left)
    expect([marks.state, marks.undo]).toEqual(['dirty', undo])
    marks.undone()
    expect([marks.state, marks.undo]).toEqual(['clean', ''])
  })

  it('with something declared that cannot be undone is spoilt, and stays so when the rest is undone', () => {
    const marks = new SessionMarks()
    marks.declare('other')
    expect([marks.state, marks.undo]).toEqual(['spoilt', ''])
    marks.declare('listens')
    expect([marks.state, marks.undo]).toEqual(['spoilt', 'unlisten *'])
    marks.undone()
    expect([marks.state, marks.undo]).toEqual(['spoilt', ''])
  })

  it('has all of it undone in one text, never by DISCARD ALL', () => {
    const marks = new SessionMarks()
    for (const left of ['locks', 'listens', 'temporary-tables', 'cursors', 'settings'] as const) marks.declare(left)
    expect(marks.undo).toBe(`close all; ${undoSettings}; unlisten *; ${undoLocks}; discard temp`)
  })

  it('takes no word it does not know, or the return would undo nothing', () => {
    const word: string = 'toString'
    const declare = () => Reflect.apply(SessionMarks.prototype.declare, new SessionMarks(), [word])
    expect(declare).toThrow(InvalidOptionsError)
    expect(declare).toThrow(/temporary-tables/)
  })
})

describe('what the set-up did', () => {
  it('is no mark of a borrower', () => {
    const marks = answered('set', "set search_path = 'app'")
    marks.declare('other')
    marks.keep(true)
    expect([marks.state, marks.undo]).toEqual(['clean', ''])
  })

  it('is undone together with what a borrower left, so that the set-up can run again', () => {
    const marks = sent('create temp table settings_of_mine (name text)')
    marks.keep(true)
    expect([marks.undo, marks.undoesSetUp]).toEqual(['', false])
    marks.declare('locks')
    expect([marks.undo, marks.undoesSetUp]).toEqual([`${undoLocks}; discard temp`, true])
    marks.undone()
    marks.declare('locks')
    expect([marks.undo, marks.undoesSetUp]).toEqual([undoLocks, false])
  })

  it('is missed once a borrower has reset it', () => {
    const marks = answered('set', "set search_path = 'app'")
    marks.keep(true)
    marks.answered(tagged.reset, 0, 'reset search_path')
    expect(marks.state).toBe('dirty')
  })
})

describe('the tag SET', () => {
  it.each([
    "set search_path = 'app'",
    'SET SESSION statement_timeout TO 5',
    'set session characteristics as transaction isolation level serializable',
    'set role app',
    'set session authorization app',
    'set time zone 1',
    // Settings of extensions that go by these words.
    'set local.mark = 1',
    'set transaction.mark to 1',
    'set local = 1',
    'set local to 1',
    'set transaction_isolation = serializable',
    // Several statements, one of them lasting.
    'set local a.b = 1; set c.d = 2',
    'set local a.b = 1;\n-- why\n/* how */ set c.d = 2',
    "select '; set local x'; /* a /* nested */ comment */ set a.b = 1; set c.d = 1",
  ])('leaves settings: %s', (text) => {
    expect(answered('set', text, text.match(/\bset\b(?! local x)/gi)?.length).state).toBe('dirty')
  })

  it.each([
    "set local search_path = 'app'",
    "SET LOCAL search_path TO 'a;b'",
    '  set\n\tlocal role app;  ',
    '/* who */ -- why\nset /* how */ local role app -- so',
    'set transaction isolation level serializable',
    'set transaction read only',
    'begin; set local a.b = 1; set transaction read only; select 1',
    // As row level security is told who asks.
    "-- claims\nselect set_config('request.jwt.claims', '{}', TRUE);\n-- role\nset local role app;\n",
  ])('leaves nothing where it ends with the transaction: %s', (text) => {
    const marks = answered('set', text, text.match(/\bset\b/gi)?.length)
    marks.sent(text)
    expect(marks.state).toBe('clean')
  })

  it('counts against the text it came with when that does not show it', () => {
    expect(answered('set', '').state).toBe('dirty')
    expect(answered('set', 'set local a.b = 1; /* a /* nested */ comment */ set c.d = 1', 2).state).toBe('dirty')
  })
})

describe('another tag', () => {
  it.each([
    ['listen', 'listen news', 'unlisten *'],
    ['declare', 'declare c cursor with hold for select 1', 'close all'],
    ['block', "do $$ begin set a.b = 'c'; end $$", undoSettings],
    ['block', "do $$ begin execute 'listen news'; end $$", 'unlisten *'],
  ] as const)('%s: %s', (tag, text, undo) => {
    expect(answered(tag, text)).toMatchObject({ state: 'dirty', undo })
  })

  it.each([
    ['prepare', 'prepare p as select 1'],
    ['load', "load 'auto_explain'"],
  ] as const)('%s spoils', (tag, text) => {
    expect(answered(tag, text).state).toBe('spoilt')
  })

  it.each([
    ['declare', 'declare c cursor for select 1'],
    ['block', "do $$ begin raise notice 'offset'; end $$"],
    ['reset', 'reset all'],
  ] as const)('%s may leave nothing: %s', (tag, text) => {
    expect(answered(tag, text).state).toBe('clean')
  })
})

describe('a text', () => {
  it.each([
    'select pg_advisory_lock(1)',
    'select pg_catalog.PG_ADVISORY_LOCK_SHARED(1, 2)',
    'select "pg_try_advisory_lock"($1)',
    'select pg_try_advisory_lock_shared(hashtext($1))',
  ])('that takes a lock of the session: %s', (text) => {
    expect(sent(text).undo).toBe(undoLocks)
  })

  it.each([
    'create temp table t (id int)',
    'CREATE TEMPORARY TABLE IF NOT EXISTS t AS SELECT 1',
    'create local temp\n  table t (id int)',
    'create /* my */ temp /* own */ -- one\n table t (id int)',
    'create or replace temp view v as select 1',
    'create temp recursive view v (n) as select 1',
    'create temporary sequence s',
    'create table pg_temp.t (id int)',
    'select * into temp t from boats',
    'select * into local temporary table "t" from boats',
    'explain analyze create temp table t as select 1',
    `${'x'.repeat(1_000_000)} create temp table t (id int)`,
  ])('that makes something temporary: %.60s', (text) => {
    expect(sent(text).undo).toBe('discard temp')
  })

  it.each([
    "select set_config('a.b', 'c', false)",
    "select SET_CONFIG('a.b', $1, $2)",
    "select set_config('a.b', coalesce($1, ''), true)",
    "select set_config('a.b', 'c', true), set_config('a.b', 'c', false)",
    String.raw`select set_config('a.b', E'c\', true)', false)`,
    "select set_config('a.b', ', true)', false)",
    'select set_config',
  ])('that sets something for the session, or may do so: %s', (text) => {
    expect(sent(text).undo).toBe(undoSettings)
  })

  it.each([
    "select set_config('a.b', $1::text, true)",
    'select pg_catalog.set_config(\'a.b\', \'{"sub":"(1)","name":"O\'\'Neill"}\', TRUE )',
    "select set_config('a.b', 'c', is_local => true), set_config('d.e', 'f', is_local:=true)",
    'select pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2)',
    'select pg_advisory_unlock(1)',
    "select set_config('a.b', 'set_config', true)",
    "select 'create temp table t', 'pg_advisory_lock', E'it\\'s set_config' /* pg_advisory_lock */",
    "select * from pg_locks where locktype = 'advisory'",
    'select temp, "temp" from readings where temp > 5 order by temp /* temp */',
    'insert into temp (temp) values (1)',
    'insert\ninto temp select * from readings',
    'merge into temp t using s on t.id = s.id when matched then do nothing',
    'select temperature, template into_temp from attempts table_temp',
    'create table temperatures (temp int)',
    'create table t (id int)',
    'update boats set name = $1',
  ])('that leaves nothing: %s', (text) => {
    expect(sent(text)).toMatchObject({ state: 'clean', undo: '' })
  })

  it.each([
    ['locks', 'pg_advisory_lock '],
    ['words for what is temporary', 'into temp '],
    ['comments', 'temp /* '],
    ['comments that end', 'temp /**/'],
    ['blanks', `temp${' '.repeat(600)}`],
    ['calls', "set_config('a', "],
    ['calls that end', "set_config('a', 'b', true) "],
    ['quotes', "set_config('"],
    ['ends of statements', '; set local '],
    ['beginnings of comments', ';/*'],
  ])('of a million characters, all of them %s, is read in passing', (_, part) => {
    const text = part.repeat(1_000_000 / part.length)
    const marks = sent(text)
    marks.answered(tagged.set, 1, text)
    // One that is not linear would be at it for minutes.
    expect(marks.state).toBeDefined()
  })
})
