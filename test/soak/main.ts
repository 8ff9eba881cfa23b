// npm run soak: both ORMs on one pool do a hundred thousand operations while the server and the network fail them again
// and again. Ends with a table, and with a non-zero exit code if anything is lost, left, or heavier than before.

import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { until } from '../support/until.js'
import { Faults } from './faults.js'
import { seeded } from './random.js'
import { progressLine, summary } from './report.js'
import { openServer, type Server } from './server.js'
import { soak } from './soak.js'

const applicationName = 'moorings-soak'
const callers = 24
/** Short, as it is what ends a wait in a black hole. */
const statementTimeoutMs = 2_000
/** On top of the seconds allowed: starting the server, coming to rest, closing. */
const graceMs = 180_000
/** After the last line: an open socket or timer that we forgot would keep the process alive. */
const exitMs = 5_000

interface Asked {
  readonly operations: number
  readonly seconds: number
  readonly seed: number
}

async function main(asked: Asked): Promise<void> {
  const hang = setTimeout(() => giveUp('The soak hangs'), asked.seconds * 1_000 + graceMs)
  const findings: string[] = []
  try {
    const server = await openServer(applicationName)
    try {
      findings.push(...(await run(server, asked)))
    } finally {
      await server.close()
    }
  } catch (error) {
    console.error(error)
    findings.push('the soak did not come to its end')
  }
  clearTimeout(hang)
  const verdict = findings.length === 0 ? 'Nothing is lost, and nothing is left.' : 'Something is wrong:'
  console.log(['', verdict, ...findings.map((finding) => `  ${finding}`)].join('\n'))
  process.exitCode = findings.length === 0 ? 0 : 1
  setTimeout(() => giveUp('The soak is over but its process does not end'), exitMs).unref()
}

async function run(server: Server, { operations, seconds, seed }: Asked): Promise<string[]> {
  const { admin, proxy } = server
  console.log(
    `${server.name}. ${callers} callers do ${operations.toLocaleString('en')} operations, for ${seconds} s at most, with seed ${seed}. Ctrl-C ends it early.`,
  )
  const faults = new Faults({ admin, applicationName, proxy, random: seeded(seed) })
  const over = new AbortController()
  const interrupt = () => over.abort()
  process.once('SIGINT', interrupt)
  const timeIsOver = setTimeout(interrupt, seconds * 1_000)
  const startedAt = performance.now()
  const elapsed = () => (performance.now() - startedAt) / 1_000
  try {
    const result = await soak({
      url: server.url,
      admin,
      operations,
      load: { seed, callers, statementTimeoutMs },
      attack: (signal) => faults.run(signal),
      signal: over.signal,
      onProgress: (progress) => console.log(progressLine(progress, elapsed())),
    })
    console.log(`\n${summary(result, faults.struck, elapsed())}`)
    const sockets = until(() => proxy.open === 0, { what: 'the sockets to be closed' })
    const left = await sockets.then(
      () => [],
      () => [`${proxy.open} sockets outlive the closed pool`],
    )
    return [...result.findings, ...left]
  } finally {
    clearTimeout(timeIsOver)
    process.off('SIGINT', interrupt)
  }
}

function giveUp(reason: string): never {
  console.error(`${reason}. It still holds: ${process.getActiveResourcesInfo().join(', ') || 'nothing'}`)
  process.exit(1)
}

const usage = `npm run soak -- [--operations N] [--seconds N] [--seed N]
--operations: how many, after those that warm up; default 100000
--seconds: ends it after that, however many were done; default 1800
--seed: decides what each operation and each fault is; default at random
DATABASE_URL: a server to use, in a database made for the soak, instead of a temporary server`

function whatIsAsked(): Asked | undefined {
  const options = {
    operations: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '1800' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
  } as const
  try {
    const { values } = parseArgs({ options })
    const asked = { operations: Number(values.operations), seconds: Number(values.seconds), seed: Number(values.seed) }
    const fine = Object.values(asked).every((value) => Number.isInteger(value) && value >= 0)
    return fine && asked.operations > 0 && asked.seconds > 0 && asked.seconds <= 86_400 ? asked : undefined
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
