// What a pool tells of its deadlocks: who with whom, how often, how bad it is, and what may be done.

import { adviceOn, type DeadlockAdvice, type UnindexedForeignKey } from './advice.js'
import type { DeadlockSide } from './deadlock.js'
import type { DeadlockLog, LoggedPair } from './deadlock-log.js'

/** From so many deadlocks an hour on. A transaction that is run again costs time; one a minute costs users. */
const MEDIUM = 5
const HIGH = 60
/** The catalogue is asked about so many relations at most. */
const MOST_ASKED = 50

/** Transactions that were in each other's way. Times are `Date.now()`'s. */
export interface DeadlockPair {
  /** Each waits for the next, and the last for the first; the same order whoever was the victim. */
  readonly sides: readonly Omit<DeadlockSide, 'pid' | 'objects'>[]
  /** The tables involved, as far as they are known. */
  readonly tables: readonly string[]
  readonly count: number
  readonly firstSeenAt: number
  readonly lastSeenAt: number
  /** How many there are in an hour, by those of the last hours. */
  readonly perHour: number
  /** `medium` from 5 in an hour on, `high` from 60 on. */
  readonly severity: 'low' | 'medium' | 'high'
  /** What is most likely to help first. */
  readonly advice: readonly DeadlockAdvice[]
}

/** Plain numbers and strings, fit for JSON. No values: statements are shown with `?` for each literal. */
export interface DeadlockReport {
  /** When counting began. */
  readonly since: number
  readonly total: number
  /** The most frequent first; at most 100. */
  readonly pairs: readonly DeadlockPair[]
  /** Deadlocks of pairs that are not kept, as there are too many. */
  readonly others: number
  /** Among the tables involved; undefined when the database could not be asked. */
  readonly unindexedForeignKeys: readonly UnindexedForeignKey[] | undefined
}

/** What a driver can tell of relations. */
export interface Relations {
  /** The tables that names and numbers of tables and indexes stand for. */
  readonly tables: ReadonlyMap<string | number, string>
  /** Of these tables those that foreign keys refer to. */
  readonly parents: ReadonlySet<string>
  /** Of those tables, and to them. */
  readonly unindexed: readonly UnindexedForeignKey[]
}

/** @param ask what the catalogue knows of relations, by name or number; if it fails, the report does without */
export async function deadlockReport(
  log: DeadlockLog,
  ask: (names: readonly string[], ids: readonly number[]) => Promise<Relations>,
): Promise<DeadlockReport> {
  const { pairs, total, since, others } = log
  const names = [...new Set(pairs.flatMap(({ thing }) => [...thing.relations]))].slice(0, MOST_ASKED)
  const ids = [...new Set(pairs.flatMap(({ thing }) => [...thing.relationIds]))].slice(0, MOST_ASKED)
  let relations: Relations | undefined = { tables: new Map(), parents: new Set(), unindexed: [] }
  if (names.length + ids.length > 0) relations = await ask(names, ids).catch(() => undefined)
  return {
    since,
    total,
    pairs: pairs.map((pair) => described(pair, relations)),
    others,
    unindexedForeignKeys: relations?.unindexed,
  }
}

function described(pair: LoggedPair, relations: Relations | undefined): DeadlockPair {
  const { thing, count, firstSeenAt, lastSeenAt } = pair
  const { sides, checked } = thing
  const perHour = Math.round(pair.perHour * 100) / 100
  const severity = perHour >= HIGH ? 'high' : perHour >= MEDIUM ? 'medium' : 'low'
  const tables = tablesOf(pair, relations)
  const unindexed = (relations?.unindexed ?? []).filter(
    ({ table, references }) => tables.includes(table) && tables.includes(references.table),
  )
  return {
    sides: sides.map(({ statement, waitsFor, lockMode, relation }) => ({ statement, waitsFor, lockMode, relation })),
    tables,
    count,
    firstSeenAt,
    lastSeenAt,
    perHour,
    severity,
    advice: adviceOn({ sides, checked: [...checked], parents: relations?.parents ?? new Set(), unindexed, severity }),
  }
}

/** Where the catalogue could be asked, what it does not know is none. */
function tablesOf({ thing }: LoggedPair, relations: Relations | undefined): readonly string[] {
  if (relations === undefined) return [...thing.relations].sort()
  const known = [...thing.relations, ...thing.relationIds].map((relation) => relations.tables.get(relation))
  return [...new Set(known.filter((table) => table !== undefined))].sort()
}
