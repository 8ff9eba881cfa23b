// Moorings as it is told how many connections it has, and nothing else.

import type { ResilienceOptions } from '@moorings/core'

/** Without overflow: five connections more under load would be no fair comparison. */
export function poolOf(connections: number): ResilienceOptions {
  return { pool: { max: connections, overflow: 0 } }
}
