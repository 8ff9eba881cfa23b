import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError } from '@moorings/core'
import { beginStatement, beginText, parseModes } from './words.js'

describe('beginText', () => {
  it('is a bare BEGIN without settings', () => {
    expect(beginText()).toBe('begin')
    expect(beginText({ isolationLevel: undefined })).toBe('begin')
  })

  it('names every mode that was set', () => {
    expect(beginText({ isolationLevel: 'serializable', accessMode: 'read only', deferrable: true })).toBe(
      'begin; set transaction isolation level serializable read only deferrable',
    )
    expect(beginText({ deferrable: false })).toBe('begin; set transaction not deferrable')
  })

  it('sets limits, settings and the role for this transaction, the role last', () => {
    expect(
      beginText({
        role: 'ad"min',
        settings: { 'app.tenant': 42, 'app.name': "o'neill", 'app.path': 'c:\\', 'app.on': true },
        idleTimeoutMs: 0,
        lockTimeoutMs: 100,
        statementTimeoutMs: 5_000,
        accessMode: 'read write',
      }),
    ).toBe(
      'begin; set transaction read write; set local statement_timeout = 5000; set local lock_timeout = 100; ' +
        'set local idle_in_transaction_session_timeout = 0; ' +
        `set local "app"."tenant" = '42'; set local "app"."name" = 'o''neill'; ` +
        String.raw`set local "app"."path" = E'c:\\'; set local "app"."on" = 'true'; ` +
        'set local role "ad""min"',
    )
    // A list of names: SET would take the whole for the name of one.
    expect(beginText({ settings: { search_path: 'one, two' } })).toBe(
      "begin; select pg_catalog.set_config('search_path', 'one, two', true)",
    )
    expect(beginText({ settings: {} })).toBe('begin')
  })

  it.each<[string, object]>([
    ['isolationLevel', { isolationLevel: 'serializable; drop table users' }],
    ['accessMode', { accessMode: 'read write; drop table users' }],
    ['statementTimeoutMs', { statementTimeoutMs: '0; drop table users' }],
    ['statementTimeoutMs', { statementTimeoutMs: 2 ** 31 }],
    ['lockTimeoutMs', { lockTimeoutMs: -1 }],
    ['idleTimeoutMs', { idleTimeoutMs: 0.5 }],
    ['role', { role: '' }],
    ['role', { role: 'none' }],
    ['role', { role: 'a\0b' }],
    ['role', { role: 'é'.repeat(32) }],
    ['role', { role: ['admin'] }],
    ['settings', { settings: 'app.tenant=1' }],
    ['settings["app.tenant"]', { settings: { 'app.tenant': 'a\0b' } }],
    ['settings["app.tenant"]', { settings: { 'app.tenant': Number.NaN } }],
    ['settings["app.tenant"]', { settings: { 'app.tenant': ['1'] } }],
    ['settings["app.tenant"]', { settings: { 'app.tenant': undefined } }],
    ['settings["ab c"]', { settings: { 'a\0b c': '1' } }],
    ['settings.Role', { settings: { Role: 'none' } }],
    ['settings.session_authorization', { settings: { session_authorization: 'admin' } }],
  ])('refuses what cannot be said, before anything is sent: %s', (path, settings) => {
    const begin = () => beginText(settings)
    expect(begin).toThrow(InvalidOptionsError)
    expect(begin).toThrow(expect.objectContaining({ problems: [expect.objectContaining({ path })] }))
  })

  it('says everything that is wrong at once, and no value of a setting', () => {
    const settings: object = { role: '', lockTimeoutMs: -1, settings: { 'app.user': 'jane\0doe' } }
    let thrown: unknown
    try {
      beginText(settings)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toMatchObject({
      problems: [{ path: 'lockTimeoutMs' }, { path: 'settings["app.user"]' }, { path: 'role' }],
    })
    expect(String(thrown)).not.toMatch(/jane/)
  })
})

describe('beginStatement', () => {
  it('says the same as a log should show it', () => {
    expect(beginStatement()).toBe('begin')
    expect(beginStatement({ isolationLevel: 'serializable', accessMode: 'read write' })).toBe(
      'start transaction isolation level serializable read write',
    )
    expect(beginStatement({ lockTimeoutMs: 5 })).toBe('begin; set local lock_timeout = 5')
  })
})

describe('parseModes', () => {
  it.each([
    ['', {}],
    ['isolation level serializable', { isolationLevel: 'serializable' }],
    ['ISOLATION LEVEL REPEATABLE READ, READ ONLY', { isolationLevel: 'repeatable read', accessMode: 'read only' }],
    ['transaction read write not deferrable', { accessMode: 'read write', deferrable: false }],
    ['deferrable', { deferrable: true }],
  ])('reads %j', (modes, settings) => {
    expect(parseModes(modes)).toEqual(settings)
  })

  it('refuses words that BEGIN does not know', () => {
    expect(() => parseModes('read twice')).toThrow(InvalidOptionsError)
  })
})
