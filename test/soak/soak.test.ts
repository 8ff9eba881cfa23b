// The soak in short, on the tests' server, with faults of the server only. The long one is `npm run soak`.

import { expect, it } from '@jest/globals'
import { useDatabase } from '../support/use-database.js'
import { Faults } from './faults.js'
import { seeded } from './random.js'
import { soak } from './soak.js'

const database = useDatabase()
const applicationName = 'soak'
/** Some ten seconds, if nobody else is at work. */
const busyMachineMs = 180_000

it(
  '10,000 operations while backends are terminated end with nothing lent, lost or left, and no more on the heap',
  async () => {
    const { admin } = database
    const url = new URL(database.url)
    url.searchParams.set('application_name', applicationName)
    const seed = Math.floor(Math.random() * 2 ** 31)
    const faults = new Faults({ admin, applicationName, random: seeded(seed) })
    const { findings, before, after, backends } = await soak({
      url: url.href,
      admin,
      operations: 10_000,
      load: { seed, callers: 24, statementTimeoutMs: 10_000 },
      attack: (signal) => faults.run(signal),
    })
    // Everything that must hold is in questions.ts, with the limit of the heap.
    expect({ seed, findings }).toEqual({ seed, findings: [] })
    expect(after.tally.settled - before.tally.settled).toBe(10_000)
    expect(after.counts).toMatchObject({ leased: 0, waiting: 0, idle: backends.atRest })
    expect(faults.struck['backend terminated']).toBeGreaterThan(0)
  },
  busyMachineMs,
)
