// All benches there are, in the order in which they run.

import type { Bench } from './harness.js'
import { micro } from './micro.js'
import { pool } from './pool.js'

export const benches: readonly Bench[] = [pool, micro]
