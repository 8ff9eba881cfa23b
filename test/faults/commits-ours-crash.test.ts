// T7 and the exactly-once part of T15: whatever befalls the server, or all others, its transfer is there once when its caller was
// told so, and not at all when it was told of an error. In short; thousands are made by `npm run exactly-once`.

import { describe, expect, it } from '@jest/globals'
import { oursDrizzle, oursKysely } from './ours.js'
import { type RunResult, run } from './run.js'
import { blackHole, crash, crowd } from './scenarios.js'
import { useCrashingPlace } from './use-crashing-place.js'

/** Each takes seconds, if nobody else is at work. */
const busyMachineMs = 180_000
const crashesAtMost = 30

const place = useCrashingPlace(crashesAtMost)
const seed = Math.floor(Math.random() * 2 ** 31)

function expectNothingWrong({ verdict }: RunResult): void {
  const { findings, told } = verdict
  // The first few say enough.
  expect({ seed, told, findings: findings.slice(0, 5) }).toEqual({ seed, told, findings: [] })
}

describe.each([oursDrizzle, oursKysely])('$name: each transfer is done as its caller was told', (subject) => {
  it(
    'while COMMITs and answers vanish in a black hole',
    async () => {
      expectNothingWrong(await run(place(), { ...blackHole, subject, seed, transfers: 120 }))
    },
    busyMachineMs,
  )

  it(
    'while a black hole holds the rows that all others wait for',
    async () => {
      expectNothingWrong(await run(place(), { ...crowd, subject, seed, transfers: 100 }))
    },
    busyMachineMs,
  )

  it(
    'while the server crashes under its COMMITs',
    async () => {
      // What is wrong with a crash shows in one of a few.
      for (let round = 0; round < 6; round += 1) {
        const options = { ...crash(place().server), subject, seed: seed + round, transfers: 150 }
        expectNothingWrong(await run(place(), options))
      }
      expect(place().server.count).toBeGreaterThan(0)
    },
    busyMachineMs,
  )
})
