// The benches run through and print every row. How fast anything was is for people to judge, on a machine at rest.

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import { benches } from './benches.js'
import { type Result, spread } from './harness.js'

/** Built by `tsc -b`, as it runs on the packages' own exports. */
const main = fileURLToPath(new URL('../dist/bench/main.js', import.meta.url))

async function bench(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args])
  return stdout
}

describe('npm run bench -- --quick', () => {
  it.each(benches.map(({ name, contests }) => [name, contests] as const))(
    'prints a row for everything in %s, its numbers also as JSON',
    async (name, contests) => {
      const folder = await mkdtemp(join(tmpdir(), 'moorings-bench-'))
      try {
        const json = join(folder, 'results.json')
        const printed = await bench(name, '--quick', '--rounds', '3', '--json', json)
        const { results }: { results: Result[] } = JSON.parse(await readFile(json, 'utf8'))

        expect(results.map(({ contest }) => contest)).toEqual(contests.map(({ name }) => name))
        for (const [index, { subjects }] of contests.entries()) {
          const { rows = [] } = results[index] ?? {}
          expect(rows.map(({ subject }) => subject)).toEqual(subjects.map(({ name }) => name))
          expect(rows[0]?.ratio).toEqual({ median: 1, low: 1, high: 1 })
          for (const { subject, ratio, nanoseconds, allocated } of rows) {
            expect(printed).toContain(`\n${subject} `)
            for (const number of [...Object.values(ratio), ...Object.values(nanoseconds), allocated]) {
              expect(number).toBeGreaterThan(0)
            }
          }
          // A waiter left behind each time is some 500 bytes; compilers, in so short a run, leave some 20.
          for (const { subject, kept } of rows) if (subject.startsWith('moorings')) expect(kept).toBeLessThan(100)
        }
      } finally {
        await rm(folder, { recursive: true })
      }
    },
    // Some ten seconds of work; on a machine that has other things to do it takes its time.
    300_000,
  )

  it('knows its benches', async () => {
    await expect(bench('pol')).rejects.toMatchObject({
      code: 2,
      stderr: 'There is no bench "pol"; there are: pool, micro\n',
    })
  })
})

it('tells the median and the quartiles, between two values where none is in the middle', () => {
  expect(spread([4, 1, 3, 2, 5])).toEqual({ median: 3, low: 2, high: 4 })
  expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25 })
})
