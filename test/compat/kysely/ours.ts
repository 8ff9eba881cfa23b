// What is measured: the dialect an application swaps in, told the same as the stock one.

import { ResilientPostgresDialect } from '@moorings/kysely'
import type { MakeDialect } from './side.js'

export const ours: MakeDialect = (url, { max, types }) =>
  new ResilientPostgresDialect({ connection: url, resilience: { pool: { min: 0, max, overflow: 0 } }, types })
