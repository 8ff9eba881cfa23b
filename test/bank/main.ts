// npm run bank: many workers transfer money between few accounts, in random order, so that they lock each other out again
// and again. Moorings beside the stock drivers in a loop written by hand; tables of attempts, times and ratios. Ends with
// a non-zero exit code if an error reached a caller of Moorings, or if anybody's books are wrong.

import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { checkServer } from '../support/check-server.js'
import { startCluster } from '../support/cluster.js'
import { compare, type Score } from './compare.js'
import { oursDrizzle, oursKysely } from './ours.js'
import { failures, table } from './report.js'
import type { Loop } from './retry-loop.js'
import { stockDrizzle, stockKysely } from './stock.js'
import type { Subject } from './subject.js'
import type { Isolation } from './transfers.js'

const workers = 24
/** For transfers under way at the end, the server, and closing. */
const graceMs = 120_000

/** Of the usual kind, with the delays that are Moorings' own defaults: what differs is not the numbers. */
const usual = { initialDelayMs: 100, maxDelayMs: 5_000, jitter: 'full' } as const

interface Asked {
  readonly transfers: number
  readonly rounds: number
  readonly seconds: number
  readonly seed: number
  readonly accounts: number
  /** Undefined: the server's own. */
  readonly deadlockTimeoutMs: number | undefined
  readonly levels: readonly Isolation[]
  readonly sweep: boolean
}

function contest(): readonly Subject[] {
  const five: Loop = { ...usual, maxRetries: 5 }
  const unlimited: Loop = { ...usual, maxRetries: Number.POSITIVE_INFINITY }
  return [
    ...[stockDrizzle('loop without limit', unlimited), stockDrizzle('loop of 5', five), oursDrizzle()],
    ...[stockKysely('loop without limit', unlimited), stockKysely('loop of 5', five), oursKysely()],
  ]
}

/** Each way to wait without a limit: how many transfers took how many attempts tells what a limit would have done. */
function sweep(): readonly Subject[] {
  const delays = [
    { initialDelayMs: 100, maxDelayMs: 5_000, jitter: 'full' },
    { initialDelayMs: 100, maxDelayMs: 1_000, jitter: 'full' },
    { initialDelayMs: 100, maxDelayMs: 5_000, jitter: 'equal' },
    { initialDelayMs: 100, maxDelayMs: 1_000, jitter: 'equal' },
    { initialDelayMs: 100, maxDelayMs: 5_000, jitter: 'decorrelated' },
    { initialDelayMs: 100, maxDelayMs: 5_000, jitter: 'none' },
    { initialDelayMs: 10, maxDelayMs: 5_000, jitter: 'full' },
    { initialDelayMs: 25, maxDelayMs: 5_000, jitter: 'full' },
    { initialDelayMs: 50, maxDelayMs: 5_000, jitter: 'full' },
    { initialDelayMs: 200, maxDelayMs: 5_000, jitter: 'full' },
  ] as const
  return delays.map((delay) =>
    oursDrizzle(`${delay.initialDelayMs}–${delay.maxDelayMs} ms ${delay.jitter}`, {
      ...delay,
      maxConflictRetries: 1_000,
    }),
  )
}

async function main(asked: Asked): Promise<void> {
  const hang = setTimeout(() => giveUp('The bank hangs'), asked.seconds * 1_000 + graceMs)
  const over = new AbortController()
  const interrupt = () => over.abort()
  process.once('SIGINT', interrupt)
  const timeIsOver = setTimeout(interrupt, asked.seconds * 1_000)
  const own = process.env.DATABASE_URL ? undefined : await startCluster({ settings: { max_connections: 400 } })
  const findings: string[] = []
  try {
    const server = own?.url ?? (await checkServer(process.env.DATABASE_URL ?? ''))
    for (const isolation of asked.levels) {
      if (!over.signal.aborted) findings.push(...(await play(isolation, server, asked, over.signal)))
    }
    if (over.signal.aborted) findings.push('it was ended early')
  } finally {
    await own?.stop()
    clearTimeout(timeIsOver)
    clearTimeout(hang)
    process.off('SIGINT', interrupt)
  }
  const verdict = findings.length === 0 ? 'No error reached a caller, and the books are right.' : 'Something is wrong:'
  console.log(['', verdict, ...findings.map((finding) => `  ${finding}`)].join('\n'))
  process.exitCode = findings.length === 0 ? 0 : 1
}

async function play(isolation: Isolation, server: string, asked: Asked, signal: AbortSignal): Promise<string[]> {
  const { transfers, rounds, seed, accounts, deadlockTimeoutMs } = asked
  const subjects = asked.sweep ? sweep() : contest()
  const timeout = deadlockTimeoutMs === undefined ? "the server's own" : `${deadlockTimeoutMs} ms`
  console.log(
    `\n${isolation}: ${transfers} transfers each, ${workers} workers, ${accounts} accounts, deadlock_timeout ${timeout}, ${rounds} rounds, seed ${seed}`,
  )
  const scores = await compare(
    { server, isolation, subjects, transfers, rounds, seed, accounts, connections: workers, deadlockTimeoutMs, signal },
    (round) => console.error(`round ${round} of ${rounds}`),
  )
  console.log(table(scores))
  for (const score of scores) {
    const seen = failures(score)
    if (seen !== '') console.log(`${label(score)} told its callers: ${seen}`)
  }
  return scores.flatMap((score) => verdictOn(score, isolation))
}

function verdictOn(score: Score, isolation: Isolation): string[] {
  const of = (finding: string) => `${isolation}, ${label(score)}: ${finding}`
  const seen = score.subject.startsWith('moorings') ? failures(score) : ''
  return [...score.findings.map(of), ...(seen === '' ? [] : [of(`errors reached callers: ${seen}`)])]
}

function label({ orm, subject }: Score): string {
  return `${orm}: ${subject}`
}

function giveUp(reason: string): never {
  console.error(`${reason}. It still holds: ${process.getActiveResourcesInfo().join(', ') || 'nothing'}`)
  process.exit(1)
}

const usage = `npm run bank -- [--transfers N] [--rounds N] [--level L] [--accounts N] [--deadlock-timeout MS] [--sweep] [--seconds N] [--seed N]
--transfers: by each subject, in each isolation level; default 5000
--rounds: in which the subjects take turns; default 5
--level: "read committed" or "serializable"; default both
--accounts: the fewer, the more conflicts; default 6
--deadlock-timeout: how long the server waits before it looks for a deadlock; default 20; 0: the server's own, usually 1 s
--sweep: instead of comparing drivers, compares delays between attempts
--seconds: ends it after that; default 1200
--seed: decides what each transfer is; default at random
DATABASE_URL: a server to use, as a superuser and with 200 connections, in databases made for the bank, instead of a temporary server`

function whatIsAsked(): Asked | undefined {
  const options = {
    transfers: { type: 'string', default: '5000' },
    rounds: { type: 'string', default: '5' },
    level: { type: 'string' },
    accounts: { type: 'string', default: '6' },
    'deadlock-timeout': { type: 'string', default: '20' },
    sweep: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '1200' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
  } as const
  try {
    const { values } = parseArgs({ options })
    const levels = (['read committed', 'serializable'] as const).filter((it) => (values.level ?? it) === it)
    const deadlockTimeoutMs = Number(values['deadlock-timeout'])
    const asked = {
      transfers: Number(values.transfers),
      rounds: Number(values.rounds),
      seconds: Number(values.seconds),
      seed: Number(values.seed),
      accounts: Number(values.accounts),
    }
    const fine = [...Object.values(asked), deadlockTimeoutMs].every((value) => Number.isInteger(value) && value >= 0)
    if (!fine || asked.transfers < 1 || asked.rounds < 1 || asked.accounts < 2 || levels.length === 0) return undefined
    if (asked.seconds < 1 || asked.seconds > 86_400) return undefined
    return { ...asked, levels, sweep: values.sweep, deadlockTimeoutMs: deadlockTimeoutMs || undefined }
  } catch {
    return undefined
  }
}

const asked = whatIsAsked()
if (asked === undefined) {
  console.error(usage)
  process.exitCode = 2
} else {
  await main(asked)
}
