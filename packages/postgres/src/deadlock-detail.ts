// What the server says of a deadlock to its victim, in any language: the numbers, the names of lock modes and what stands
// in brackets and quotes are the same in all of them. The sentences come from `DeadLockReport` and `DescribeLockTag` of
// PostgreSQL (storage/lmgr), their places in a row of languages from its translations.

import type { LockedObject } from '@moorings/core'

/** One line of DETAIL: `Process 7 waits for ShareLock on transaction 812; blocked by process 9.` */
export interface Wait {
  readonly pid: number
  readonly blockedBy: number
  readonly lockMode: string | undefined
  readonly waitsFor: LockedObject
  /** Of a relation its number, beside that of its database: which is which depends on the language. */
  readonly objects: readonly number[]
}

const modes =
  /\b(?:AccessShareLock|RowShareLock|RowExclusiveLock|ShareUpdateExclusiveLock|ShareLock|ShareRowExclusiveLock|ExclusiveLock|AccessExclusiveLock)\b/

/**
 * The circle, from the victim on: each is blocked by the next. Empty where the text does not say so: it may come from
 * somebody's own RAISE.
 */
export function waitsIn(detail: string | undefined): readonly Wait[] {
  if (detail === undefined) return []
  const waits: Wait[] = []
  for (const line of detail.split('\n')) {
    const wait = waitIn(line)
    if (wait === undefined) return []
    waits.push(wait)
  }
  const isCircle = waits.every(({ blockedBy }, at) => waits[(at + 1) % waits.length]?.pid === blockedBy)
  return isCircle ? waits : []
}

/** The one that waits is named first and its blocker last, whatever stands in between. */
function waitIn(line: string): Wait | undefined {
  const numbers = line.match(/\d+/g)?.map(Number) ?? []
  const pid = numbers[0]
  const blockedBy = numbers.at(-1)
  if (pid === undefined || blockedBy === undefined || numbers.length < 3) return undefined
  const objects = numbers.slice(1, -1)
  return { pid, blockedBy, lockMode: modes.exec(line)?.[0], ...objectOf(line, objects) }
}

function objectOf(line: string, numbers: readonly number[]): Pick<Wait, 'waitsFor' | 'objects'> {
  const tuple = /\((\d+), ?(\d+)\)/.exec(line)
  if (tuple !== null) {
    const [block, offset] = tuple.slice(1).map(Number)
    // The row's place in the table says nothing; the numbers beside it are those of the table and its database.
    const rest = [...numbers]
    for (const one of [block, offset]) if (one !== undefined) rest.splice(rest.indexOf(one), 1)
    return { waitsFor: 'row', objects: rest }
  }
  if (/\[\d+(?:,\d+)+\]/.test(line)) return { waitsFor: 'advisory', objects: numbers }
  if (/\d+\/\d+/.test(line)) return { waitsFor: 'transaction', objects: [] }
  // A transaction's number is another one each time.
  if (numbers.length === 1) return { waitsFor: 'transaction', objects: [] }
  if (numbers.length === 2) return { waitsFor: 'relation', objects: numbers }
  return { waitsFor: 'other', objects: [] }
}

const quotes = '"«»“”„「」『』'
const inQuotes = new RegExp(`^([^${quotes}]*)[${quotes}]([^${quotes}]+)[${quotes}]([^${quotes}]*)$`)

/**
 * Where the victim was blocked, from the first line of CONTEXT: `while updating tuple (0,1) in relation "accounts"`. Other
 * lines may quote a statement: what is in quotes is a relation only where a row's place stands beside it.
 */
export function relationIn(where: string | undefined): string | undefined {
  const [line = ''] = (where ?? '').split('\n', 1)
  const [, before = '', name = '', after = ''] = inQuotes.exec(line) ?? []
  return /\d+, ?\d+/.test(`${before}|${after}`) ? name.trim() : undefined
}

/**
 * Tables that the server was looking into on its own account, which it does for foreign keys: in its statements, which
 * CONTEXT quotes, names and operators are written out as nobody else does.
 */
export function checkedIn(where: string | undefined): readonly string[] {
  if (where?.includes('OPERATOR(pg_catalog.') !== true) return []
  const found = where.matchAll(/\b(?:FROM|UPDATE) (?:ONLY )?"(?:[^"]|"")+"\."((?:[^"]|"")+)"(?= (?:x|WHERE|SET)\b)/g)
  return [...new Set([...found].map(([, table = '']) => table.replaceAll('""', '"')))]
}
