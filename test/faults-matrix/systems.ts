// The columns of the matrix, those of a chaos run, and those that are wrong on purpose, by their names.

import { chaosDrizzle, chaosKysely } from '../chaos/ours.js'
import { broken } from './broken.js'
import { oursDrizzle, oursKysely } from './ours.js'
import { stock } from './stock.js'
import type { System } from './system.js'

export const systems: readonly System[] = [oursDrizzle, oursKysely, ...stock]

export function systemNamed(name: string): System {
  const found = [...systems, chaosDrizzle, chaosKysely, ...broken].find((system) => system.name === name)
  if (!found) throw new Error(`there is no system "${name}"`)
  return found
}
