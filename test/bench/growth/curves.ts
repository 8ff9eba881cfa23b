// Along what the cost of an operation may grow while the database's own work stays the same.

import type { FamilyName } from '../orms/families.js'
import type { Settings } from '../orms/subject.js'

/** By the names under which they are asked for; the last is measured otherwise, see rows.ts. */
export const curveNames = ['callers', 'connections', 'texts', 'rows'] as const
export type CurveName = (typeof curveNames)[number]

export interface Curve {
  readonly name: CurveName
  readonly title: string
  /** What there is more and more of. */
  readonly along: string
  readonly steps: readonly number[]
  readonly family: FamilyName
  /** Of the family, by their names. */
  readonly subjects: readonly string[]
  settingsAt(step: number): Omit<Settings, 'url'>
}

const clients = ['moorings', 'postgres.js', 'pg']

export const curves: readonly Curve[] = [
  {
    name: 'callers',
    title: 'callers on 10 connections',
    along: 'callers',
    steps: [1, 10, 100, 1_000, 10_000],
    family: 'raw',
    subjects: clients,
    settingsAt: (callers) => ({ callers, connections: 10 }),
  },
  {
    name: 'connections',
    title: '100 callers on more and more connections',
    along: 'connections',
    steps: [1, 2, 5, 10, 20, 50, 100],
    family: 'raw',
    subjects: clients,
    settingsAt: (connections) => ({ callers: 100, connections }),
  },
  {
    // A connection of ours keeps 256 of them prepared.
    name: 'texts',
    title: 'distinct texts, 10 callers on 10 connections',
    along: 'texts',
    steps: [1, 10, 100, 256, 300, 1_000, 10_000],
    family: 'drizzle',
    subjects: ['drizzle + moorings', 'drizzle + postgres.js', 'drizzle + pg'],
    settingsAt: (texts) => ({ callers: 10, connections: 10, texts }),
  },
]
