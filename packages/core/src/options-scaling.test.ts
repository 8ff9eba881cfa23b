// `pool.scaling`, which is false or an object with rules of its own.

import { describe, expect, it } from '@jest/globals'
import { resolveResilience } from './options.js'
import { problemsWith } from './testing/problems-with.js'

describe('scaling', () => {
  const problemsInside = (scaling: unknown) => problemsWith({ pool: { scaling } })

  it('takes any part of its settings, and fills in the rest', () => {
    const { scaling } = resolveResilience({ pool: { scaling: { up: 1, down: 0, everyMs: 1 } } }).pool
    expect(scaling).toEqual({ up: 1, down: 0, step: 0.2, everyMs: 1 })
  })

  it('is false or an object, and says so when it is neither', () => {
    for (const [scaling, given] of [
      [true, 'true'],
      ['auto', '"auto"'],
      [null, 'null'],
    ] as const) {
      const allowed = 'false, or { up, down, step, everyMs }'
      expect(problemsInside(scaling)).toEqual([{ path: 'resilience.pool.scaling', given, allowed }])
    }
  })

  it('names what is wrong inside it, each with its own path', () => {
    expect(problemsInside({ up: 80, down: -1, step: '20%', everyMs: 0, stpe: 1 })).toEqual([
      { path: 'resilience.pool.scaling.up', given: '80', allowed: 'a number from 0 to 1' },
      { path: 'resilience.pool.scaling.down', given: '-1', allowed: 'a number from 0 to 1' },
      { path: 'resilience.pool.scaling.step', given: '"20%"', allowed: 'a number from 0 to 1' },
      { path: 'resilience.pool.scaling.everyMs', given: '0', allowed: expect.stringContaining('milliseconds') },
      { path: 'resilience.pool.scaling.stpe', given: 'a number', allowed: expect.stringContaining('step') },
    ])
  })

  it('refuses an unknown name when all else is well', () => {
    expect(problemsInside({ treshold: 1 })).toEqual([
      {
        path: 'resilience.pool.scaling.treshold',
        given: 'a number',
        allowed: 'nothing by this name; known are up, down, step, everyMs',
      },
    ])
  })

  it('keeps down below up, also when one of them is the default', () => {
    for (const [scaling, given, up] of [
      [{ up: 0.5, down: 0.5 }, '0.5', 0.5],
      [{ down: 0.9 }, '0.9', 0.8],
      [{ up: 0.4 }, 'nothing', 0.4],
    ] as const) {
      const allowed = `a number from 0 to 1, and below up (${up})`
      expect(problemsInside(scaling)).toEqual([{ path: 'resilience.pool.scaling.down', given, allowed }])
    }
  })

  it('compares up and down whatever else is wrong, beside it or inside it', () => {
    const problems = problemsWith({ pool: { max: 'ten', scaling: { up: 0.2, down: 0.3, step: 'x', evryMs: 5 } } })
    expect(problems.map(({ path }) => path).toSorted()).toEqual([
      'resilience.pool.max',
      'resilience.pool.scaling.down',
      'resilience.pool.scaling.evryMs',
      'resilience.pool.scaling.step',
    ])
  })

  it('is said once when one of the two is no share at all', () => {
    expect(problemsInside({ up: '80%', down: 0.9 })).toHaveLength(1)
    expect(problemsInside({ up: 0.2, down: 5 })).toEqual([
      { path: 'resilience.pool.scaling.down', given: '5', allowed: 'a number from 0 to 1' },
    ])
  })
})
