// What the callers ask for.

import type { Operations } from './subject.js'
import { accountsInAll, rowsAtOnce } from './tables.js'

export interface Load {
  /** As it is asked for, and as its charts are called. */
  readonly name: string
  readonly title: string
  /** Says little that the others do not: it is put on in one setting only, unless others are asked for. */
  readonly lesser?: true
  /** The n-th thing that a caller asks for. */
  ask(operations: Operations, n: number): Promise<unknown>
}

export const loads: readonly Load[] = [
  { name: 'select', title: 'point select', ask: select },
  { name: 'insert', title: 'insert', lesser: true, ask: insert },
  { name: 'transaction', title: '3-statement transaction', ask: transaction },
  { name: 'rows', title: `${rowsAtOnce}-row select`, lesser: true, ask: rows },
  { name: 'mixed', title: 'mixed', lesser: true, ask: mixed },
]

async function select(operations: Operations, n: number): Promise<void> {
  expectRows(await operations.select(accountOf(n)), 1)
}

function insert(operations: Operations, n: number): Promise<unknown> {
  return operations.insert(accountOf(n))
}

function transaction(operations: Operations, n: number): Promise<unknown> {
  return operations.transaction(accountOf(n))
}

async function rows(operations: Operations, n: number): Promise<void> {
  expectRows(await operations.rows(1 + (accountOf(n) % (accountsInAll - rowsAtOnce))), rowsAtOnce)
}

/** 8 selects : 1 insert : 1 transaction. */
function mixed(operations: Operations, n: number): Promise<unknown> {
  const turn = n % 10
  if (turn === 4) return insert(operations, n)
  if (turn === 9) return transaction(operations, n)
  return select(operations, n)
}

/** All over the table, by strides of a prime. */
function accountOf(n: number): number {
  return 1 + ((n * 7_919) % accountsInAll)
}

/** Nobody is fast by leaving something out. */
function expectRows({ length }: readonly unknown[], expected: number): void {
  if (length !== expected) throw new Error(`${length} rows came instead of ${expected}`)
}
