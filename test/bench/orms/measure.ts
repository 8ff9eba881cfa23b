// Lets the subjects of a family take turns, under one load after the other.

import { connectAdmin } from '../../support/admin.js'
import { type Spread, spread } from '../spread.js'
import { type Competitor, SubjectProcess, type Told, type Turn } from './competitor.js'
import type { Load } from './loads.js'
import { findPgbench, Pgbench } from './pgbench.js'
import { type Plan, settingsOf } from './plan.js'
import type { Family, Settings } from './subject.js'
import { tidyUp } from './tables.js'
import type { Wire, WireName } from './wire.js'

export interface LoadRow extends Told {
  readonly subject: string
  /** Not somebody to compare with, see {@link Competitor.kind}. */
  readonly bound: boolean
  /** Of what it does in a second to what the first subject does, in the same round. */
  readonly ratio: Spread
  readonly perSecond: Spread
  /** Of the processor time for one operation, likewise. */
  readonly cpuRatio: Spread | undefined
  /** Microseconds of it for one operation. */
  readonly cpu: Spread | undefined
}

export type Rounds = Pick<Plan, 'rounds' | 'warmUpRounds' | 'turnMs'>

export interface LoadResult {
  readonly family: string
  readonly load: string
  readonly title: string
  readonly callers: number
  readonly wire: WireName
  readonly rows: readonly LoadRow[]
}

const warmUpCallers = 10

/** Those of a family under a load, one setting after the other. */
export async function* measureLoad(
  family: Family,
  load: Load,
  wires: ReadonlyMap<WireName, Wire>,
  plan: Plan,
): AsyncGenerator<LoadResult> {
  const all: Competitor[] = family.subjects.map((subject) => new SubjectProcess(family, subject, load, plan.profiles))
  if (family.pgbench && (await findPgbench()) !== undefined) all.push(new Pgbench(load))
  const { url } = wires.get('loopback') ?? fail('loopback')
  try {
    const { connections, warmUp: warmUps } = plan
    for (const competitor of all) {
      await warmUp(competitor, { url, callers: warmUpCallers, connections }, warmUps.firstMs)
    }
    for (const setting of settingsOf(plan, load)) {
      await tidy(url)
      const wire = wires.get(setting.wire) ?? fail(setting.wire)
      const present = all.filter(({ kind }) => kind !== 'floor' || wire.addsMs === undefined)
      const settings = { url: wire.url, callers: setting.callers, connections }
      // On the wire on which most is done in a time.
      for (const competitor of present) await warmUp(competitor, { ...settings, url }, warmUps.againMs)
      const rows = await measureSetting(present, settings, plan)
      yield { family: family.name, load: load.name, title: load.title, ...setting, rows }
    }
    for (const competitor of all) await competitor.end()
  } finally {
    for (const competitor of all) competitor.kill()
  }
}

async function warmUp(competitor: Competitor, settings: Settings, milliseconds: number): Promise<void> {
  if (milliseconds === 0 || competitor.kind === 'server') return
  await competitor.open(settings)
  await competitor.turn(milliseconds, false)
  await competitor.close()
}

export async function measureSetting(
  competitors: readonly Competitor[],
  settings: Settings,
  { rounds, warmUpRounds, turnMs }: Rounds,
): Promise<LoadRow[]> {
  const turns = new Map<Competitor, Turn[]>(competitors.map((competitor) => [competitor, []]))
  for (const competitor of competitors) await competitor.open(settings)
  for (let round = -warmUpRounds; round < rounds; round++) {
    // Another one begins each round: nobody always comes after the same one.
    const first = (round + warmUpRounds) % competitors.length
    for (const competitor of [...competitors.slice(first), ...competitors.slice(0, first)]) {
      const turn = await competitor.turn(turnMs, round >= 0)
      if (round >= 0) turns.get(competitor)?.push(turn)
    }
  }
  const [measureOfAll] = turns.values()
  const rows: LoadRow[] = []
  for (const [competitor, own] of turns) {
    rows.push({ ...rowOf(competitor, own, measureOfAll ?? []), ...(await competitor.tell()) })
    await competitor.close()
  }
  return rows
}

function rowOf(
  { name, kind }: Competitor,
  turns: readonly Turn[],
  measureOfAll: readonly Turn[],
): Omit<LoadRow, keyof Told> {
  const perSecond = turns.map(({ operations, seconds }) => operations / seconds)
  const cpu = turns.map(({ operations, cpuSeconds = Number.NaN }) => (1e6 * cpuSeconds) / operations)
  const firstPerSecond = measureOfAll.map(({ operations, seconds }) => operations / seconds)
  const firstCpu = measureOfAll.map(({ operations, cpuSeconds = Number.NaN }) => (1e6 * cpuSeconds) / operations)
  return {
    subject: name,
    bound: kind !== 'peer',
    ratio: ratios(perSecond, firstPerSecond),
    perSecond: spread(perSecond),
    cpuRatio: cpu.some(Number.isNaN) ? undefined : ratios(cpu, firstCpu),
    cpu: cpu.some(Number.isNaN) ? undefined : spread(cpu),
  }
}

function ratios(values: readonly number[], measureOfAll: readonly number[]): Spread {
  return spread(values.map((value, round) => value / (measureOfAll[round] ?? Number.NaN)))
}

async function tidy(url: string): Promise<void> {
  const admin = connectAdmin(url)
  try {
    for (const statement of tidyUp) await admin.query(statement)
  } finally {
    await admin.end()
  }
}

function fail(wire: string): never {
  throw new Error(`There is no wire "${wire}"`)
}
