import { expect, test } from '@jest/globals'
import type { Transfer } from '../faults/history.js'
import { measure, type Observed } from './measures.js'
import type { Operation } from './messages.js'

const paid: Transfer = { id: 'transfer-1', debited: 1, credited: 2, amount: 7 }
const balances = (first: number, second: number) =>
  new Map([
    [1, first],
    [2, second],
  ])

const transferred = { id: paid.id, kind: 'transfer', transfer: paid, began: 1_000 } as const

/** A transfer and a row, both done, and all is well. */
const fine: Observed = {
  calls: [
    { began: 1_000, ended: 1_010 },
    { began: 2_000, ended: 2_030 },
  ],
  operations: [
    { ...transferred, told: 'acknowledged' },
    { id: 'row-2', kind: 'append', began: 2_000, told: 'acknowledged' },
  ],
  uncaught: [],
  backAt: 2_000,
  hungMs: 500,
  opening: { accounts: 2, balance: 100 },
  holdings: { journal: [paid], balances: balances(93, 107) },
  log: ['row-2'],
}

test('measures a run in which all went well', () => {
  expect(measure(fine)).toEqual({
    ...{ calls: 2, done: 2, errors: 0, worstMs: 30, backMs: 30, hung: 0, uncaught: 0, lost: 0, duplicated: 0, torn: 0 },
    said: {},
  })
})

test('counts errors by what they say, with those that nobody caught', () => {
  const calls = ['gone', 'lost', 'gone'].map((error) => ({ began: 0, ended: 5, error }))
  const { errors, uncaught, said } = measure({ ...fine, calls, uncaught: ['gone', 'gone'] })
  expect({ errors, uncaught }).toEqual({ errors: 3, uncaught: 2 })
  expect(Object.entries(said)).toEqual([
    ['gone', 4],
    ['lost', 1],
  ])
})

test('is back with the first success after the fault, whatever began before and whatever failed', () => {
  const calls = [
    { began: 1_000, ended: 1_999 },
    { began: 2_001, ended: 2_010, error: 'gone' },
    { began: 2_020, ended: 2_090 },
    { began: 1_500, ended: 2_040 },
  ]
  expect(measure({ ...fine, calls }).backMs).toBe(40)
  expect(measure({ ...fine, calls: calls.slice(0, 2) }).backMs).toBeUndefined()
})

test('takes a call for hung that never ended, or too late', () => {
  const calls = [
    { began: 0 },
    { began: 0, ended: 501 },
    { began: 0, ended: 501, error: 'late' },
    { began: 0, ended: 500 },
  ]
  const { hung, worstMs } = measure({ ...fine, calls })
  expect({ hung, worstMs }).toEqual({ hung: 3, worstMs: 501 })
})

test('finds what was acknowledged and is not there', () => {
  const holdings = { journal: [], balances: balances(100, 100) }
  expect(measure({ ...fine, log: [] }).lost).toBe(1)
  expect(measure({ ...fine, holdings })).toMatchObject({ lost: 1, torn: 0 })
  const denied: Operation[] = fine.operations.map((operation) => ({ ...operation, told: 'rejected' }))
  expect(measure({ ...fine, operations: denied, holdings, log: [] }).lost).toBe(0)
})

test('finds what is there more than once, whatever was told', () => {
  expect(measure({ ...fine, log: ['row-2', 'row-2'] }).duplicated).toBe(1)
  const holdings = { journal: [paid, paid], balances: balances(86, 114) }
  for (const told of ['acknowledged', 'rejected', 'unknown', 'hung'] as const) {
    const operations: Operation[] = [{ ...transferred, told }]
    expect(measure({ ...fine, operations, holdings, log: [] })).toMatchObject({ lost: 0, duplicated: 1, torn: 0 })
  }
})

test('finds balances that the transfers do not explain', () => {
  expect(measure({ ...fine, holdings: { journal: [paid], balances: balances(93, 100) } }).torn).toBe(2)
})
