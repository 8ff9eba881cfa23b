// The harness itself: that it finds what is wrong with systems that are wrong on purpose; and that each kind of ground
// serves it.

import { afterAll, describe, expect, test } from '@jest/globals'
import { type Cell, runCell, type Timing } from './cell.js'
import { type Fault, faults } from './faults.js'
import { Grounds } from './ground.js'
import { cellLine, report } from './report.js'

/** Short, but not so that a busy machine looks like a call that hangs. */
const timing: Timing = { limitMs: 2_000, graceMs: 1_000, afterMs: 1_000, scale: 0.1 }

const grounds = new Grounds()
afterAll(() => grounds.close(), 60_000)

const nothing: Fault = { name: 'nothing', what: 'Nothing happens.', strike: async () => {} }

function named(name: string): Fault {
  const fault = faults.find((one) => one.name === name)
  if (!fault) throw new Error(`there is no fault "${name}"`)
  return fault
}

function run(fault: Fault, system: string): Promise<Cell> {
  return runCell(grounds, fault, system, timing)
}

/** What there is of what should not be. */
function flawsOf(cell: Cell): string[] {
  if ('failed' in cell) return [cell.failed]
  const { errors, hung, uncaught, lost, duplicated, torn } = cell
  const flaws = Object.entries({ errors, hung, uncaught, lost, duplicated, torn })
  return flaws.filter(([, count]) => count > 0).map(([name]) => name)
}

describe('a system that is wrong on purpose', () => {
  test.each([
    ['forgets', ['lost']],
    ['repeats', ['duplicated']],
    ['denies', ['errors', 'duplicated']],
    ['hangs', ['hung']],
    ['throws', ['uncaught']],
  ])('%s, of which the harness finds: %j', async (system, found) => {
    expect(flawsOf(await run(nothing, system))).toEqual(found)
  })

  test('is told from one that cannot be measured', async () => {
    const cell = await run(nothing, 'nobody')
    expect(cell).toEqual({ failed: expect.stringContaining('there is no system "nobody"') })
    expect(cellLine(named('crash'), 'nobody', cell)).toContain('crash: nobody: FAILED: the process under load ended')
  })
})

describe('a sound system', () => {
  test('has no flaw when its idle connections are killed, and is back', async () => {
    const cell = await run(named('idle connections killed'), 'kysely + moorings')
    expect(flawsOf(cell)).toEqual([])
    expect(cell).toMatchObject({ backMs: expect.any(Number), said: {} })
  })

  test.each(['crash', 'fail-over', 'changed DNS name', 'DNS hangs'])(
    'may see errors, but nothing worse, and is back after: %s',
    async (fault) => {
      const cell = await run(named(fault), 'drizzle + moorings')
      expect(flawsOf(cell).filter((flaw) => flaw !== 'errors')).toEqual([])
      expect(cell).toMatchObject({ backMs: expect.any(Number) })
    },
  )
})

test('the report shows each cell, what should not be in bold, and what was not measured', () => {
  const fine = {
    ...{ calls: 90, done: 80, errors: 1, worstMs: 1_234, backMs: 12 },
    ...{ hung: 0, uncaught: 0, lost: 0, duplicated: 0, torn: 0, said: { 'gone | away': 1 } },
  }
  const cells = new Map<string, Cell>([
    ['ours', fine],
    ['theirs', { ...fine, backMs: undefined, hung: 3, lost: 2 }],
    ['other', { failed: 'it did not start' }],
  ])
  const text = report([{ fault: named('accepted, then closed'), cells }], { timing, versions: 'V 1', machine: 'M' })
  const lines = text.split('\n')
  expect(lines).toContain(
    '| [accepted, then closed](#accepted-then-closed) | 1 error, 12 ms | 1 error, **never back**, **3 hung**, **2 lost** | not measured |',
  )
  expect(lines).toContain(
    '|  | calls | done | errors | worst | back | hung | uncaught | lost | duplicated | torn | most said |',
  )
  expect(lines).toContain('| ours | 90 | 80 | 1 | 1.2 s | 12 ms | 0 | 0 | 0 | 0 | 0 | 1 × gone \\| away |')
  expect(lines).toContain(
    '| theirs | 90 | 80 | 1 | 1.2 s | **never** | **3** | 0 | **2** | 0 | 0 | 1 × gone \\| away |',
  )
  expect(lines).toContain('| other | not measured: it did not start |')
})
