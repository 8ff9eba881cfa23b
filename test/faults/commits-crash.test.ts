// That the crash in the scenario of that name is one: a look-up that believes all that the server says about a number is
// right about every cut, and wrong after a crash.

import { describe, expect, it } from '@jest/globals'
import { run } from './run.js'
import { crash, cut } from './scenarios.js'
import { trusting } from './trusting.js'
import { useCrashingPlace } from './use-crashing-place.js'
import { counted } from './verdict.js'

/** About every second shows it. */
const rounds = 20
const place = useCrashingPlace(3 * rounds)
const seed = Math.floor(Math.random() * 2 ** 31)

describe(trusting.name, () => {
  it('connections are cut at COMMIT: each transfer is done as its caller was told', async () => {
    const { verdict, struck } = await run(place(), { ...cut, subject: trusting, seed, transfers: 100, hangMs: 20_000 })
    expect({ seed, findings: verdict.findings }).toEqual({ seed, findings: [] })
    expect(Object.keys(struck).length).toBeGreaterThan(1)
  })

  it('the server crashes: what was lost is taken for done, its number being that of a stranger', async () => {
    const { server } = place()
    const found: ReturnType<typeof counted>[] = []
    for (let round = 0; round < rounds && found.every(({ lost }) => lost === undefined); round += 1) {
      const options = { ...crash(server), subject: trusting, seed: seed + round, transfers: 150, hangMs: 20_000 }
      found.push(counted((await run(place(), options)).verdict.findings))
    }
    expect({ seed, found: found.at(-1) }).toMatchObject({ seed, found: { lost: expect.any(Number) } })
  })
})
