// Random sequences of all that can happen to a pool, against a model of what it may do: `npm run test:long` tries more of
// them. A failure is told as the shortest sequence found, with how to have it again.

import { it } from '@jest/globals'
import { fault, trialOf } from '../testing/model-property.js'

const trial = trialOf(process.env, { runs: 300, seed: 1 })

it(
  `whatever happens to a pool, it does as a pool must (${trial.runs} sequences)`,
  async () => {
    const found = await fault(trial)
    if (found !== undefined) throw new Error(found.report)
  },
  Math.max(300_000, trial.runs * 100),
)
