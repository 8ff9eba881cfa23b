// Transfers by many workers on a place where COMMITs meet faults, until all are settled or given up; and the judgement.

import { seeded } from '../soak/random.js'
import type { Admin } from '../support/admin.js'
import type { FaultProxy } from '../support/proxy.js'
import { type CommitFault, CommitFaults, transferId } from './commit-faults.js'
import type { Entry, Opening, Told, Transfer } from './history.js'
import { openLedger, readLedger, sealLedger } from './ledger.js'
import type { Bank, Subject } from './subject.js'
import { judge, type Verdict } from './verdict.js'

export interface Place {
  /** Of the database, past the proxy. */
  readonly url: string
  readonly admin: Admin
  readonly proxy: FaultProxy
  /** How often its server has crashed so far, whether it does now, and when it is back. Without it never. */
  readonly crashes?: { readonly count: number; readonly underWay: boolean; over(): Promise<void> } | undefined
}

export interface RunOptions {
  readonly subject: Subject
  readonly faults: readonly CommitFault[]
  readonly seed: number
  readonly transfers: number
  /** How many COMMITs meet a fault, from 0 to 1. Default 0.3. */
  readonly share?: number | undefined
  /** How many questions what became of a COMMIT are cut, from 0 to 1. Default 0. */
  readonly questions?: number | undefined
  /** Default 8. */
  readonly workers?: number | undefined
  /** Default: as many as there are workers. */
  readonly connections?: number | undefined
  /** Between how many accounts the money moves; the fewer, the more wait for each other. Default 100. */
  readonly accounts?: number | undefined
  /** How long a caller waits for one transfer. */
  readonly hangMs: number
  /** After so many waits in vain no other transfer is begun. Default 4. */
  readonly mostHangs?: number | undefined
  /** Begins no other transfer once it fires. */
  readonly signal?: AbortSignal | undefined
}

export interface RunResult {
  readonly verdict: Verdict
  readonly history: readonly Entry[]
  readonly commits: number
  /** How often each fault has struck. */
  readonly struck: Readonly<Record<string, number>>
  readonly crashes: number
  readonly seconds: number
}

const applicationName = 'moorings-faults'
const balance = 10_000
/** A stock client whose connections hang may never be closed. */
const closeMs = 15_000

export async function run(place: Place, options: RunOptions): Promise<RunResult> {
  const { admin, proxy, crashes } = place
  const { subject, faults, seed, share = 0.3, questions, workers = 8, connections = workers, accounts = 100 } = options
  const opening: Opening = { accounts, balance }
  await openLedger(admin, opening)
  const crashesBefore = crashes?.count ?? 0
  const commitFaults = new CommitFaults({ proxy, seed, faults, share, questions })
  const startedAt = performance.now()
  const url = new URL(proxy.through(place.url))
  url.searchParams.set('application_name', applicationName)
  const bank = subject.open(url.href, connections)
  const told = await underWay(place, bank, options)
  const seconds = (performance.now() - startedAt) / 1_000
  commitFaults.stop()
  await crashes?.over()
  proxy.resetAll()
  await within(closeMs, bank.close())
  // From here on nobody comes through.
  proxy.refuse()
  proxy.resetAll()
  await sealLedger(admin, applicationName)
  const holdings = await readLedger(admin)
  await proxy.restore()
  const history = told.map((entry) => ({ ...entry, struck: commitFaults.of(entry.transfer.id) }))
  const { commits, struck } = commitFaults
  const verdict = judge(history, holdings, opening)
  return { verdict, history, commits, struck, crashes: (crashes?.count ?? 0) - crashesBefore, seconds }
}

type Unmarked = Omit<Entry, 'struck'>

async function underWay({ crashes }: Place, bank: Bank, options: RunOptions): Promise<Unmarked[]> {
  const { subject, seed, transfers, workers = 8, accounts = 100, hangMs, mostHangs = 4, signal } = options
  const history: Unmarked[] = []
  let next = 1
  let hangs = 0
  const work = async () => {
    while (next <= transfers && hangs < mostHangs && signal?.aborted !== true) {
      const transfer = inventTransfer(next++, { seed, accounts })
      const crashing = crashes?.underWay === true
      const crashesBefore = crashes?.count
      const { told, error } = await ask(bank, subject, transfer, hangMs)
      if (told === 'hung') hangs += 1
      const unknowable = crashing || crashes?.count !== crashesBefore
      history.push({ transfer, told, unknowable, error })
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  return history
}

export function inventTransfer(number: number, { seed, accounts }: { seed: number; accounts: number }): Transfer {
  const random = seeded(seed ^ Math.imul(number, 0xc2b2ae35))
  const upTo = (limit: number) => Math.floor(random() * limit)
  const debited = 1 + upTo(accounts)
  // Any but that one.
  const credited = 1 + ((debited + upTo(accounts - 1)) % accounts)
  return { id: transferId(number), debited, credited, amount: 1 + upTo(100) }
}

async function ask(
  bank: Bank,
  subject: Subject,
  transfer: Transfer,
  hangMs: number,
): Promise<{ told: Told; error?: string }> {
  const answer = bank.transfer(transfer).then(
    () => ({ told: 'acknowledged' as const }),
    (error: unknown) => ({ told: subject.reads(error), error: String(error) }),
  )
  return (await within(hangMs, answer)) ?? { told: 'hung' }
}

/** Undefined when there is nothing by then. */
async function within<T>(limitMs: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limitMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
