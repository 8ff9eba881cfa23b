// How the cost of an operation grows along a curve: each subject in a new process at each step, where nothing is left of
// an earlier one.

import { SubjectProcess } from '../orms/competitor.js'
import { loadFamily } from '../orms/families.js'
import { loads } from '../orms/loads.js'
import { type LoadRow, measureSetting } from '../orms/measure.js'
import type { Family } from '../orms/subject.js'
import type { Curve } from './curves.js'
import type { Grid } from './grid.js'

export interface GrowthPlan {
  readonly rounds: number
  readonly turnMs: number
  /** Of each process, for compilers. */
  readonly warmUpMs: number
  /** Two steps of each curve: shows that it runs. */
  readonly quick: boolean
}

const select = loads.filter(({ name }) => name === 'select')

/** The first, and one that differs. */
export function stepsOf(steps: readonly number[], { quick }: Pick<GrowthPlan, 'quick'>): readonly number[] {
  return quick ? steps.filter((_, place) => place === 0 || place === 2) : steps
}

export async function measureCurve(curve: Curve, url: string, plan: GrowthPlan): Promise<Grid[]> {
  const { subjects } = await loadFamily(curve.family)
  const family: Family = {
    name: curve.family,
    subjects: curve.subjects.flatMap((wanted) => subjects.filter(({ name }) => name === wanted)),
  }
  const steps = stepsOf(curve.steps, plan)
  const results: LoadRow[][] = []
  for (const step of steps) results.push(await measureStep(family, url, curve, step, plan))

  const grid = (figure: string, unit: string, drawn: Grid['drawn'], figureOf: (row: LoadRow) => number): Grid => ({
    name: `growth-${curve.name}${figure}`,
    title: `growth: ${curve.title}`,
    unit,
    along: curve.along,
    steps,
    drawn,
    lines: family.subjects.map(({ name }) => ({
      name,
      values: results.map((rows) => rows.filter(({ subject }) => subject === name).map(figureOf)[0] ?? Number.NaN),
    })),
  })
  return [
    grid('', 'processor time of an operation, us', 'linear', ({ cpu }) => cpu?.median ?? Number.NaN),
    grid('-per-second', 'operations a second', undefined, ({ perSecond }) => perSecond.median),
    grid('-p99', '99th percentile of the time to an answer, ms', undefined, ({ p99Ms }) => p99Ms ?? Number.NaN),
    grid('-heap', 'heap without garbage, MB', undefined, ({ heap }) => (heap ?? Number.NaN) / 2 ** 20),
  ]
}

async function measureStep(
  family: Family,
  url: string,
  { settingsAt }: Curve,
  step: number,
  { rounds, turnMs, warmUpMs }: GrowthPlan,
): Promise<LoadRow[]> {
  const settings = { url, ...settingsAt(step) }
  // On the clients that are measured, as they prepare a text that they have seen before. A millisecond for each is enough.
  const warmUpRounds = warmUpMs === 0 ? 0 : Math.ceil((warmUpMs + (settings.texts ?? 0)) / turnMs)
  const competitors = family.subjects.flatMap((subject) =>
    select.map((load) => new SubjectProcess(family, subject, load, undefined)),
  )
  try {
    const rows = await measureSetting(competitors, settings, { rounds, warmUpRounds, turnMs })
    for (const competitor of competitors) await competitor.end()
    return rows
  } finally {
    for (const competitor of competitors) competitor.kill()
  }
}
