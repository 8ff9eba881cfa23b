import { describe, expect, it } from '@jest/globals'
import { Names } from './names.js'

function session() {
  const marks = { settings: false, temporary: false }
  const reader: { transactionStatus: 'idle' | 'open' | 'failed' } = { transactionStatus: 'idle' }
  return { marks, reader, names: new Names(marks, reader) }
}

describe('whether names mean something else', () => {
  it.each([
    'set search_path = other',
    'SET SESSION search_path TO other, public',
    'set local "search_path" = other',
    'set /* where */ local -- now\n search_path = other',
    "set schema 'other'",
    'set role nobody',
    'set local role none',
    'set session authorization nobody',
    'reset search_path',
    'reset role',
    'reset session authorization',
    'reset all',
    'discard all',
    "select 1; set search_path = 'a'",
    'do $$ begin set local search_path = other; end $$',
    "do 'begin set local search_path = other; end'",
  ])('after: %s', (text) => {
    const { names, reader } = session()
    reader.transactionStatus = 'open'
    names.set(text)
    expect(names.moved).toBe(true)
  })

  it.each([
    'set statement_timeout = 5',
    'set local app.role = 1',
    "set app.search_path_of = 'a'",
    'set session characteristics as transaction read only',
    'reset statement_timeout',
    'set time zone 5',
  ])('not after: %s', (text) => {
    const { names, reader } = session()
    reader.transactionStatus = 'open'
    names.set(text)
    expect(names.moved).toBe(false)
  })

  it.each([
    ["select set_config('search_path', 'a', true)", true],
    ["select set_config('Role', 'a', true)", true],
    ['select pg_catalog."set_config"( \'search_path\' , $1, false)', true],
    ['select set_config($1, $2, true)', true],
    ["select set_config('a' || 'b', $2, true)", true],
    ["select set_config('app.tenant', 'search_path', true)", false],
    ["select set_config('app.tenant', $1, true), set_config('app.user', $2, true)", false],
    ["select set_config('app.tenant', $1, true), set_config('search_path', $2, true)", true],
  ])('with a call: %s', (text, moved) => {
    const { names, reader } = session()
    reader.transactionStatus = 'open'
    names.calls(text)
    expect(names.moved).toBe(moved)
  })

  it('from the sending of a BEGIN that sets one, until its transaction has ended', () => {
    const { names, reader } = session()
    names.begins('begin; set local statement_timeout = 5')
    expect(names.moved).toBe(false)
    names.begins("begin; set local search_path = 'other'")
    expect(names.moved).toBe(true)
    reader.transactionStatus = 'open'
    expect(names.moved).toBe(true)
    reader.transactionStatus = 'failed'
    expect(names.moved).toBe(true)
    reader.transactionStatus = 'idle'
    expect(names.moved).toBe(false)
  })

  it('until the session was reset, where it outlives the transaction', () => {
    const { names, marks } = session()
    marks.settings = true
    names.set('set search_path = other')
    expect(names.moved).toBe(true)
    marks.settings = false
    expect(names.moved).toBe(false)
  })

  it('as long as there may be temporary tables', () => {
    const { names, marks } = session()
    marks.temporary = true
    expect(names.moved).toBe(true)
    marks.temporary = false
    expect(names.moved).toBe(false)
  })
})
