// npm run bench -- [names] [--quick] [--rounds N] [--json file]
//     and for what talks to a server (drizzle, kysely, raw; or orms, which is all three):
//     [--loads select,insert] [--callers 1,10] [--wires loopback,1ms] [--connections N] [--turn MS] [--charts folder]
//     [--profile folder]
//     and for growth: [--curves callers,rows]
//
// Without names all benches run, without lists all that is in them. Tables go to stdout; `--json` writes the same numbers to
// a file, `--charts docs/bench` draws them, `--profile` leaves a profile of each subject's processor time.

import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { benches } from './benches.js'
import { crowdTable, measureCrowd } from './crowd/crowd.js'
import { curves } from './growth/curves.js'
import { type Grid, gridTable } from './growth/grid.js'
import { measureCurve } from './growth/growth.js'
import { writeLineCharts } from './growth/line-chart.js'
import { measureRows } from './growth/rows.js'
import { measure, type Result } from './harness.js'
import { readOptions } from './options.js'
import { writeCharts } from './orms/charts.js'
import { loadFamily } from './orms/families.js'
import { loadTable } from './orms/load-table.js'
import { type LoadResult, measureLoad } from './orms/measure.js'
import { findPgbench } from './orms/pgbench.js'
import { openScene } from './orms/scene.js'
import { wireNames } from './orms/wire.js'
import { table } from './table.js'

const { rounds, quick, json, charts, plan, ...asked } = readOptions(process.argv.slice(2))
const processors = cpus()
const machine = { node: process.version, processor: processors[0]?.model ?? 'unknown', cores: processors.length }
console.log(`Node ${machine.node}, ${machine.cores} × ${machine.processor}; medians and quartiles`)

const results: Result[] = []
for (const bench of benches.filter(({ name }) => asked.benches.includes(name))) {
  for (const contest of bench.contests) {
    const result = await measure(bench.name, contest, { rounds, quick })
    results.push(result)
    console.log(`\n${table(result)}`)
  }
}
const crowd = asked.crowd && (await measureCrowd(asked.crowd))
if (crowd !== undefined) console.log(`\n${crowdTable(crowd)}`)
const server = asked.families.length > 0 ? await measureLoads() : undefined
const growth = asked.growth && (await measureGrowth(asked.growth))
if (json !== undefined) {
  const written = { ...machine, rounds, quick, results, crowd, ...server, growth }
  await writeFile(json, `${JSON.stringify(written, null, 2)}\n`)
}

async function measureGrowth({ curves: names, ...plan }: NonNullable<typeof asked.growth>): Promise<Grid[]> {
  const scene = await openScene(['loopback'], plan.quick)
  const url = scene.wires.get('loopback')?.url ?? ''
  const grids: Grid[] = []
  try {
    for (const name of names) {
      const curve = curves.find((one) => one.name === name)
      const drawn = curve === undefined ? await measureRows(url, plan) : await measureCurve(curve, url, plan)
      for (const grid of drawn) console.log(`\n${gridTable(grid)}`)
      grids.push(...drawn)
    }
    if (charts !== undefined) await writeLineCharts(charts, grids)
    return grids
  } finally {
    await scene.end()
  }
}

async function measureLoads(): Promise<{ wires: object; loads: LoadResult[] }> {
  const { connections, turnMs, rounds } = plan
  const families = await Promise.all(asked.families.map(loadFamily))
  const scene = await openScene(plan.wires ?? wireNames, quick)
  const loads: LoadResult[] = []
  try {
    console.log(`\n${connections} connections; ${rounds} rounds of ${turnMs} ms`)
    if (families.some(({ pgbench }) => pgbench)) console.log((await findPgbench()) ?? 'pgbench: not found on the PATH')
    for (const { name, addsMs } of scene.wires.values()) {
      if (addsMs !== undefined) console.log(`The wire of ${name} makes a select 1 slower by ${addsMs.toFixed(2)} ms`)
    }
    for (const family of families) {
      for (const load of plan.loads) {
        for await (const result of measureLoad(family, load, scene.wires, plan)) {
          loads.push(result)
          console.log(`\n${loadTable(result)}`)
        }
      }
    }
    if (charts !== undefined) await writeCharts(charts, loads)
    return { wires: Object.fromEntries([...scene.wires.values()].map(({ name, addsMs }) => [name, addsMs])), loads }
  } finally {
    await scene.end()
  }
}
