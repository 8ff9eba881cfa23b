// The small parts that the pool's own paths are made of, against the cheapest of them: one look at the clock.

import { backoffDelay, connectBackoff, Deadlines, systemClock } from '@moorings/core'
import type { Bench, Work } from './harness.js'

export const micro: Bench = {
  name: 'micro',
  contests: [
    {
      name: 'parts of the pool',
      operations: 1_000_000,
      time: 'processor',
      subjects: [
        { name: 'systemClock.now()', start: async () => clock },
        { name: 'a deadline set and met', start: deadline },
        { name: 'backoffDelay()', start: async () => backoff },
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
