import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError } from '@moorings/core'
import { beginStatement, parseModes } from './words.js'

describe('beginStatement', () => {
  it('is a bare BEGIN without settings', () => {
    expect(beginStatement()).toBe('begin')
    expect(beginStatement({ isolationLevel: undefined })).toBe('begin')
  })

  it('names every mode that was set', () => {
    expect(beginStatement({ isolationLevel: 'serializable', accessMode: 'read only', deferrable: true })).toBe(
      'start transaction isolation level serializable read only deferrable',
    )
    expect(beginStatement({ deferrable: false })).toBe('start transaction not deferrable')
  })

  it('refuses what is no mode, before anything is sent', () => {
    const settings: object = { isolationLevel: 'serializable; drop table users' }
    expect(() => beginStatement(settings)).toThrow(InvalidOptionsError)
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
