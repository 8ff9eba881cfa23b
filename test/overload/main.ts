// npm run overload [-- --factors 3,10] [--seconds N] [--deadline MS] [--work MS] [--only text]
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

const { values } = parseArgs({
  options: {
    factors: { type: 'string', default: '3,10' },
    seconds: { type: 'string', default: '8' },
    deadline: { type: 'string', default: '500' },
    work: { type: 'string', default: '100' },
    connections: { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
  },
})
const factors = values.factors.split(',').map(Number)
const [seconds = 0, deadlineMs = 0, workMs = 0, connections = 0] = [
  ...[values.seconds, values.deadline, values.work, values.connections].map(Number),
]
if ([...factors, seconds, deadlineMs, workMs, connections].some((number) => !(number > 0))) {
  console.error('--factors, --seconds, --deadline, --work and --connections take numbers above 0')
  process.exit(2)
}

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
  for (const [place, subject] of subjects.entries()) {
    if (!`${subject.name} ${toldOf(subject)}`.includes(values.only)) continue
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
if (findings.length === 0) console.log('What Moorings served under overload was served in time.')
process.exitCode = findings.length === 0 ? 0 : 1
