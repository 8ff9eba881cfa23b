// npm run chaos: both ORMs move money and write rows for minutes, while servers, networks and sessions fail at random, several
// at a time. Ends with what has come of it, and with a non-zero exit code if anybody was told a falsehood or kept waiting.

import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { lanes } from './plan.js'
import { progressLine, strikeLine, summary } from './report.js'
import { chaos } from './run.js'

const orms = ['drizzle', 'kysely']
/** Printed as they come; of the others there are too many. */
const printedLane = 'servers'
/** On top of the minutes asked for: starting the servers, coming to rest, closing. */
const graceMs = 300_000
/** After the last line: an open socket or timer that we forgot would keep the process alive. */
const exitMs = 10_000

interface Asked {
  readonly minutes: number
  readonly seed: number
  readonly systems: readonly string[]
}

async function main({ minutes, seed, systems }: Asked): Promise<void> {
  const ms = minutes * 60_000
  const limit = setTimeout(() => giveUp('It hangs'), ms + graceMs)
  const interrupted = new AbortController()
  process.once('SIGINT', () => interrupted.abort())
  const again = `npm run chaos -- --minutes ${minutes} --seed ${seed}${systems.length === 1 ? ` --orm ${systems[0]}` : ''}`
  console.log(`${systems.join(' and ')} for ${minutes} min, with seed ${seed}. Ctrl-C ends it early.`)
  const startedAt = performance.now()
  const elapsed = () => (performance.now() - startedAt) / 1_000
  let right = false
  try {
    const result = await chaos({
      ...{ seed, ms, systems, lanes, signal: interrupted.signal },
      onStrike: (strike) => strike.lane === printedLane && console.log(strikeLine(strike, elapsed())),
      onProgress: (loads) => console.log(progressLine(loads, elapsed())),
    })
    right = result.anomalies.length === 0
    console.log(`\n${summary(result)}`)
  } catch (error) {
    console.error(error)
  }
  clearTimeout(limit)
  console.log(`
To repeat it: ${again}
The same faults come in the same order, with the same pauses before them and the same lengths, and the same transfers are made.
What the machine decides cannot be repeated: how long a server takes to stop and to start, and how far each call, session and
byte has come when a fault strikes; so the faults of one kind drift against those of another.
${right ? '\nEverybody was told the truth, and in time.' : '\nSomething is wrong.'}`)
  process.exitCode = right ? 0 : 1
  setTimeout(() => giveUp('It is over but its process does not end'), exitMs).unref()
}

function giveUp(reason: string): never {
  console.error(`${reason}. It still holds: ${process.getActiveResourcesInfo().join(', ') || 'nothing'}`)
  process.exit(1)
}

const usage = `npm run chaos -- [--minutes N] [--seed N] [--orm drizzle|kysely]
--minutes: how long faults strike; default 10
--seed: decides which fault strikes when, how and for how long, and what each transfer is; default at random
--orm: that one only; default both, on the same servers`

function whatIsAsked(): Asked | undefined {
  const options = {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    orm: { type: 'string' },
  } as const
  try {
    const { values } = parseArgs({ options })
    const [minutes, seed] = [Number(values.minutes), Number(values.seed)]
    const systems = values.orm === undefined ? orms : orms.filter((name) => name === values.orm)
    const fine = minutes > 0 && minutes <= 1_440 && Number.isInteger(seed) && seed >= 0 && systems.length > 0
    return fine ? { minutes, seed, systems } : undefined
  } catch {
    return undefined
  }
}

const asked = whatIsAsked()
if (asked === undefined) {
  console.error(usage)
  process.exitCode = 2
} else {
  // Wrong until it is known to be right: a process whose work silently vanished ends here, too.
  process.exitCode = 1
  await main(asked)
}
