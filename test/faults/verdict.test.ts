// The judgement must be able to fail: each way in which a run can be wrong is found, and nothing else is.

import { describe, expect, test } from '@jest/globals'
import type { Entry, Holdings, Told, Transfer } from './history.js'
import { counted, judge, type Verdict } from './verdict.js'

const opening = { accounts: 3, balance: 100 }
const first: Transfer = { id: 'first', debited: 1, credited: 2, amount: 10 }
const second: Transfer = { id: 'second', debited: 2, credited: 3, amount: 5 }
/** With `first` done, and with both. */
const one = [90, 110, 100]
const both = [90, 105, 105]

function entry(transfer: Transfer, told: Told, more: Partial<Entry> = {}): Entry {
  return { transfer, told, struck: [], unknowable: false, ...more }
}

function holding(journal: readonly Transfer[], balances: readonly number[]): Holdings {
  return { journal, balances: new Map(balances.map((balance, index) => [index + 1, balance])) }
}

/** `first` was acknowledged and is there; `second` ended as given. */
function withSecond(told: Told, holdings: Holdings, more: Partial<Entry> = {}): Verdict {
  return judge([entry(first, 'acknowledged'), entry(second, told, more)], holdings, opening)
}

describe('nothing is wrong when', () => {
  test('what was acknowledged is there once', () => {
    const { findings, told } = withSecond('acknowledged', holding([first, second], both))
    expect(findings).toEqual([])
    expect(told).toEqual({ acknowledged: 2, rejected: 0, unknown: 0, strange: 0, hung: 0 })
  })

  test('what was rejected is absent', () => {
    expect(withSecond('rejected', holding([first], one)).findings).toEqual([])
  })

  test('what the server can no longer know was told as unknown, there or not', () => {
    const there = withSecond('unknown', holding([first, second], both), { unknowable: true })
    expect(there).toMatchObject({ findings: [], unknownButThere: 1 })
    const absent = withSecond('unknown', holding([first], one), { unknowable: true })
    expect(absent).toMatchObject({ findings: [], unknownButThere: 0 })
  })

  test('the journal is in another order than the history', () => {
    expect(withSecond('acknowledged', holding([second, first], both)).findings).toEqual([])
  })
})

describe('it is found when', () => {
  test('an acknowledged transfer is missing', () => {
    const { findings } = withSecond('acknowledged', holding([first], one), { struck: ['request lost (reset)'] })
    expect(findings).toEqual([
      { kind: 'lost', text: 'second: acknowledged, and there not at all; struck by request lost (reset)' },
    ])
  })

  test('an acknowledged transfer is there twice', () => {
    const { findings } = withSecond('acknowledged', holding([first, second, second], [90, 100, 110]))
    expect(findings).toEqual([
      { kind: 'duplicate', text: 'second: acknowledged, and there 2 times; no fault struck it' },
    ])
  })

  test.each(['unknown', 'hung', 'strange'] as const)('one told as %s is there twice', (told) => {
    const { findings } = withSecond(told, holding([first, second, second], [90, 100, 110]), { unknowable: true })
    expect(counted(findings)).toMatchObject({ duplicate: 1 })
  })

  test('a rejected transfer is there', () => {
    const { findings } = withSecond('rejected', holding([first, second], both), { error: 'ConnectionLostError: gone' })
    expect(findings).toEqual([
      {
        kind: 'rejected but there',
        text: 'second: rejected (ConnectionLostError: gone), and there once; no fault struck it',
      },
    ])
  })

  test('a rejected transfer is there twice, as both', () => {
    const { findings } = withSecond('rejected', holding([first, second, second], [90, 100, 110]))
    expect(counted(findings)).toEqual({ duplicate: 1, 'rejected but there': 1 })
  })

  test('a transfer was told as unknown while the server could be asked', () => {
    expect(counted(withSecond('unknown', holding([first], one)).findings)).toEqual({ 'needless doubt': 1 })
    expect(counted(withSecond('unknown', holding([first, second], both)).findings)).toEqual({ 'needless doubt': 1 })
  })

  test('an error says neither that it was done nor that it was not', () => {
    const { findings } = withSecond('strange', holding([first], one), { error: 'TypeError: null.write' })
    expect(findings).toEqual([
      {
        kind: 'strange error',
        text: 'second: strange (TypeError: null.write), and there not at all; no fault struck it',
      },
    ])
  })

  test('a caller was told nothing at all', () => {
    expect(counted(withSecond('hung', holding([first], one)).findings)).toEqual({ hang: 1 })
  })

  test('a transfer is there with another amount, or between other accounts', () => {
    const more = { ...second, amount: 7 }
    expect(counted(withSecond('acknowledged', holding([first, more], [90, 103, 107])).findings)).toEqual({ altered: 1 })
    const elsewhere = { ...second, credited: 1 }
    const { findings } = withSecond('acknowledged', holding([first, elsewhere], [95, 105, 100]))
    expect(counted(findings)).toEqual({ altered: 1 })
  })

  test('a row belongs to no transfer', () => {
    const { findings } = judge([entry(first, 'acknowledged')], holding([first, second], both), opening)
    expect(findings).toEqual([{ kind: 'stranger', text: 'second is there once, and nobody made it' }])
  })

  test('money has gone: half of a transfer was done', () => {
    const { findings } = withSecond('rejected', holding([first], [90, 105, 100]))
    expect(findings).toEqual([
      { kind: 'sum', text: 'the balances add up to 295 instead of 300' },
      { kind: 'balance', text: 'account 2 holds 105, by the journal it is 110' },
    ])
  })

  test('the sum is kept, but the money moved although the row is not there', () => {
    expect(counted(withSecond('rejected', holding([first], both)).findings)).toEqual({ balance: 2 })
  })

  test('an account is gone, with all that was on it', () => {
    const { findings } = withSecond('rejected', holding([first], [90, 110]))
    expect(counted(findings)).toEqual({ sum: 1, balance: 1 })
  })

  test('nothing was ever acknowledged', () => {
    const { findings } = judge([entry(first, 'rejected')], holding([], [100, 100, 100]), opening)
    expect(counted(findings)).toEqual({ nothing: 1 })
    expect(counted(judge([], holding([], [100, 100, 100]), opening).findings)).toEqual({ nothing: 1 })
  })
})

test('a history with two entries for one transfer is refused', () => {
  const twice = [entry(first, 'rejected'), entry(first, 'acknowledged')]
  expect(() => judge(twice, holding([first], one), opening)).toThrow('the history has two entries for first')
})
