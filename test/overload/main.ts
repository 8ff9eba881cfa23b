// npm run overload (the usage is below).
//
// More requests come than the database can serve, each with a deadline: how many of them are answered in time, of those
// that could be, and how soon all is as before when fewer come. Moorings beside the stock drivers, each in a process of its
// own. Ends with a non-zero exit code if Moorings, told the deadline, does less than 0.9 of what it can, or takes more than
// a second to be as before.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checkServer } from '../support/check-server.js'
import { startCluster } from '../support/cluster.js'
import type { Figures } from './load.js'
import type { Answer, Task } from './load-process.js'
import { outcomes, type Score, table } from './report.js'
import { toldOf } from './subject.js'
import { subjects } from './subjects.js'

const usage = `npm run overload -- [--factors N,N] [--seconds N] [--deadline MS] [--work MS] [--connections N] [--only TEXT]
--factors: how many times more than can be served is asked for, one after the other; default 3,10
--seconds: how long each lasts; default 8
--deadline: how long each caller waits, in milliseconds; default 500
--work: how long each request keeps a connection busy, in milliseconds; default 100
--connections: how many each pool has; default 10
--only: those systems in whose name, or way to tell a deadline, the text is
DATABASE_URL: a server to use instead of a temporary one`

function whatIsAsked() {
  const text = (usual: string) => ({ type: 'string', default: usual }) as const
  const options = {
    factors: text('3,10'),
    seconds: text('8'),
    deadline: text('500'),
    work: text('100'),
    connections: text('10'),
    only: text(''),
  } as const
  try {
    const { values } = parseArgs({ options })
    const factors = values.factors.split(',').map(Number)
    const [seconds, deadlineMs] = [Number(values.seconds), Number(values.deadline)]
    const [workMs, connections] = [Number(values.work), Number(values.connections)]
    const places = [...subjects.entries()].filter(([, subject]) =>
      `${subject.name} ${toldOf(subject)}`.includes(values.only),
    )
    const numbers = [...factors, seconds, deadlineMs, workMs, connections]
    if (places.length === 0 || numbers.some((number) => !(number > 0))) return undefined
    return { factors, seconds, deadlineMs, workMs, connections, places }
  } catch {
    return undefined
  }
}

const asked = whatIsAsked()
if (asked === undefined) {
  console.error(usage)
  process.exit(2)
}
const { factors, seconds, deadlineMs, workMs, connections, places } = asked

const least = 0.9
const normalWithinMs = 1_000
/** For who serves what nobody waits for any more, at the pace of the database. */
const patienceMs = 15_000
/** For its start, its capacity, and what may be slow on a busy machine. */
const graceMs = 30_000

async function play(task: Task): Promise<Figures | undefined> {
  const child = fork(fileURLToPath(new URL('load-process.js', import.meta.url)))
  const limit = setTimeout(() => child.kill('SIGKILL'), task.plan.overloadMs + patienceMs + graceMs)
  try {
    const answer = await new Promise<Answer>((resolve) => {
      child.once('message', (answer: Answer) => resolve(answer))
      child.once('exit', (code, signal) => resolve({ failed: `it ended with ${signal ?? code}` }))
      child.send(task)
    })
    if ('figures' in answer) return answer.figures
    console.error(answer.failed)
    return undefined
  } finally {
    clearTimeout(limit)
  }
}

const own = process.env.DATABASE_URL ? undefined : await startCluster()
const findings: string[] = []
const scores: Score[] = []
try {
  const url = own?.url ?? (await checkServer(process.env.DATABASE_URL ?? ''))
  for (const [place, subject] of places) {
    const figures = new Map<number, Figures | undefined>()
    scores.push({ subject, figures })
    for (const factor of factors) {
      const settings = { url, connections, workMs, deadlineMs }
      const plan = { connections, deadlineMs, factor, capacityMs: 2_000, overloadMs: 1_000 * seconds, patienceMs }
      const found = await play({ subject: place, settings, plan })
      figures.set(factor, found)
      const what = `${subject.name} (${toldOf(subject)}), ${factor}x`
      console.log(`${what}: ${found === undefined ? 'failed' : outcomes(found)}`)
      if (!subject.held) continue
      if (found === undefined) findings.push(`${what}: no figures`)
      else if (found.useful < least * found.capacity) findings.push(`${what}: less than ${least} of what it can`)
      else if ((found.normalAfterMs ?? Number.POSITIVE_INFINITY) > normalWithinMs)
        findings.push(`${what}: slow to recover`)
    }
  }
} finally {
  await own?.stop()
}
console.log(`\n${table(scores, factors)}\n`)
for (const finding of findings) console.log(finding)
if (findings.length === 0 && places.some(([, { held }]) => held))
  console.log('What Moorings served under overload was served in time.')
process.exitCode = findings.length === 0 ? 0 : 1
