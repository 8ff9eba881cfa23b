// The process of one subject: opens a client, lets callers ask when it is its turn, and says what that has cost.

import { setImmediate } from 'node:timers/promises'
import { quantile } from '../spread.js'
import type { Answer, Order, Told, Turn } from './competitor.js'
import { familyNames, loadFamily } from './families.js'
import { loads } from './loads.js'
import type { Client, Settings } from './subject.js'
import { letAsk } from './work.js'

const [familyName, subjectName, loadName] = process.argv.slice(2)
const family = familyNames.find((name) => name === familyName)
const subject = family && (await loadFamily(family)).subjects.find(({ name }) => name === subjectName)
const load = loads.find(({ name }) => name === loadName)
if (subject === undefined || load === undefined) {
  throw new Error(`There is no "${subjectName}" of "${familyName}" for "${loadName}"`)
}
const { open } = subject
const asked = load

let client: Client | undefined
let callers = 0
/** Milliseconds, of what counts. */
let latencies: number[] = []

async function openFor(settings: Settings): Promise<Answer> {
  client = await open(settings)
  callers = settings.callers
  latencies = []
  // As an application does a bit of everything, and that leaves its traces.
  for (const { ask } of loads) await ask(client.of(0), 0)
  return {}
}

async function turn(client: Client, milliseconds: number, counts: boolean): Promise<Turn> {
  // Caches are cold and connections have rested while the others had their turns.
  await letAsk(client, asked, callers, milliseconds / 10, [])
  const took: number[] = []
  const before = process.cpuUsage()
  const { operations, seconds } = await letAsk(client, asked, callers, milliseconds, took)
  const { user, system } = process.cpuUsage(before)
  if (counts) for (const one of took) latencies.push(one)
  return { operations, seconds, cpuSeconds: (user + system) / 1e6 }
}

async function tell(): Promise<Told> {
  const sorted = Float64Array.from(latencies).sort()
  latencies = []
  await collect()
  const { rss, heapUsed } = process.memoryUsage()
  return { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99), rss, heap: heapUsed }
}

/**
 * Finalizers may let go of more, and run between two collections. Never before something that counts: what is compiled for
 * objects that die with it is thrown away, and for a second or so an operation takes twice the time.
 */
async function collect(): Promise<void> {
  globalThis.gc?.()
  await setImmediate()
  globalThis.gc?.()
}

async function carryOut(order: Order): Promise<Answer> {
  if (order.ask === 'open') return openFor(order.settings)
  if (client === undefined) throw new Error(`"${subjectName}" is not open`)
  if (order.ask === 'turn') return turn(client, order.milliseconds, order.counts)
  if (order.ask === 'tell') return tell()
  await client.close()
  return {}
}

process.on('message', (order: Order) => {
  if (order.ask === 'end') process.disconnect()
  else void carryOut(order).then((answer) => process.send?.(answer))
})
// Whoever asked is gone.
process.on('disconnect', () => process.exit())
