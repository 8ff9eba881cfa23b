// What gets published, in the order of imports.

import { join } from 'node:path'
import { root } from './program.js'

export const packages = ['core', 'postgres', 'drizzle', 'kysely'].map((short) => ({
  name: `@moorings/${short}`,
  folder: join(root, 'packages', short),
}))
