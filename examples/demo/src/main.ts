// npm run demo: a bank in Drizzle and one in Kysely, whose transfers deadlock, and whose connections are killed, reset and
// cut at COMMIT while money moves; half-way the primary crashes, and its standby takes over.
// Ends with a table, and with a non-zero exit code if the books do not balance.

import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Admin } from '@moorings/test/support/admin.js'
import { audit, type Vault } from './audit.js'
import type { Bank, Transfer } from './bank.js'
import { Books } from './books.js'
import { drizzleBank } from './drizzle-bank.js'
import { Faults } from './faults.js'
import { kyselyBank } from './kysely-bank.js'
import { type Progress, showProgress } from './progress.js'
import { report } from './report.js'
import { openServer, type Server } from './server.js'
import { work } from './tellers.js'

const opening = { accounts: 12, balance: 1_000_000 }
const tellers = 8
const applicationName = 'moorings-demo'
/** On top of the seconds asked for: starting the server, finishing what is under way, closing. */
const graceMs = 60_000
/** After the last line: an open socket or timer that we forgot would keep the process alive. */
const exitMs = 5_000

interface Branch {
  readonly bank: Bank
  readonly books: Books
}

async function demo(seconds: number): Promise<void> {
  const surprises: string[] = []
  process.on('uncaughtException', (error) => surprises.push(`uncaughtException: ${error.stack ?? error}`))
  process.on('unhandledRejection', (reason) => surprises.push(`unhandledRejection: ${String(reason)}`))
  const hang = setTimeout(() => giveUp('The demo hangs'), seconds * 1_000 + graceMs)
  const findings: string[] = []
  try {
    const server = await openServer(applicationName)
    try {
      findings.push(...(await run(server, seconds)))
    } finally {
      await server.close()
    }
  } catch (error) {
    console.error(error)
    findings.push('the demo did not come to its end')
  }
  clearTimeout(hang)
  findings.push(...surprises)
  const verdict = findings.length === 0 ? 'The books balance.' : `Something is wrong:\n  ${findings.join('\n  ')}`
  console.log(`\n${verdict}`)
  process.exitCode = findings.length === 0 ? 0 : 1
  setTimeout(() => giveUp('The demo is over but its process does not end'), exitMs).unref()
}

async function run(server: Server, seconds: number): Promise<string[]> {
  const branches = [drizzleBank, kyselyBank].map((open) => ({ bank: open(server.url), books: new Books() }))
  const faults = new Faults(server, applicationName)
  console.log(
    `${server.name}. For ${seconds} seconds ${tellers} tellers of each bank move money between ${opening.accounts} accounts,\n` +
      'in any order, so that they lock each other out, while backends are terminated, connections are reset, and the wire is\n' +
      `cut at COMMIT, again and again${server.failOver ? '; half-way the primary crashes, and its standby is promoted' : ''}. Ctrl-C ends it early.\n`,
  )
  try {
    for (const { bank } of branches) await bank.open(opening.accounts, opening.balance)
    await underFire(branches, faults, seconds, server)
    const results = []
    for (const { bank, books } of branches) {
      const found = audit(books, await readVault(server.admin, bank.schema), opening)
      results.push({ name: bank.name, books, audit: found, stats: bank.stats() })
    }
    console.log(`\n${report(results)}`)
    return results.flatMap(({ name, audit }) => audit.findings.map((finding) => `${name}: ${finding}`))
  } finally {
    await Promise.all(branches.map(({ bank }) => bank.close()))
  }
}

async function underFire(
  branches: readonly Branch[],
  faults: Faults,
  seconds: number,
  { failOver }: Server,
): Promise<void> {
  const over = new AbortController()
  const interrupt = () => over.abort()
  process.once('SIGINT', interrupt)
  const startedAt = performance.now()
  const progress = showProgress(() => {
    const elapsed = Math.round((performance.now() - startedAt) / 1_000)
    const counts = branches.map(({ bank, books }) => `${bank.name} ${books.outcomes.size.toLocaleString('en')}`)
    return `${elapsed} s   transfers: ${counts.join(', ')}   backends killed: ${faults.killed}   resets: ${faults.resets}   COMMITs cut: ${faults.cut}`
  })
  const shift = { accounts: opening.accounts, tellers, signal: over.signal }
  const shifts = branches.map(({ bank, books }) => work(bank, books, shift))
  const attack = faults.run(over.signal)
  try {
    const halfTime = () => pause(seconds * 500, undefined, { signal: over.signal })
    const time = halfTime()
      .then(() => failOver && crash(branches, faults, failOver, progress))
      .then(halfTime)
      .catch((error: unknown) => {
        if (!over.signal.aborted) throw error
      })
    // Both go on until they are told to stop, unless they fail.
    await Promise.race([time, attack, ...shifts])
  } finally {
    over.abort()
    await Promise.all([attack, ...shifts])
    progress.stop()
    process.off('SIGINT', interrupt)
  }
}

async function crash(
  branches: readonly Branch[],
  faults: Faults,
  failOver: () => Promise<void>,
  progress: Progress,
): Promise<void> {
  await faults.restDuring(async () => {
    for (const { books } of branches) books.watch()
    progress.tell('The primary crashes.')
    await failOver()
    progress.tell('The standby is the primary now.')
  })
}

async function readVault(admin: Admin, schema: string): Promise<Vault> {
  const accounts = await admin.query<{ id: number; balance: number }>(`select id, balance from ${schema}.accounts`)
  const ledger = await admin.query<Transfer & Record<string, unknown>>(
    `select id, debited, credited, amount from ${schema}.ledger`,
  )
  return { balances: new Map(accounts.map(({ id, balance }) => [id, balance])), ledger }
}

function giveUp(reason: string): never {
  console.error(`${reason}. It still holds: ${process.getActiveResourcesInfo().join(', ') || 'nothing'}`)
  process.exit(1)
}

const usage = `npm run demo -- [--seconds N]
DATABASE_URL: a server to use, in a database made for the demo, instead of a temporary server`

function secondsAsked(): number | undefined {
  try {
    const { values } = parseArgs({ options: { seconds: { type: 'string', default: '20' } } })
    const seconds = Number(values.seconds)
    return seconds >= 1 && seconds <= 86_400 ? seconds : undefined
  } catch {
    return undefined
  }
}

const seconds = secondsAsked()
if (seconds === undefined) {
  console.error(usage)
  process.exitCode = 2
} else {
  // Wrong until it is known to be right: a process whose work silently vanished ends here, too.
  process.exitCode = 1
  await demo(seconds)
}
