// The small parts that the pool's own paths are made of, against the cheapest of them: one look at the clock. A breaker,
// against the same call without one. And what is made of an error that the server or a socket reports, against making an
// error at all.

import { Breaker, backoffDelay, connectBackoff, Deadlines, systemClock } from '@moorings/core'
import { createPool } from '@moorings/postgres'
import type { Bench, Work } from './harness.js'

export const micro: Bench = {
  name: 'micro',
  contests: [
    {
      name: 'parts of the pool',
      operations: 1_000_000,
      subjects: [
        { name: 'systemClock.now()', start: async () => clock },
        { name: 'a deadline set and met', start: deadline },
        { name: 'backoffDelay()', start: async () => backoff },
      ],
    },
    {
      name: 'a call',
      operations: 200_000,
      subjects: [
        { name: 'without a breaker', start: async () => called((action) => action()) },
        { name: 'behind a closed breaker', start: async () => behind(() => {}) },
        { name: 'refused by an open one', start: async () => behind((breaker) => breaker.forceOpen()) },
      ],
    },
    {
      name: 'an error, classified',
      operations: 50_000,
      subjects: [
        { name: 'new Error()', start: async () => errors(() => new Error('made')) },
        { name: 'a unique violation', start: async () => classified(uniqueViolation) },
        { name: 'a deadlock', start: async () => classified({ code: '40P01', severity: 'ERROR' }) },
        { name: 'a syntax error', start: async () => classified({ code: '42601', severity: 'ERROR' }) },
        { name: 'a connection reset', start: async () => classified({ code: 'ECONNRESET', syscall: 'read' }) },
      ],
    },
  ],
}

const clock: Work = {
  async run(operations) {
    let sum = 0
    for (let n = 0; n < operations; n++) sum += systemClock.now()
    return sum
  },
}

async function deadline(): Promise<Work> {
  const deadlines = new Deadlines(systemClock)
  const passed = () => {}
  return {
    async run(operations) {
      let sum = 0
      for (let n = 0; n < operations; n++) {
        const deadline = deadlines.add(30_000, passed)
        sum += deadline.at
        deadlines.delete(deadline)
      }
      return sum
    },
    end: async () => deadlines.clear(),
  }
}

const backoff: Work = {
  async run(operations) {
    let sum = 0
    for (let n = 0; n < operations; n++) sum += backoffDelay(connectBackoff, 1 + (n % 16))
    return sum
  },
}

/** How `call` takes a call that has its answer at once. */
function called(call: (action: () => Promise<number>) => Promise<number>): Work {
  const action = async () => 1
  return {
    async run(operations) {
      let sum = 0
      for (let n = 0; n < operations; n++) sum += await call(action).catch(() => 2)
      return sum
    },
  }
}

function behind(prepare: (breaker: Breaker) => void): Work {
  const breaker = new Breaker({ name: 'bench', kind: 'external' })
  prepare(breaker)
  return { ...called((action) => breaker.run(action)), end: async () => breaker.shutdown() }
}

const uniqueViolation = {
  code: '23505',
  severity: 'ERROR',
  schema_name: 'public',
  table_name: 'accounts',
  constraint_name: 'accounts_pkey',
  detail: 'Key (id)=(1) already exists.',
}

/** As the pool does it when a statement fails. It never connects. */
function classified(fields: object): Work {
  const { driver } = createPool('postgres://nobody@127.0.0.1/nothing')
  const error = Object.assign(new Error('reported'), fields)
  return errors(() => driver.classify(error, 'statement'))
}

function errors(make: () => Error): Work {
  return {
    async run(operations) {
      let sum = 0
      for (let n = 0; n < operations; n++) sum += make().message.length
      return sum
    },
  }
}
