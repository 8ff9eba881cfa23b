// What is measured against the stock dialect.

import { ours } from './ours.js'
import type { MakeDialect } from './side.js'
import { stock } from './stock.js'

/**
 * Ours. MOORINGS_COMPAT=stock compares the stock dialect with itself, to show that an operation does what its name says
 * and that its outcome is the same each time.
 */
export const subject: MakeDialect = process.env.MOORINGS_COMPAT === 'stock' ? stock : ours
