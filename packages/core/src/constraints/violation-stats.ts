// How often which constraint was violated: what an application's users get wrong, and what its code does.

import {
  CheckViolationError,
  type ConstraintViolationError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NotNullViolationError,
  UniqueViolationError,
} from '../errors/constraint.js'
import { Tally } from '../tally.js'
import type { ViolationKind } from './errors-options.js'

/** More than most schemas have. */
const MOST = 500

/** `other`: of a kind that has no class. */
type Kind = ViolationKind | 'other'

/** How often one constraint was violated, of a partitioned table in any of its partitions. Times are `Date.now()`'s. */
export interface ConstraintViolations {
  readonly kind: Kind
  readonly schema: string | undefined
  readonly table: string | undefined
  /** Undefined of NOT NULL, which has no name: its column is in `columns`. */
  readonly constraint: string | undefined
  readonly columns: readonly string[] | undefined
  /** Of a foreign key. */
  readonly direction: 'missing-parent' | 'still-referenced' | undefined
  readonly count: number
  readonly firstSeenAt: number
  readonly lastSeenAt: number
}

/** Plain numbers and strings, fit for JSON. No values of rows. */
export interface ViolationStats {
  /** When counting began: the pool was made, or the counts were reset. */
  readonly since: number
  readonly total: number
  readonly byKind: Readonly<Record<Kind, number>>
  /** The most frequent first; at most 500. */
  readonly constraints: readonly ConstraintViolations[]
  /** Violations of constraints that are not kept, as there are too many. */
  readonly others: number
}

type Site = Omit<ConstraintViolations, 'count' | 'firstSeenAt' | 'lastSeenAt'>

export class ViolationAccounts {
  readonly #wallClock: () => number
  readonly #tally = new Tally<Site>(MOST)
  #byKind = none()
  #since: number

  constructor(wallClock: () => number = Date.now) {
    this.#wallClock = wallClock
    this.#since = wallClock()
  }

  /** To be called once for each violation, when all that can be known of its constraint is known. */
  noted(error: ConstraintViolationError): void {
    const { columns, partitionOf } = error
    const { schema, table } = partitionOf ?? error
    const constraint = partitionOf === undefined ? error.constraint : partitionOf.name
    const kind = kindOf(error)
    const direction = error instanceof ForeignKeyViolationError ? error.direction : undefined
    this.#byKind[kind]++
    // The server names a constraint or, of NOT NULL, a column; the rest may be learnt between one and the next.
    const which = kind === 'not-null' ? (columns ?? constraint) : (constraint ?? columns)
    const name = JSON.stringify([kind, schema, table, which, direction])
    const site = () => ({ kind, schema, table, constraint, columns: columns && [...columns], direction })
    this.#tally.note(name, site, this.#wallClock())
  }

  snapshot(): ViolationStats {
    const byKind = { ...this.#byKind }
    return {
      since: this.#since,
      total: Object.values(byKind).reduce((sum, count) => sum + count, 0),
      byKind,
      constraints: this.#tally.entries.map(({ thing, count, firstSeenAt, lastSeenAt }) => ({
        ...thing,
        count,
        firstSeenAt,
        lastSeenAt,
      })),
      others: this.#tally.others,
    }
  }

  /** Counts from zero again. */
  reset(): void {
    this.#tally.reset()
    this.#byKind = none()
    this.#since = this.#wallClock()
  }
}

function none(): Record<Kind, number> {
  return { unique: 0, 'foreign-key': 0, 'not-null': 0, check: 0, exclusion: 0, other: 0 }
}

export function kindOf(error: ConstraintViolationError): Kind {
  if (error instanceof UniqueViolationError) return 'unique'
  if (error instanceof ForeignKeyViolationError) return 'foreign-key'
  if (error instanceof NotNullViolationError) return 'not-null'
  if (error instanceof CheckViolationError) return 'check'
  if (error instanceof ExclusionViolationError) return 'exclusion'
  return 'other'
}
