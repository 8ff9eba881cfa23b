// The bank in small: 24 workers, six accounts, random order. How it compares, and with thousands: `npm run bank`.

import { beforeAll, describe, expect, it } from '@jest/globals'
import { serverUrl } from '../support/database.js'
import { Branch, type Outcome } from './branch.js'
import { oursDrizzle, oursDrizzleFunction, oursKysely } from './ours.js'
import { nameOf } from './report.js'
import type { Subject } from './subject.js'
import { type Isolation, transferOf } from './transfers.js'

const workers = 24
const accounts = 6
const seed = Math.floor(Math.random() * 2 ** 31)

describe.each<Isolation>(['read committed', 'serializable'])('%s', (isolation) => {
  const subjects: readonly [name: string, subject: Subject, count: number][] = [
    ["Drizzle's own db.transaction", oursDrizzle(), 300],
    ["Drizzle's withTransaction", oursDrizzleFunction(), 100],
    ["Kysely's withTransaction", oursKysely(), 300],
  ]
  let plays = new Map<Subject, Play>()

  // At the same time: most of it is waiting.
  beforeAll(async () => {
    const all = subjects.map(async ([, subject, count]) => [subject, await played(subject, isolation, count)] as const)
    plays = new Map(await Promise.all(all))
  }, 120_000)

  it.each(subjects)('no error reaches a caller of %s, and each transfer is made once', (_, subject, count) => {
    const { outcomes = [], findings } = plays.get(subject) ?? {}
    expect({ seed, errors: errorsIn(outcomes), findings }).toEqual({ seed, errors: {}, findings: [] })
    expect(outcomes).toHaveLength(count)
    // Otherwise nobody was in anybody's way, and nothing was shown.
    expect(outcomes.filter(({ attempts }) => attempts > 1)).not.toEqual([])
  })

  it.each([
    ['Drizzle', oursDrizzle('no retries', false)],
    ['Kysely', oursKysely('no retries', false)],
  ])('with retries turned off, callers of %s get the conflicts, and what failed is not there', async (_, subject) => {
    const { outcomes, findings } = await played(subject, isolation, 72)
    const {
      'DeadlockError 40P01': deadlocks = 0,
      'SerializationError 40001': conflicts = 0,
      ...others
    } = errorsIn(outcomes)
    expect({ seed, others, findings }).toEqual({ seed, others: {}, findings: [] })
    expect(deadlocks + conflicts).toBeGreaterThan(0)
    expect(outcomes.filter(({ attempts }) => attempts !== 1)).toEqual([])
  })
})

interface Play {
  readonly outcomes: readonly Outcome[]
  readonly findings: readonly string[]
}

async function played(subject: Subject, isolation: Isolation, count: number): Promise<Play> {
  const settings = { isolation, accounts, connections: workers, deadlockTimeoutMs: 10 }
  const branch = await Branch.open(subject, serverUrl(), settings)
  try {
    const transfers = Array.from({ length: count }, (_, id) => transferOf(id, seed, accounts))
    return { outcomes: await branch.carryOut(transfers), findings: await branch.audit() }
  } finally {
    await branch.close()
  }
}

function errorsIn(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { error } of outcomes) {
    if (error !== undefined) counts[nameOf(error)] = (counts[nameOf(error)] ?? 0) + 1
  }
  return counts
}
