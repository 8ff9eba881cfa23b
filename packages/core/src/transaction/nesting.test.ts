// Whatever transactions do in each other, and whatever befalls them: what was promised is in the database, once, and
// nothing else is.

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { trialOf } from '../testing/model-property.js'
import { type Outcome, type Program, programs } from '../testing/nesting.js'
import { NestingModel } from '../testing/nesting-model.js'
import { NestingRun } from '../testing/nesting-run.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { expectNothingHeld } from '../testing/retrying.js'

async function check(program: Program): Promise<Outcome> {
  const run = new NestingRun()
  const expected = new NestingModel().outcome(program)
  expect(await run.outcome(program)).toEqual(expected)
  expect(run.wrong).toEqual([])
  expectNothingHeld(run.setup)
  await run.setup.pool.close()
  await expectNothingLeft(run.setup)
  return expected
}

describe('transactions in each other', () => {
  it('keep what was committed, each write once, whatever befalls them', async () => {
    const { runs, seed, path } = trialOf(process.env, { runs: 300, seed: 2 })
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const { result, kept, counts } = await check(program)
        seen.add(result)
        if (kept.length > 0) seen.add('kept')
        for (const [name, count] of Object.entries(counts)) if (count > 0) seen.add(name)
      }),
      { numRuns: runs, ...(seed !== undefined && { seed }), ...(path !== undefined && { path }) },
    )
    if (process.env.MOORINGS_RUNS !== undefined || path !== undefined) return
    // Else it would say little.
    const all = ['done', 'failed', 'exhausted', 'unknown', 'kept', 'committed', 'rolledBack', 'conflict', 'lost']
    expect([...seen].sort()).toEqual(all.sort())
  }, 600_000)
})
