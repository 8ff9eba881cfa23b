// Overload in small: ten times as many requests as the server can work off, each with a deadline, in the two orders of the
// same pool, at the same time. How it compares, and at full length: `npm run overload`.

import { inspect } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import { serverUrl } from '../support/database.js'
import { type Figures, measure } from './load.js'
import { oursDrizzle, oursDrizzleTransaction, oursKysely } from './ours.js'
import type { Subject } from './subject.js'

const deadlineMs = 1_000
const connections = 4

async function underOverload(subject: Subject): Promise<Figures> {
  const service = subject.open({ url: serverUrl(), connections, workMs: 100, deadlineMs })
  try {
    const plan = { connections, deadlineMs, factor: 10, capacityMs: 1_000, leadMs: 2_000, overloadMs: 2_500 }
    return await measure(service, { ...plan, patienceMs: 20_000 })
  } finally {
    await service.close()
  }
}

function asPromised([ours, inOrder]: readonly Figures[]): boolean {
  if (ours === undefined || inOrder === undefined) return false
  return ours.useful > 3 * inOrder.useful && ours.normalAfterMs !== undefined
}

describe.each([
  ['Drizzle, told by acquireTimeoutMs', oursDrizzle('adaptive'), oursDrizzle('fifo')],
  ["Drizzle's transactions, told by timeoutMs", oursDrizzleTransaction('adaptive'), oursDrizzleTransaction('fifo')],
  ['Kysely, told by acquireTimeoutMs', oursKysely('adaptive'), oursKysely('fifo')],
  ['Kysely, told by a signal', oursKysely('adaptive', 'signal'), oursKysely('fifo', 'signal')],
])('F5: %s', (_, adaptive, fifo) => {
  it('answers more than three times as many in time as a pool that keeps the order of arrival, and is back to normal', async () => {
    // Where the machine has no time for either, the comparison says nothing: then it is made again.
    const seen: Figures[][] = []
    do {
      seen.push(await Promise.all([underOverload(adaptive), underOverload(fifo)]))
    } while (!seen.some(asPromised) && seen.length < 3)
    expect(seen.some(asPromised) || inspect(seen, { depth: 4 })).toBe(true)
  })
})
