// The judgement over a run: holds what the callers were told against what the database holds. Knows no database, and
// nothing of how the transfers were made.

import type { Entry, Holdings, Opening, Told, Transfer } from './history.js'

/**
 * - `lost`: acknowledged, and not there
 * - `duplicate`: there more than once, whatever was told
 * - `rejected but there`
 * - `needless doubt`: told as unknown, although the server could be asked
 * - `strange error`, `hang`: the caller was told nothing to go by
 * - `altered`: there, with other accounts or another amount
 * - `stranger`: a row that belongs to no transfer
 * - `sum`: money has come or gone
 * - `balance`: an account holds something else than the journal says
 * - `nothing`: not one transfer was acknowledged, so that nothing is shown
 */
export type FindingKind =
  | 'lost'
  | 'duplicate'
  | 'rejected but there'
  | 'needless doubt'
  | 'strange error'
  | 'hang'
  | 'altered'
  | 'stranger'
  | 'sum'
  | 'balance'
  | 'nothing'

export interface Finding {
  readonly kind: FindingKind
  readonly text: string
}

export interface Verdict {
  /** Empty when each transfer was done exactly as its caller was told, and no money has come or gone. */
  readonly findings: readonly Finding[]
  readonly told: Readonly<Record<Told, number>>
  /** Of those told as unknown: how many are there. */
  readonly unknownButThere: number
}

export function judge(history: readonly Entry[], holdings: Holdings, opening: Opening): Verdict {
  const findings: Finding[] = []
  const find = (kind: FindingKind, text: string) => findings.push({ kind, text })
  const told = { acknowledged: 0, rejected: 0, unknown: 0, strange: 0, hung: 0 }
  let unknownButThere = 0

  const rows = byId(holdings.journal)
  const made = new Set<string>()
  for (const entry of history) {
    const { id } = entry.transfer
    if (made.has(id)) throw new Error(`the history has two entries for ${id}`)
    made.add(id)
    told[entry.told] += 1
    const there = rows.get(id) ?? []
    if (entry.told === 'unknown' && there.length > 0) unknownButThere += 1
    for (const kind of wrongWith(entry, there)) find(kind, describe(entry, there.length))
  }
  for (const [id, there] of rows) {
    if (!made.has(id)) find('stranger', `${id} is there ${times(there.length)}, and nobody made it`)
  }
  if (told.acknowledged === 0) find('nothing', 'not one transfer was acknowledged')

  const before = opening.accounts * opening.balance
  const after = total(holdings.balances.values())
  if (after !== before) find('sum', `the balances add up to ${after} instead of ${before}`)
  for (const [account, expected] of balancesBy(holdings.journal, opening)) {
    const balance = holdings.balances.get(account)
    if (balance !== expected) find('balance', `account ${account} holds ${balance}, by the journal it is ${expected}`)
  }
  return { findings, told, unknownButThere }
}

/** How often each kind was found. */
export function counted(findings: readonly Finding[]): Partial<Record<FindingKind, number>> {
  const counts: Partial<Record<FindingKind, number>> = {}
  for (const { kind } of findings) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

function wrongWith(entry: Entry, there: readonly Transfer[]): FindingKind[] {
  const kinds: FindingKind[] = []
  if (entry.told === 'acknowledged' && there.length === 0) kinds.push('lost')
  if (there.length > 1) kinds.push('duplicate')
  if (entry.told === 'rejected' && there.length > 0) kinds.push('rejected but there')
  if (entry.told === 'unknown' && !entry.unknowable) kinds.push('needless doubt')
  if (entry.told === 'strange') kinds.push('strange error')
  if (entry.told === 'hung') kinds.push('hang')
  if (there.some((row) => !same(row, entry.transfer))) kinds.push('altered')
  return kinds
}

function describe({ transfer, told, error, struck }: Entry, there: number): string {
  const why = error === undefined ? '' : ` (${error})`
  const faults = struck.length === 0 ? 'no fault struck it' : `struck by ${struck.join(', ')}`
  return `${transfer.id}: ${told}${why}, and there ${times(there)}; ${faults}`
}

function times(count: number): string {
  if (count === 0) return 'not at all'
  return count === 1 ? 'once' : `${count} times`
}

function same(a: Transfer, b: Transfer): boolean {
  return a.debited === b.debited && a.credited === b.credited && a.amount === b.amount
}

function byId(journal: readonly Transfer[]): Map<string, Transfer[]> {
  const rows = new Map<string, Transfer[]>()
  for (const row of journal) {
    const before = rows.get(row.id)
    if (before === undefined) rows.set(row.id, [row])
    else before.push(row)
  }
  return rows
}

/** What each account holds if all that the journal says was done, and nothing else. */
function balancesBy(journal: readonly Transfer[], { accounts, balance }: Opening): Map<number, number> {
  const balances = new Map<number, number>()
  for (let account = 1; account <= accounts; account += 1) balances.set(account, balance)
  const add = (account: number, change: number) => balances.set(account, (balances.get(account) ?? 0) + change)
  for (const { debited, credited, amount } of journal) {
    add(debited, -amount)
    add(credited, amount)
  }
  return balances
}

function total(numbers: Iterable<number>): number {
  let sum = 0
  for (const number of numbers) sum += number
  return sum
}
