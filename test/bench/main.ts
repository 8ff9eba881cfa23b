// npm run bench -- [names] [--rounds N] [--quick] [--json file]
//
// Without names all benches run. Tables go to stdout; `--json` writes the same numbers to a file.

import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { benches } from './benches.js'
import { measure, type Result } from './harness.js'
import { table } from './table.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string' }, quick: { type: 'boolean', default: false }, json: { type: 'string' } },
})
const { quick, json } = values
const rounds = Number(values.rounds ?? (quick ? 3 : 11))
if (!Number.isInteger(rounds) || rounds < 1) fail('--rounds takes an integer >= 1')
for (const name of positionals) {
  if (benches.some((bench) => bench.name === name)) continue
  fail(`There is no bench "${name}"; there are: ${benches.map((bench) => bench.name).join(', ')}`)
}

const processors = cpus()
const machine = { node: process.version, processor: processors[0]?.model ?? 'unknown', cores: processors.length }
console.log(`Node ${machine.node}, ${machine.cores} × ${machine.processor}; ${rounds} rounds, medians and quartiles`)

const results: Result[] = []
for (const bench of benches) {
  if (positionals.length > 0 && !positionals.includes(bench.name)) continue
  for (const contest of bench.contests) {
    const result = await measure(bench.name, contest, { rounds, quick })
    results.push(result)
    console.log(`\n${table(result)}`)
  }
}
if (json !== undefined) await writeFile(json, `${JSON.stringify({ ...machine, rounds, quick, results }, null, 2)}\n`)

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
