// npm run exactly-once: thousands of transfers, while COMMITs and their answers are lost in every way and the server
// crashes, through Moorings and through what an application has without it. Ends with a table, and with a non-zero exit
// code if Moorings got one wrong, or if the checker saw nothing wrong with those that it must.

import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { connectAdmin } from '../support/admin.js'
import { startCluster } from '../support/cluster.js'
import { createDatabase, inventName } from '../support/database.js'
import { startProxy, targetOf } from '../support/proxy.js'
import { CrashingServer } from './crashing.js'
import { oursDrizzle, oursKysely, oursKyselyOwn, oursUnasked } from './ours.js'
import { resultLines } from './report.js'
import { type Place, run } from './run.js'
import { blackHole, crash, crashSettings, crowd, cut, type Scenario } from './scenarios.js'
import { stockDrizzle, stockKysely } from './stock.js'
import type { Subject } from './subject.js'
import { counted } from './verdict.js'

interface Asked {
  readonly transactions: number
  readonly seconds: number
  readonly seed: number
  readonly only: string
}

interface Trial {
  readonly subject: Subject
  readonly scenario: Scenario
  readonly transfers: number
  /** Whether it must show that the checker can fail. */
  readonly mustFail: 'duplicate' | 'hang' | undefined
}

/** On top of the seconds allowed: starting the server, coming to rest, closing. */
const graceMs = 180_000
/** After the last line: an open socket or timer that we forgot would keep the process alive. */
const exitMs = 20_000
/** What shows that others get it wrong. */
const fewTransfers = 300

async function main(asked: Asked): Promise<void> {
  const limit = setTimeout(() => giveUp('It hangs'), asked.seconds * 1_000 + graceMs)
  const wrong: string[] = []
  let stray = 0
  const onStray = (error: unknown) => {
    stray += 1
    console.log(`  uncaught: ${String(error)}`)
  }
  process.on('uncaughtException', onStray)
  process.on('unhandledRejection', onStray)
  const cluster = await startCluster({ settings: crashSettings })
  try {
    const database = await createDatabase(inventName('exactly_once'), cluster.url)
    const proxy = await startProxy({ target: targetOf(database.url) })
    const admin = connectAdmin(database.url)
    const server = new CrashingServer(cluster, Math.max(3, Math.ceil(asked.transactions / 200)))
    const place: Place = { url: database.url, admin, proxy, crashes: server }
    console.log(`PostgreSQL ${cluster.version}, seed ${asked.seed}, ${asked.transactions} transactions`)
    const over = AbortSignal.timeout(asked.seconds * 1_000)
    for (const { subject, scenario, transfers, mustFail } of trials(asked, server)) {
      if (over.aborted) break
      const strayBefore = stray
      const result = await run(place, { ...scenario, subject, transfers, seed: asked.seed, signal: over })
      const title = `${subject.name}: ${scenario.name}`
      console.log(resultLines(title, result))
      const seen = counted(result.verdict.findings)
      if (mustFail === undefined && result.verdict.findings.length > 0) wrong.push(`${title}: ${JSON.stringify(seen)}`)
      if (mustFail === undefined && stray > strayBefore) wrong.push(`${title}: uncaught errors`)
      if (mustFail !== undefined && seen[mustFail] === undefined) wrong.push(`${title}: no ${mustFail} was found`)
    }
    await proxy.close()
    await admin.end()
    await database.drop()
  } catch (error) {
    console.error(error)
    wrong.push('it did not come to its end')
  } finally {
    await cluster.stop()
  }
  clearTimeout(limit)
  const verdict = wrong.length === 0 ? 'Each transfer was done as its caller was told.' : 'Something is wrong:'
  console.log(['', verdict, ...wrong.map((finding) => `  ${finding}`)].join('\n'))
  process.exitCode = wrong.length === 0 ? 0 : 1
  setTimeout(() => giveUp('It is over but its process does not end'), exitMs).unref()
}

function trials({ transactions, only }: Asked, server: CrashingServer): Trial[] {
  const part = (share: number) => Math.ceil(transactions * share)
  const few = Math.min(fewTransfers, transactions)
  const ours = [oursDrizzle, oursKysely].flatMap((subject) => [
    { subject, scenario: cut, transfers: part(0.6), mustFail: undefined },
    { subject, scenario: blackHole, transfers: part(0.15), mustFail: undefined },
    { subject, scenario: crowd, transfers: part(0.1), mustFail: undefined },
    { subject, scenario: crash(server), transfers: part(0.15), mustFail: undefined },
  ])
  const impatient = { ...blackHole, share: 0.3, hangMs: 5_000 }
  const all: Trial[] = [
    ...ours,
    { subject: oursKyselyOwn, scenario: cut, transfers: part(0.2), mustFail: undefined },
    { subject: oursUnasked, scenario: cut, transfers: few, mustFail: 'duplicate' },
    ...[stockDrizzle, stockKysely].flatMap((subject): Trial[] => [
      { subject, scenario: { ...cut, hangMs: 20_000 }, transfers: few, mustFail: 'duplicate' },
      { subject, scenario: impatient, transfers: few, mustFail: 'hang' },
    ]),
  ]
  return all.filter(({ subject, scenario }) => `${subject.name}: ${scenario.name}`.includes(only))
}

function giveUp(reason: string): never {
  console.error(`${reason}. It still holds: ${process.getActiveResourcesInfo().join(', ') || 'nothing'}`)
  process.exit(1)
}

const usage = `npm run exactly-once -- [--transactions N] [--seed N] [--seconds N] [--only TEXT]
--transactions: how many through each way of Moorings; default 3000
--seed: decides which COMMITs meet which fault; default at random
--seconds: begins no other transaction after that; default 1200
--only: those trials in whose title the text is`

function whatIsAsked(): Asked | undefined {
  const options = {
    transactions: { type: 'string', default: '3000' },
    seconds: { type: 'string', default: '1200' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    only: { type: 'string', default: '' },
  } as const
  try {
    const { values } = parseArgs({ options })
    const { transactions, seconds, seed, only } = values
    const asked = { transactions: Number(transactions), seconds: Number(seconds), seed: Number(seed), only }
    const fine = [asked.transactions, asked.seconds, asked.seed].every((n) => Number.isInteger(n) && n >= 0)
    return fine && asked.transactions > 0 && asked.seconds > 0 && asked.seconds <= 86_400 ? asked : undefined
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
