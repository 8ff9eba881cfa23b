// The process of one subject: takes its turns when it is asked to, and counts its garbage.

import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import { benches } from './benches.js'
import type { Garbage, Order, Turn, Work } from './harness.js'
import { spread } from './spread.js'

/** Times that garbage is counted. */
const SAMPLES = 5

const [benchName, contestName, subjectName] = process.argv.slice(2)
const contest = benches.find(({ name }) => name === benchName)?.contests.find(({ name }) => name === contestName)
const work = await contest?.subjects.find(({ name }) => name === subjectName)?.start()
if (contest === undefined || work === undefined) {
  throw new Error(`There is no "${subjectName}" in "${contestName}" of "${benchName}"`)
}

function now(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1e3
}

async function turn({ run }: Work, operations: number): Promise<Turn> {
  // Caches are cold and connections have rested while the others had their turns.
  await run(Math.ceil(operations / 10))
  const begun = now()
  await run(operations)
  return { nanoseconds: (now() - begun) / operations }
}

/** After all turns, as collections throw away what is compiled for objects that die with them. */
async function garbage(work: Work, operations: number): Promise<Garbage> {
  const kept: number[] = []
  for (let sample = 0; sample < SAMPLES; sample++) kept.push(await left(work, operations))
  return { bytes: await taken(work, operations), kept: spread(kept).median }
}

async function left({ run }: Work, operations: number): Promise<number> {
  const before = await heapInUse()
  await run(operations)
  return ((await heapInUse()) - before) / operations
}

/** Of as many operations as the young generation holds the garbage of: the fewer, the more other things weigh in. */
async function taken(work: Work, operations: number): Promise<number | undefined> {
  for (let few = Math.ceil(operations / 32); few >= 50; few = Math.floor(few / 2)) {
    const samples: number[] = []
    for (let sample = 0; sample < SAMPLES; sample++) {
      // The difference, as beginning and ending take something, too.
      const ofFew = await growth(work, few)
      const ofMany = ofFew === undefined ? undefined : await growth(work, 3 * few)
      if (ofFew === undefined || ofMany === undefined) break
      samples.push((ofMany - ofFew) / (2 * few))
    }
    if (samples.length === SAMPLES) return spread(samples).median
  }
  return undefined
}

/** Undefined when garbage was collected meanwhile. */
async function growth({ run }: Work, operations: number): Promise<number | undefined> {
  await run(100)
  await heapInUse()
  let collections = 0
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().filter(({ startTime }) => startTime >= begun).length
  })
  observer.observe({ entryTypes: ['gc'] })
  const begun = performance.now()
  const before = process.memoryUsage().heapUsed
  await run(operations)
  const after = process.memoryUsage().heapUsed
  // It is told of them in a later turn.
  await setImmediate()
  await setImmediate()
  observer.disconnect()
  return collections === 0 ? after - before : undefined
}

/** What is still needed. Finalizers may let go of more, and run between two collections. */
async function heapInUse(): Promise<number> {
  globalThis.gc?.()
  await setImmediate()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

async function carryOut(work: Work, order: Order): Promise<void> {
  if (order.ask === 'turn') process.send?.(await turn(work, order.operations))
  else if (order.ask === 'garbage') process.send?.(await garbage(work, order.operations))
  else {
    await work.end?.()
    process.disconnect()
  }
}

process.on('message', (order: Order) => void carryOut(work, order))
