// What the bank is asked to do: transfers between few accounts, each of them decided by its number and the seed.

import { seeded } from '../soak/random.js'

/** So much that no transfer is ever refused for want of money. */
export const openingBalance = 1_000_000

export type Isolation = 'read committed' | 'serializable'

export interface Transfer {
  readonly id: number
  readonly debtor: number
  readonly creditor: number
  readonly amount: number
  /** Which account comes first: two transfers that disagree lock each other out. */
  readonly debtorFirst: boolean
}

export function transferOf(id: number, seed: number, accounts: number): Transfer {
  const random = seeded(seed ^ Math.imul(id, 0x9e3779b1))
  const debtor = 1 + Math.floor(random() * accounts)
  const creditor = 1 + ((debtor + Math.floor(random() * (accounts - 1))) % accounts)
  return { id, debtor, creditor, amount: 1 + Math.floor(random() * 100), debtorFirst: random() < 0.5 }
}

export interface Change {
  readonly account: number
  readonly by: number
}

/** In the order in which the transfer touches them. */
export function changesOf({ debtor, creditor, amount, debtorFirst }: Transfer): readonly Change[] {
  const debit = { account: debtor, by: -amount }
  const credit = { account: creditor, by: amount }
  return debtorFirst ? [debit, credit] : [credit, debit]
}
