// All that are compared, in the order in which they run.

import type { Family } from './subject.js'

/** By their names. Each is loaded by who needs it: see {@link Subject.open}. */
const families = {
  drizzle: () => import('./drizzle.js'),
  kysely: () => import('./kysely.js'),
  raw: () => import('./raw.js'),
} as const

export type FamilyName = keyof typeof families

export const familyNames: readonly FamilyName[] = ['drizzle', 'kysely', 'raw']

export async function loadFamily(name: FamilyName): Promise<Family> {
  const { family } = await families[name]()
  return family
}
