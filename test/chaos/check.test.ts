// The checker by itself: what it takes for an anomaly, and what not.

import { describe, expect, it } from '@jest/globals'
import type { Told, Transfer } from '../faults/history.js'
import type { Operation } from '../faults-matrix/messages.js'
import { check, type Recorded } from './check.js'

const paid: Transfer = { id: 'transfer-1', debited: 1, credited: 2, amount: 7 }
const balances = (first: number, second: number) =>
  new Map([
    [1, first],
    [2, second],
  ])

function transfer(told: Told): Operation {
  return { id: paid.id, kind: 'transfer', transfer: paid, told, began: 1_000, ended: 1_100 }
}

function row(told: Told): Operation {
  return { id: 'row-2', kind: 'append', told, began: 2_000, ended: 2_100 }
}

/** A transfer, a row and a look, and all is well. */
const fine: Recorded = {
  calls: [{ began: 1_000, ended: 1_100 }],
  operations: [
    transfer('acknowledged'),
    row('acknowledged'),
    { id: 'read-21', kind: 'read', told: 'acknowledged', began: 3_000, ended: 3_100 },
  ],
  uncaught: [],
  opening: { accounts: 2, balance: 100 },
  holdings: { journal: [paid], balances: balances(93, 107) },
  log: ['row-2'],
  struck: [],
  hungMs: 500,
}

const kinds = (recorded: Recorded) => check(recorded).anomalies.map(({ kind }) => kind)

/** Beside one that was acknowledged, as a run in which nothing was shows nothing. */
function withRow(told: Told, times: number): string[] {
  const operations = [...fine.operations, { ...row(told), id: 'row-4' }]
  return kinds({ ...fine, operations, log: ['row-2', ...Array.from({ length: times }, () => 'row-4')] })
}

describe('the checker', () => {
  it('finds nothing when everybody was told the truth', () => {
    const { anomalies, ...told } = check(fine)
    expect(anomalies).toEqual([])
    expect(told).toEqual({ acknowledged: 2, rejected: 0, unknown: 0, unknownButThere: 0 })
  })

  it.each<[Told, number, string[]]>([
    ['acknowledged', 0, ['lost']],
    ['acknowledged', 2, ['duplicate']],
    ['rejected', 0, []],
    ['rejected', 1, ['rejected but there']],
    ['unknown', 0, []],
    ['unknown', 1, []],
    ['unknown', 2, ['duplicate']],
    ['strange', 0, ['strange error']],
    ['hung', 0, ['hang']],
  ])('of a row that is %s and there %i times finds %j', (told, times, found) => {
    expect(withRow(told, times)).toEqual(found)
  })

  it('finds a transfer that is lost, and money that has gone', () => {
    expect(kinds({ ...fine, holdings: { journal: [], balances: balances(100, 100) } })).toEqual(['lost'])
    expect(kinds({ ...fine, holdings: { journal: [paid], balances: balances(93, 100) } })).toEqual(['sum', 'balance'])
  })

  it('finds what was undone in a nested transaction and is there', () => {
    const undone = { ...paid, id: 'undone-in-transfer-1' }
    expect(kinds({ ...fine, holdings: { journal: [paid, undone], balances: balances(86, 114) } })).toEqual(['stranger'])
  })

  it('finds a look that saw what cannot be, or never ended', () => {
    const look = { id: 'read-41', kind: 'read', began: 4_000, ended: 4_100 } as const
    const operations: Operation[] = [...fine.operations, { ...look, told: 'strange', error: 'the sum is wrong' }]
    expect(check({ ...fine, operations }).anomalies).toEqual([
      { kind: 'strange error', text: 'read-41: the sum is wrong' },
    ])
    expect(kinds({ ...fine, operations: [...fine.operations, { ...look, told: 'hung' }] })).toEqual(['hang'])
    expect(kinds({ ...fine, operations: [...fine.operations, { ...look, told: 'rejected' }] })).toEqual([])
  })

  it('finds a call that took too long, and what nobody caught', () => {
    expect(kinds({ ...fine, calls: [{ began: 0, ended: 501 }] })).toEqual(['hang'])
    expect(kinds({ ...fine, uncaught: ['TypeError: null.write'] })).toEqual(['uncaught'])
  })

  it('says what has struck meanwhile', () => {
    const struck = [
      { name: 'crash: away', began: 900, ended: 1_050 },
      { name: 'latency', began: 1_101, ended: 1_200 },
    ]
    const holdings = { journal: [], balances: balances(100, 100) }
    const [anomaly] = check({ ...fine, holdings, struck }).anomalies
    expect(anomaly?.text).toBe(
      'transfer-1: acknowledged, and there not at all; struck by crash: away (100 ms before it began)',
    )
  })
})
