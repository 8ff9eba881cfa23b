// What may be said of a pool's replicas as a whole.

import type { z } from 'zod'
import { strictOptions } from '../option-problems.js'
import { milliseconds } from '../option-schemas.js'

/** When a replica is read from. */
export interface ReplicasOptions {
  /**
   * A replica that shows less than what the primary had this many milliseconds ago, as of the last check, is not read from.
   * Default 10 000; 0 = however old, and from the first moment on, also while the primary cannot be reached.
   */
  maxLagMs?: number | undefined
  /**
   * How often the primary is asked where its log is, and each replica how much of it it shows, in milliseconds. Default
   * 1 000. A check also connects to a replica that was down.
   */
  checkEveryMs?: number | undefined
}

/** The same with every default filled in. */
export type ResolvedReplicasOptions = { readonly [Name in keyof ReplicasOptions]-?: number }

export const replicasOptions: z.ZodType<ResolvedReplicasOptions> & { readonly shape: object } = strictOptions({
  maxLagMs: milliseconds(0).default(10_000),
  checkEveryMs: milliseconds(1).default(1_000),
} satisfies Record<keyof ReplicasOptions, z.ZodType>)
