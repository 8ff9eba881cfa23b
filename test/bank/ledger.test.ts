import { expect, it } from '@jest/globals'
import { type Account, audit, type Books, type Told } from './ledger.js'
import { changesOf, openingBalance, type Transfer, transferOf } from './transfers.js'

const accountCount = 6
const transfers = Array.from({ length: 50 }, (_, id) => transferOf(id, 7, accountCount))
const one = transferOf(3, 7, accountCount)
const told: Told[] = transfers.map((transfer) => ({ transfer, error: undefined }))

/** Books in which each of these was made once. */
function booksOf(made: readonly Transfer[]): Books {
  const accounts: Account[] = Array.from({ length: accountCount }, (_, index) => {
    const changes = made.flatMap(changesOf).filter(({ account }) => account === index + 1)
    return { id: index + 1, balance: changes.reduce((sum, { by }) => sum + by, openingBalance) }
  })
  return {
    accounts,
    journal: made.map(({ id: transfer, debtor, creditor, amount }) => ({ transfer, debtor, creditor, amount })),
  }
}

it('finds nothing in books that hold each acknowledged transfer once', () => {
  expect(audit(booksOf(transfers), told)).toEqual([])
})

it('finds nothing where a transfer that failed is not there', () => {
  const others = transfers.filter(({ id }) => id !== one.id)
  const toldSo = told.map((it) => (it.transfer.id === one.id ? { ...it, error: new Error('deadlock') } : it))
  expect(audit(booksOf(others), toldSo)).toEqual([])
  expect(audit(booksOf(transfers), toldSo)).toEqual(['transfer 3 failed; its entries in the journal: 1'])
})

it('finds an acknowledged transfer that is not there, or there twice', () => {
  expect(audit(booksOf(transfers.filter(({ id }) => id !== 3)), told)).toEqual([
    'transfer 3 was acknowledged; its entries in the journal: 0',
  ])
  expect(audit(booksOf([...transfers, one]), told)).toEqual([
    'transfer 3 was acknowledged; its entries in the journal: 2',
  ])
})

it('finds a transfer that nobody asked for, and one that is not what was asked for', () => {
  expect(audit(booksOf([...transfers, transferOf(99, 7, accountCount)]), told)).toEqual([
    'transfer 99 is there, and nobody was told of it',
  ])
  const changed = transfers.map((it) => (it.id === 3 ? { ...it, amount: it.amount + 1 } : it))
  expect(audit(booksOf(changed), told)).toEqual(['transfer 3 is there as another one'])
})

it('finds a lost update, and money made of nothing', () => {
  const { accounts, journal } = booksOf(transfers)
  const lost = accounts.map((it) => (it.id === 2 ? { ...it, balance: it.balance + 5 } : it))
  const balance = lost[1]?.balance
  expect(audit({ accounts: lost, journal }, told)).toEqual([
    'the balances sum up to 6000005, not 6000000',
    `account 2 has ${balance}, its journal says ${(balance ?? 0) - 5}`,
  ])
})

it('draws transfers between two different accounts, in both orders, the same ones from the same seed', () => {
  const many = Array.from({ length: 1_000 }, (_, id) => transferOf(id, 1, accountCount))
  expect(many).toEqual(Array.from({ length: 1_000 }, (_, id) => transferOf(id, 1, accountCount)))
  expect(many.filter(({ debtor, creditor }) => debtor === creditor)).toEqual([])
  const pairs = new Set(many.map(({ debtor, creditor, debtorFirst }) => `${debtor} ${creditor} ${debtorFirst}`))
  expect(pairs.size).toBe(accountCount * (accountCount - 1) * 2)
})
