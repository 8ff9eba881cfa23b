// What may be done about two transactions that deadlock, drawn from what they were doing.

import type { DeadlockSide } from './deadlock.js'
import { type StatementTarget, targetOf } from './statement-target.js'

/** A foreign key without an index on its columns, so that each change of a parent reads the whole table of its children. */
export interface UnindexedForeignKey {
  readonly name: string
  readonly schema: string
  readonly table: string
  readonly columns: readonly string[]
  readonly references: { readonly schema: string; readonly table: string }
  /** The statement that would make one: CONCURRENTLY, so not in a transaction, except of a partitioned table. */
  readonly remedy: string
}

/**
 * - `row-order`: rows of one table, changed in different orders
 * - `table-order`: tables, written in different orders
 * - `insert-order`: the same keys, inserted in different orders
 * - `foreign-key-index`: a foreign key without an index
 * - `parent-first`: a parent's row that is locked after its children's
 * - `table-locks`: locks of whole tables
 * - `advisory-locks`: advisory locks, taken in different orders
 * - `serializable`: explicit locks, which serializable transactions do without
 * - `retry`: rare enough to be left to `withTransaction`
 * - `lock-order`: nothing more is known
 */
export type AdviceKind =
  | 'row-order'
  | 'table-order'
  | 'insert-order'
  | 'foreign-key-index'
  | 'parent-first'
  | 'table-locks'
  | 'advisory-locks'
  | 'serializable'
  | 'retry'
  | 'lock-order'

export interface DeadlockAdvice {
  readonly kind: AdviceKind
  readonly text: string
}

/** What advice is drawn from. */
export interface Pattern {
  readonly sides: readonly DeadlockSide[]
  /** Tables where a foreign key's rows were being looked for. */
  readonly checked: readonly string[]
  /** Tables that foreign keys refer to. */
  readonly parents: ReadonlySet<string>
  /** Of the tables involved. */
  readonly unindexed: readonly UnindexedForeignKey[]
  readonly severity: 'low' | 'medium' | 'high'
}

/** What is most likely to help first. */
export function adviceOn({ sides, checked, parents, unindexed, severity }: Pattern): readonly DeadlockAdvice[] {
  const targets = sides.map(({ statement }) => (statement === undefined ? undefined : targetOf(statement)))
  const advice: DeadlockAdvice[] = []
  const give = (kind: AdviceKind, text: string) => advice.push({ kind, text })

  if (sides.some(({ waitsFor }) => waitsFor === 'advisory')) {
    give('advisory-locks', 'Take advisory locks in the same order everywhere, as by ascending key')
  }
  if (locksTables(sides, targets)) {
    give(
      'table-locks',
      'A whole table is locked: take the strongest lock that a transaction will need before all others, and run changes of the schema by themselves, with a lock_timeout',
    )
  }
  for (const { table, columns, references, remedy } of unindexed) {
    give(
      'foreign-key-index',
      `${table} (${columns.join(', ')}) refers to ${references.table} and has no index: each delete or change of key there reads all of ${table} while it holds its locks. ${remedy}`,
    )
  }
  const parent = targets.find((target) => target?.action === 'delete' && parents.has(target.relation ?? ''))?.relation
  if (checked.length > 0)
    give('parent-first', `A foreign key was being checked, which locks the parent's row: ${lockParents}`)
  else if (parent !== undefined) {
    give(
      'parent-first',
      `Foreign keys refer to ${parent}: where these transactions have written children before, that has locked the parents' rows: ${lockParents}`,
    )
  }
  const order = orderOf(targets, checked)
  if (order !== undefined) advice.push(order)
  if (targets.some((target) => target?.action === 'lock-rows' || target?.action === 'lock-table')) {
    give(
      'serializable',
      'Serializable transactions need no explicit locks: without them there is less to deadlock on, and what conflicts is run again',
    )
  }
  if (advice.length === 0) {
    give('lock-order', 'Have all transactions lock what they share in the same order')
  }
  if (severity === 'low') {
    give('retry', 'It is rare: withTransaction runs the victim again, and nothing more may be needed')
  }
  return advice
}

const lockParents =
  'lock it before its children are written or deleted, by SELECT … FOR NO KEY UPDATE where it stays and FOR UPDATE where it is to be deleted'

function locksTables(sides: readonly DeadlockSide[], targets: readonly (StatementTarget | undefined)[]): boolean {
  return (
    sides.some(({ waitsFor }) => waitsFor === 'relation') || targets.some((target) => target?.action === 'lock-table')
  )
}

/** Each waits for a row in the table that its statement is about; what it waits for, the other one has locked before. */
function orderOf(
  targets: readonly (StatementTarget | undefined)[],
  checked: readonly string[],
): DeadlockAdvice | undefined {
  const known = targets.filter((target) => target?.relation !== undefined)
  const tables = [...new Set(known.map((target) => target?.relation))]
  const [table] = tables
  if (table === undefined || known.length < targets.length) return undefined
  if (tables.length > 1) {
    const names = tables.toSorted().join(', ')
    return {
      kind: 'table-order',
      text: `These transactions come to ${names} in different orders: use one order everywhere, or lock the rows that come last first (SELECT … FOR UPDATE)`,
    }
  }
  if (known.every((target) => target?.action === 'insert')) {
    const [parents] = checked
    // It is not for keys of theirs that they wait, but for rows that they refer to.
    if (parents !== undefined) return rowOrder(parents)
    return {
      kind: 'insert-order',
      text: `The same unique keys of ${table} are inserted in different orders: sort rows by that key before they are inserted`,
    }
  }
  return rowOrder(table)
}

function rowOrder(table: string): DeadlockAdvice {
  return {
    kind: 'row-order',
    text: `Rows of ${table} are locked in different orders: change them in the order of their key, or lock them all at once before the first change: SELECT … FROM ${table} WHERE … ORDER BY key FOR UPDATE`,
  }
}
