// The benches run through and print every row. How fast anything was is for people to judge, on a machine at rest.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import { benches } from './benches.js'
import type { CrowdRow } from './crowd/crowd.js'
import { curves } from './growth/curves.js'
import type { Grid } from './growth/grid.js'
import { ways } from './growth/ways.js'
import type { Result } from './harness.js'
import { familyNames, loadFamily } from './orms/families.js'
import { loads } from './orms/loads.js'
import type { LoadResult } from './orms/measure.js'
import { wireNames } from './orms/wire.js'
import { peers } from './pool-peers.js'
import { spread } from './spread.js'

/** Built by `tsc -b`, as it runs on the packages' own exports. */
const main = fileURLToPath(new URL('../dist/bench/main.js', import.meta.url))

async function bench(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args])
  return stdout
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'moorings-bench-'))
  try {
    await body(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('npm run bench -- --quick', () => {
  // Some ten seconds of work each, half a minute that of the ORMs; on a machine that has other things to do it takes its time.
  const patience = 300_000

  it.each(benches.map(({ name, contests }) => [name, contests] as const))(
    'prints a row for everything in %s, its numbers also as JSON',
    (name, contests) =>
      inFolder(async (folder) => {
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
      }),
    patience,
  )

  it(
    'puts every load on every subject of orms, over every wire and by every number of callers, and draws what came of it',
    () =>
      inFolder(async (folder) => {
        const json = join(folder, 'results.json')
        const printed = await bench('orms', '--quick', '--json', json, '--charts', join(folder, 'charts'))
        const { loads: results }: { loads: LoadResult[] } = JSON.parse(await readFile(json, 'utf8'))

        const families = await Promise.all(familyNames.map(loadFamily))
        const all = families.flatMap((family) => loads.map((load) => ({ family, load: load.name })))
        expect(results.map(({ family, load }) => ({ family, load }))).toEqual(
          all.map(({ family, load }) => ({ family: family.name, load })),
        )
        expect(new Set(results.map(({ wire }) => wire))).toEqual(new Set(wireNames))
        expect(new Set(results.map(({ callers }) => callers))).toEqual(new Set([1, 10, 100]))
        for (const [place, { family }] of all.entries()) {
          const { rows = [], wire } = results[place] ?? {}
          const expected = family.subjects.filter(({ floor }) => !floor || wire === 'loopback').map(({ name }) => name)
          const served = rows.filter(({ subject }) => subject !== 'pgbench')
          expect(served.map(({ subject }) => subject)).toEqual(expected)
          expect(rows[0]?.ratio).toEqual({ median: 1, low: 1, high: 1 })
          for (const { ratio, perSecond, cpuRatio, cpu, p50Ms, p99Ms, rss, heap } of served) {
            const spreads = [ratio, perSecond, cpuRatio ?? {}, cpu ?? {}].map((one) => Object.values(one))
            expect(spreads.map(({ length }) => length)).toEqual([3, 3, 3, 3])
            for (const number of [...spreads.flat(), p50Ms, p99Ms, rss, heap]) expect(number).toBeGreaterThan(0)
          }
        }
        // Who is not there is not passed over.
        const asked = results.some(({ rows }) => rows.some(({ subject }) => subject === 'pgbench'))
        expect(printed).toContain(asked ? '\npgbench (PostgreSQL) ' : '\npgbench: not found')
        expect(new Set(await readdir(join(folder, 'charts')))).toEqual(
          new Set(all.map(({ family, load }) => `${family.name}-${load}.svg`)),
        )
      }),
    patience,
  )

  it(
    'lets a crowd wait at every pool',
    () =>
      inFolder(async (folder) => {
        const json = join(folder, 'results.json')
        const printed = await bench('crowd', '--quick', '--json', json)
        const { crowd }: { crowd: CrowdRow[] } = JSON.parse(await readFile(json, 'utf8'))
        expect(crowd.map(({ subject }) => subject)).toEqual(Object.keys(peers))
        for (const { subject, ...figures } of crowd) {
          expect(printed).toContain(`\n${subject} `)
          for (const { median } of Object.values(figures)) expect(median).toBeGreaterThan(0)
        }
      }),
    patience,
  )

  it(
    'follows each subject along every curve of growth, and draws it',
    () =>
      inFolder(async (folder) => {
        const json = join(folder, 'results.json')
        const printed = await bench('growth', '--quick', '--json', json, '--charts', join(folder, 'charts'))
        const { growth }: { growth: Grid[] } = JSON.parse(await readFile(json, 'utf8'))
        const read = ['time', 'memory', 'heap'].map((figure) => [`rows-${figure}`, ways.map(({ name }) => name)])
        const asked = curves.flatMap(({ name, subjects }) =>
          ['', '-per-second', '-p99', '-heap'].map((figure) => [`${name}${figure}`, subjects]),
        )
        expect(growth.map(({ name, lines }) => [name, lines.map((line) => line.name)])).toEqual(
          [...asked, ...read].map(([name, subjects]) => [`growth-${name}`, subjects]),
        )
        for (const { title, unit, steps, lines } of growth) {
          expect(printed).toContain(`\n${title}: ${unit}\n`)
          expect(steps).toHaveLength(2)
          for (const { values } of lines) {
            expect(values).toHaveLength(2)
            for (const value of values) expect(value).toBeGreaterThan(0)
          }
        }
        expect(new Set(await readdir(join(folder, 'charts')))).toEqual(
          new Set(growth.filter(({ drawn }) => drawn !== undefined).map(({ name }) => `${name}.svg`)),
        )
      }),
    patience,
  )

  it.each([
    [['pol'], 'There is no bench "pol"; there are: pool, micro, crowd, drizzle, kysely, raw, orms, growth'],
    [['growth', '--curves', 'rows,columns'], '--curves takes some of these: callers, connections, texts, rows'],
    [['raw', '--loads', 'select,delete'], '--loads takes some of these: select, insert, transaction, rows, mixed'],
    [['raw', '--wires', '2ms'], '--wires takes some of these: loopback, 1ms, 5ms'],
    [['raw', '--callers', '1,many'], '--callers takes an integer >= 1'],
    [['raw', '--connections', '0'], '--connections takes an integer >= 1'],
    [['raw', '--turn', '0.5'], '--turn takes an integer >= 1'],
    [['--rounds', '0'], '--rounds takes an integer >= 1'],
  ])('refuses %j, and says what there is', async (args, stderr) => {
    await expect(bench(...args)).rejects.toMatchObject({ code: 2, stderr: `${stderr}\n` })
  })

  it('refuses options that do not exist', async () => {
    await expect(bench('--fast')).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("'--fast'") })
  })
})

it('tells the median and the quartiles, between two values where none is in the middle', () => {
  expect(spread([4, 1, 3, 2, 5])).toEqual({ median: 3, low: 2, high: 4 })
  expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25 })
})
