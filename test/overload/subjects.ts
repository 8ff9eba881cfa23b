// All that are compared, in the order of the table.

import { oursDrizzle, oursDrizzleTransaction, oursKysely, oursUntold, oursWithShortLine } from './ours.js'
import { stockKysely, stockPg, stockPostgresJs } from './stock.js'
import type { Subject } from './subject.js'

export const subjects: readonly Subject[] = [
  oursDrizzle('adaptive'),
  oursDrizzleTransaction('adaptive'),
  oursKysely('adaptive'),
  oursKysely('adaptive', 'signal'),
  oursDrizzle('fifo'),
  oursDrizzleTransaction('fifo'),
  oursKysely('fifo'),
  oursKysely('fifo', 'signal'),
  oursWithShortLine,
  oursUntold,
  stockPostgresJs,
  stockPg,
  stockKysely,
]
