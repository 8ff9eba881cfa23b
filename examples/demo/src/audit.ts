// Compares what the application was told with what the database holds.

import type { Transfer } from './bank.js'
import type { Books, Outcome } from './books.js'

/** What a bank's tables hold. */
export interface Vault {
  readonly balances: ReadonlyMap<number, number>
  readonly ledger: readonly Transfer[]
}

export interface Audit {
  /** Rows in the ledger by what the application had been told of their transfer; `stranger`: it never made it. */
  readonly found: Readonly<Record<Outcome | 'stranger', number>>
  readonly sumKept: boolean
  /** What is wrong, in words; empty when the books balance. */
  readonly findings: readonly string[]
}

export function audit(books: Books, vault: Vault, opening: { accounts: number; balance: number }): Audit {
  const found = { acknowledged: 0, unknown: 0, failed: 0, stranger: 0 }
  const expected = new Map<number, number>()
  for (let account = 1; account <= opening.accounts; account++) expected.set(account, opening.balance)
  const add = (account: number, change: number) => expected.set(account, (expected.get(account) ?? 0) + change)
  // The ledger's primary key is the transfer's id, so none can be there twice.
  for (const { id, debited, credited, amount } of vault.ledger) {
    found[books.outcomes.get(id) ?? 'stranger']++
    add(debited, -amount)
    add(credited, amount)
  }

  const findings: string[] = []
  const acknowledged = books.count('acknowledged')
  const missing = acknowledged - found.acknowledged
  if (acknowledged === 0) findings.push('not one transfer was acknowledged')
  if (missing > 0) findings.push(`${missing} acknowledged transfers are not in the ledger`)
  if (found.failed > 0) findings.push(`${found.failed} transfers reported as failed are in the ledger`)
  if (found.stranger > 0) findings.push(`${found.stranger} rows in the ledger belong to no transfer`)

  const sum = total(vault.balances.values())
  const sumKept = sum === opening.accounts * opening.balance
  if (!sumKept) findings.push(`the balances add up to ${sum} instead of ${opening.accounts * opening.balance}`)
  const wrong = [...expected].filter(([account, balance]) => vault.balances.get(account) !== balance).length
  if (wrong > 0) findings.push(`${wrong} accounts hold something else than the ledger says`)

  const [untyped] = books.untyped
  if (untyped !== undefined) findings.push(`${books.untyped.length} errors had no type of ours, as ${String(untyped)}`)
  return { found, sumKept, findings }
}

function total(numbers: Iterable<number>): number {
  let sum = 0
  for (const number of numbers) sum += number
  return sum
}
