// The demo's verdict must be able to fail: each way in which books can be wrong is found.

import { describe, expect, test } from '@jest/globals'
import { CommitOutcomeUnknownError, ConnectionLostError } from '@moorings/core'
import { audit, type Vault } from './audit.js'
import type { Transfer } from './bank.js'
import { Books } from './books.js'

const opening = { accounts: 3, balance: 100 }
const first: Transfer = { id: 'first', debited: 1, credited: 2, amount: 10 }
const second: Transfer = { id: 'second', debited: 2, credited: 3, amount: 5 }

/** Books in which `first` was acknowledged and `second` ended with the given error. */
async function booksWith(error?: unknown): Promise<Books> {
  const books = new Books()
  await books.enter(first, async () => {})
  if (error !== undefined) await books.enter(second, () => Promise.reject(error))
  return books
}

const vault = (ledger: readonly Transfer[], ...balances: number[]): Vault => ({
  ledger,
  balances: new Map(balances.map((balance, index) => [index + 1, balance])),
})

const lost = new ConnectionLostError('gone', { code: '57P01' })
const unknown = new CommitOutcomeUnknownError('who knows')

describe('the books balance when', () => {
  test('every acknowledged transfer is there, and no failed one', async () => {
    const { findings, found, sumKept } = audit(await booksWith(lost), vault([first], 90, 110, 100), opening)
    expect(findings).toEqual([])
    expect(sumKept).toBe(true)
    expect(found).toEqual({ acknowledged: 1, unknown: 0, failed: 0, stranger: 0 })
  })

  test('a transfer of unknown outcome is absent', async () => {
    expect(audit(await booksWith(unknown), vault([first], 90, 110, 100), opening).findings).toEqual([])
  })

  test('a transfer of unknown outcome is there', async () => {
    const { findings, found } = audit(await booksWith(unknown), vault([first, second], 90, 105, 105), opening)
    expect(findings).toEqual([])
    expect(found.unknown).toBe(1)
  })
})

describe('the books do not balance when', () => {
  test('an acknowledged transfer is missing', async () => {
    const { findings } = audit(await booksWith(), vault([], 100, 100, 100), opening)
    expect(findings).toEqual(['1 acknowledged transfers are not in the ledger'])
  })

  test('a transfer that was reported as failed is there', async () => {
    const { findings } = audit(await booksWith(lost), vault([first, second], 90, 105, 105), opening)
    expect(findings).toEqual(['1 transfers reported as failed are in the ledger'])
  })

  test('a row belongs to no transfer', async () => {
    const { findings } = audit(await booksWith(), vault([first, second], 90, 105, 105), opening)
    expect(findings).toEqual(['1 rows in the ledger belong to no transfer'])
  })

  test('money vanished', async () => {
    const { findings, sumKept } = audit(await booksWith(), vault([first], 90, 100, 100), opening)
    expect(sumKept).toBe(false)
    expect(findings).toEqual([
      'the balances add up to 290 instead of 300',
      '1 accounts hold something else than the ledger says',
    ])
  })

  test('the sum is kept but half of another transfer was applied to somebody else', async () => {
    const { findings, sumKept } = audit(await booksWith(), vault([first], 90, 115, 95), opening)
    expect(sumKept).toBe(true)
    expect(findings).toEqual(['2 accounts hold something else than the ledger says'])
  })

  test('an error is not of our own types', async () => {
    const { findings } = audit(await booksWith(new TypeError('null.write')), vault([first], 90, 110, 100), opening)
    expect(findings).toEqual(['1 errors had no type of ours, as TypeError: null.write'])
  })

  test('nothing was ever done', () => {
    const { findings } = audit(new Books(), vault([], 100, 100, 100), opening)
    expect(findings).toEqual(['not one transfer was acknowledged'])
  })
})

test('the books count errors by name and code', async () => {
  const books = await booksWith(lost)
  await books.enter({ ...second, id: 'third' }, () => Promise.reject(lost))
  await books.enter({ ...second, id: 'fourth' }, () => Promise.reject(unknown))
  expect(Object.fromEntries(books.errors)).toEqual({ 'ConnectionLostError 57P01': 2, CommitOutcomeUnknownError: 1 })
})
