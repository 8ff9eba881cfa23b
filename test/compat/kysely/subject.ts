// What is measured against the stock dialect.

import { ours } from './ours.js'
import type { MakeDialect } from './side.js'
import { stock } from './stock.js'

/**
 * Compared with itself, the stock dialect shows that an operation does what its name says and that its outcome is the
 * same each time. MOORINGS_COMPAT=ours compares it with ours.
 */
export const subject: MakeDialect = process.env.MOORINGS_COMPAT === 'ours' ? ours : stock
