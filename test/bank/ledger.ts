// The tables of the bank, and what must hold in them for everything its callers were told.

import type { Admin } from '../support/admin.js'
import { openingBalance, type Transfer } from './transfers.js'

/** Nothing in the journal is unique: a transfer that was made twice has to show. */
const tables = [
  'create table accounts (id int primary key, balance int not null)',
  'create table journal (transfer int not null, debtor int not null, creditor int not null, amount int not null)',
]

export async function openBooks(admin: Admin, accounts: number): Promise<void> {
  for (const table of tables) await admin.query(table)
  await admin.query('insert into accounts select id, $1 from generate_series(1, $2) id', [openingBalance, accounts])
}

/** What a caller was told of a transfer. */
export interface Told {
  readonly transfer: Transfer
  /** Undefined: it was acknowledged. */
  readonly error: unknown
}

export interface Account {
  readonly id: number
  readonly balance: number
}

export type Entry = Pick<Transfer, 'debtor' | 'creditor' | 'amount'> & { readonly transfer: number }

export interface Books {
  readonly accounts: readonly Account[]
  readonly journal: readonly Entry[]
}

export async function readBooks(admin: Admin): Promise<Books> {
  const accounts = await admin.query<Account>('select id, balance from accounts order by id')
  const journal = await admin.query<Entry>('select transfer, debtor, creditor, amount from journal')
  return { accounts, journal }
}

/** What is wrong, in words; nothing if the books agree with themselves and with what the callers were told. */
export function audit({ accounts, journal }: Books, told: readonly Told[]): string[] {
  const findings: string[] = []
  const sum = accounts.reduce((total, { balance }) => total + balance, 0)
  const invested = accounts.length * openingBalance
  if (sum !== invested) findings.push(`the balances sum up to ${sum}, not ${invested}`)

  const expected = new Map(accounts.map(({ id }) => [id, openingBalance]))
  const entries = new Map<number, Entry[]>()
  for (const entry of journal) {
    expected.set(entry.debtor, (expected.get(entry.debtor) ?? 0) - entry.amount)
    expected.set(entry.creditor, (expected.get(entry.creditor) ?? 0) + entry.amount)
    entries.set(entry.transfer, [...(entries.get(entry.transfer) ?? []), entry])
  }
  for (const { id, balance } of accounts) {
    const due = expected.get(id)
    if (balance !== due) findings.push(`account ${id} has ${balance}, its journal says ${due}`)
  }

  for (const { transfer, error } of told) {
    const found = entries.get(transfer.id) ?? []
    entries.delete(transfer.id)
    const due = error === undefined ? 1 : 0
    const was = error === undefined ? 'was acknowledged' : 'failed'
    if (found.length !== due)
      findings.push(`transfer ${transfer.id} ${was}; its entries in the journal: ${found.length}`)
    if (found.some((entry) => !isOf(entry, transfer))) findings.push(`transfer ${transfer.id} is there as another one`)
  }
  for (const id of entries.keys()) findings.push(`transfer ${id} is there, and nobody was told of it`)
  return findings
}

function isOf({ debtor, creditor, amount }: Entry, transfer: Transfer): boolean {
  return debtor === transfer.debtor && creditor === transfer.creditor && amount === transfer.amount
}
