// All that are compared, in the order in which they run.

import { drizzleFamily } from './drizzle.js'
import { kyselyFamily } from './kysely.js'
import { rawFamily } from './raw.js'
import type { Family } from './subject.js'

export const families: readonly Family[] = [drizzleFamily, kyselyFamily, rawFamily]
