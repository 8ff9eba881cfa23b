// A run can be repeated: its plan is made of nothing but the seed.

import { describe, expect, it } from '@jest/globals'
import { lanes, strikes } from './plan.js'

function plan(seed: number, { rounds = 3, tempo = 1 } = {}): string[] {
  return lanes.flatMap((lane) => {
    const lines: string[] = []
    const planned = strikes(lane, seed, tempo)
    while (lines.length < rounds * lane.faults.length) {
      const { pauseMs, name, how } = planned.next().value
      lines.push(`${lane.name}: after ${pauseMs} ms ${name}: ${how}`)
    }
    return lines
  })
}

describe('the plan of a chaos run', () => {
  it('is the same from the same seed, with its pauses and how each fault strikes', () => {
    expect(plan(7)).toEqual(plan(7))
    expect(plan(7)).not.toEqual(plan(8))
  })

  it('goes on as it began, however long the run is', () => {
    const [lane] = lanes
    if (!lane) throw new Error('there is no lane')
    const short = plan(7, { rounds: 1 }).slice(0, lane.faults.length)
    expect(plan(7, { rounds: 5 }).slice(0, lane.faults.length)).toEqual(short)
  })

  it.each(lanes)('has each fault of the lane "$name" once before any comes again', ({ name, faults }) => {
    const planned = strikes(lanes.find((lane) => lane.name === name) ?? { name, faults, pauseMs: [0, 0] }, 3, 1)
    for (let round = 0; round < 3; round += 1) {
      const names = faults.map(() => planned.next().value.name)
      expect(names.sort()).toEqual(faults.map((fault) => fault.name).sort())
    }
  })

  it('has shorter pauses in a run of a quicker tempo', () => {
    for (const lane of lanes) {
      const [usual, quick] = [1, 0.1].map((tempo) => strikes(lane, 5, tempo).next().value.pauseMs)
      expect(quick).toBe(Math.round(Number(usual) / 10))
    }
  })
})
