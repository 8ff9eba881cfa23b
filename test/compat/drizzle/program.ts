// The whole program, by chapters.

import type { Operation } from './operation.js'
import { arrayTypes } from './operations/arrays.js'
import { cached } from './operations/caching.js'
import { clientFragments } from './operations/client-fragments.js'
import { clientResults } from './operations/client-results.js'
import { clientServices } from './operations/client-services.js'
import { clientTransactions } from './operations/client-transactions.js'
import { configuration } from './operations/configuration.js'
import { connectionOptions } from './operations/connection-options.js'
import { executing } from './operations/executing.js'
import { failures } from './operations/failures.js'
import { forms } from './operations/forms.js'
import { migrating } from './operations/migrating.js'
import { momentTypes } from './operations/moments.js'
import { prepared } from './operations/prepared.js'
import { reading } from './operations/reading.js'
import { relational } from './operations/relational.js'
import { repeating } from './operations/repeating.js'
import { savepoints } from './operations/savepoints.js'
import { scalars } from './operations/scalars.js'
import { transactions } from './operations/transactions.js'
import { writing } from './operations/writing.js'

export const program: Readonly<Record<string, readonly Operation[]>> = {
  'forms of drizzle()': forms,
  'connection options': connectionOptions,
  migrations: migrating,
  writing,
  reading,
  'relational queries': relational,
  'prepared queries': prepared,
  'statements that repeat': repeating,
  'db.execute': executing,
  'scalar types': scalars,
  'dates and times': momentTypes,
  arrays: arrayTypes,
  transactions,
  'nested transactions': savepoints,
  failures,
  'logger, casing and replicas': configuration,
  cache: cached,
  'client: templates and helpers': clientFragments,
  'client: results': clientResults,
  'client: transactions': clientTransactions,
  'client: services': clientServices,
}
