// T7 and the exactly-once part of T15: whatever befalls a COMMIT on its way, its transfer is there once when its caller was
// told so, and not at all when it was told of an error. In short; thousands are made by `npm run exactly-once`.

import { describe, expect, it } from '@jest/globals'
import { oursDrizzle, oursKysely, oursKyselyOwn } from './ours.js'
import { type RunResult, run } from './run.js'
import { cut } from './scenarios.js'
import { useCrashingPlace } from './use-crashing-place.js'

/** Each takes seconds, if nobody else is at work. */
const busyMachineMs = 180_000

const place = useCrashingPlace(0)
const seed = Math.floor(Math.random() * 2 ** 31)

function expectNothingWrong({ verdict }: RunResult): void {
  const { findings, told } = verdict
  // The first few say enough.
  expect({ seed, told, findings: findings.slice(0, 5) }).toEqual({ seed, told, findings: [] })
}

describe.each([oursDrizzle, oursKysely])('$name: each transfer is done as its caller was told', (subject) => {
  it(
    'while connections are cut at COMMIT, and at the question what became of it',
    async () => {
      const result = await run(place(), { ...cut, subject, seed, transfers: 200 })
      expectNothingWrong(result)
      expect(result.struck).toHaveProperty('question cut')
      expect(result.verdict.told.acknowledged).toBeGreaterThan(150)
    },
    busyMachineMs,
  )
})

it(
  `${oursKyselyOwn.name}: an error means that nothing was done`,
  async () => {
    const result = await run(place(), { ...cut, subject: oursKyselyOwn, seed, transfers: 100 })
    expectNothingWrong(result)
    expect(result.verdict.told.rejected).toBeGreaterThan(0)
  },
  busyMachineMs,
)
