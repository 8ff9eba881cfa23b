import { describe, expect, it } from '@jest/globals'
import { Lately } from './lately.js'

/** A connection on which `first` has ended and `second` began at 1,000. */
function after(first: string): Lately {
  const lately = new Lately()
  lately.started(10)
  lately.ended(first)
  lately.started(1_000)
  return lately
}

describe('what a connection was doing lately', () => {
  it('is its statement, when that has been under way for a moment', () => {
    expect(after('first').at(1_020, 'second')).toBe('second')
  })

  it('is the one before, when the next was only just begun, or there is none', () => {
    expect(after('first').at(1_005, 'second')).toBe('first')
    expect(after('first').at(5_000, '')).toBe('first')
  })

  it('is the one before a COMMIT, unless that takes long', () => {
    expect(after('first').at(1_400, 'commit')).toBe('first')
    expect(after('first').at(1_600, 'COMMIT')).toBe('COMMIT')
    expect(after('first').at(1_020, 'commission()')).toBe('commission()')
  })

  it('is the one before a COMMIT that has just ended, too', () => {
    const lately = after('first')
    lately.ended('commit')
    expect(lately.at(1_005, '')).toBe('first')
    lately.started(1_010)
    expect(lately.at(1_015, 'next')).toBe('first')
    expect(lately.at(1_050, 'next')).toBe('next')
  })

  it('is not known at the beginning, nor after a statement that was too long to be kept', () => {
    expect(new Lately().at(10_000, '')).toBeUndefined()
    expect(after('x'.repeat(10_001)).at(1_001, 'second')).toBeUndefined()
  })
})
