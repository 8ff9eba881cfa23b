import { describe, expect, it } from '@jest/globals'
import type { DeadlockAdvice, UnindexedForeignKey } from './advice.js'
import type { Deadlock, DeadlockSide } from './deadlock.js'
import { DeadlockLog } from './deadlock-log.js'
import { deadlockReport, type Relations } from './deadlock-report.js'

const minute = 60_000

function side(statement: string | undefined, given: Partial<DeadlockSide> = {}): DeadlockSide {
  const unknown = { pid: 1, waitsFor: 'transaction', lockMode: 'ShareLock', relation: undefined, objects: [] } as const
  return { ...unknown, statement, ...given }
}

function between(...sides: DeadlockSide[]): Deadlock {
  return { sides, checked: [] }
}

/** A catalogue in which every name is a table. */
async function everyTable(names: readonly string[]): Promise<Relations> {
  return { tables: new Map(names.map((name) => [name, name])), parents: new Set(), unindexed: [] }
}

function logging() {
  const clock = { now: 1_000_000 }
  const log = new DeadlockLog(() => clock.now)
  return { clock, log, report: () => deadlockReport(log, everyTable) }
}

const setA = side('update a set x = ?')
const setB = side('update b set x = ?')

async function adviceFor(deadlock: Deadlock, known: Partial<Relations> = {}): Promise<readonly DeadlockAdvice[]> {
  const log = new DeadlockLog()
  log.noted(deadlock)
  const { pairs } = await deadlockReport(log, async (names) => ({ ...(await everyTable(names)), ...known }))
  return pairs.flatMap(({ advice }) => advice)
}

async function kindsFor(deadlock: Deadlock, known: Partial<Relations> = {}): Promise<string[]> {
  return (await adviceFor(deadlock, known)).map(({ kind }) => kind)
}

describe('pairs', () => {
  it('are the same whoever was the victim, counted with first and last time', async () => {
    const { clock, log, report } = logging()
    log.noted(between({ ...setA, pid: 11, relation: 'a' }, { ...setB, pid: 12 }))
    clock.now += minute
    log.noted(between({ ...setB, pid: 13, relation: 'b' }, { ...setA, pid: 14 }))
    const { total, pairs, others } = await report()
    expect({ total, others }).toEqual({ total: 2, others: 0 })
    expect(pairs).toMatchObject([{ count: 2, firstSeenAt: 1_000_000, lastSeenAt: 1_060_000, tables: ['a', 'b'] }])
    expect(pairs[0]?.sides.map(({ statement }) => statement)).toEqual([setA.statement, setB.statement])
  })

  it('of three are read in the order of their waiting: the other way round is another', async () => {
    const { log, report } = logging()
    const setC = side('update c set x = ?')
    for (const sides of [
      [setA, setB, setC],
      [setC, setA, setB],
      [setB, setA, setC],
    ])
      log.noted(between(...sides))
    expect((await report()).pairs.map(({ count }) => count)).toEqual([2, 1])
  })

  it('with a statement that is not known are told apart by what that waited for', async () => {
    const { log, report } = logging()
    log.noted(between(setA, side(undefined, { waitsFor: 'transaction' })))
    log.noted(between(setA, side(undefined, { waitsFor: 'relation', objects: [7, 5] })))
    log.noted(between(setA, side(undefined, { waitsFor: 'transaction' })))
    expect((await report()).pairs.map(({ count }) => count)).toEqual([2, 1])
  })

  it('beyond a hundred are summed, the rarest first', async () => {
    const { log, report } = logging()
    log.noted(between(setA, setB))
    log.noted(between(setA, setB))
    for (let name = 0; name < 300; name++) log.noted(between(side(`update t${name} set x = ?`), setB))
    const { pairs, others, total } = await report()
    expect(pairs).toHaveLength(100)
    expect(pairs[0]?.count).toBe(2)
    expect(others).toBe(302 - 2 - 99)
    expect(total).toBe(302)
  })

  it('are forgotten by a reset', async () => {
    const { clock, log, report } = logging()
    log.noted(between(setA, setB))
    clock.now += minute
    log.reset()
    expect(await report()).toMatchObject({ since: 1_060_000, total: 0, pairs: [], others: 0 })
  })
})

describe('severity', () => {
  it('follows the rate, and falls again when there are no more', async () => {
    const { clock, log, report } = logging()
    const severity = async () => (await report()).pairs[0]?.severity
    log.noted(between(setA, setB))
    expect(await severity()).toBe('low')
    for (let n = 0; n < 9; n++) log.noted(between(setA, setB))
    expect(await severity()).toBe('medium')
    for (let n = 0; n < 90; n++) log.noted(between(setA, setB))
    expect(await severity()).toBe('high')
    clock.now += 60 * minute
    expect(await severity()).toBe('medium')
    clock.now += 10 * 60 * minute
    expect(await severity()).toBe('low')
  })

  it('of one a minute comes to some sixty in an hour', async () => {
    const { clock, log, report } = logging()
    for (let n = 0; n < 600; n++) {
      clock.now += minute
      log.noted(between(setA, setB))
    }
    expect((await report()).pairs[0]?.perHour).toBeCloseTo(60, -1)
  })

  it('takes no notice of a wall clock that is set back', async () => {
    const { clock, log, report } = logging()
    log.noted(between(setA, setB))
    clock.now -= 1_000 * minute
    log.noted(between(setA, setB))
    expect((await report()).pairs[0]?.perHour).toBe(2)
  })
})

describe('advice', () => {
  it('for rows of one table: their order', async () => {
    const deadlock = between(setA, side('update a set y = ? where id = $1'))
    expect(await kindsFor(deadlock)).toEqual(['row-order', 'retry'])
  })

  it('for two tables: the order of the tables', async () => {
    expect(await kindsFor(between(setA, setB))).toEqual(['table-order', 'retry'])
  })

  it('for the same keys inserted: the order of the keys', async () => {
    const insert = side('insert into a values (?)')
    expect(await kindsFor(between(insert, insert))).toEqual(['insert-order', 'retry'])
  })

  it('for a foreign key that was being checked, and has no index: both', async () => {
    const deadlock: Deadlock = {
      sides: [side('insert into children values (?)'), side('delete from parents where id = $1')],
      checked: ['parents'],
    }
    const key: UnindexedForeignKey = {
      name: 'fk',
      schema: 'public',
      table: 'children',
      columns: ['parent_id'],
      references: { schema: 'public', table: 'parents' },
      remedy: 'CREATE INDEX CONCURRENTLY ON "public"."children" ("parent_id")',
    }
    expect(await kindsFor(deadlock, { unindexed: [key] })).toEqual([
      'foreign-key-index',
      'parent-first',
      'table-order',
      'retry',
    ])
    const elsewhere = { ...key, table: 'others' }
    expect(await kindsFor(deadlock, { unindexed: [elsewhere] })).toEqual(['parent-first', 'table-order', 'retry'])
  })

  it('for inserts that wait for a parent: the order of the parents, not of keys of their own', async () => {
    const insert = side('insert into orders values (?)')
    const deadlock: Deadlock = { sides: [{ ...insert, relation: 'users' }, insert], checked: ['users'] }
    const advice = await adviceFor(deadlock)
    expect(advice.map(({ kind }) => kind)).toEqual(['parent-first', 'row-order', 'retry'])
    expect(advice[1]?.text).toContain('Rows of users ')
  })

  it('for rows deleted that foreign keys refer to: that children written before have locked them, too', async () => {
    const remove = side('delete from users where id = $1')
    const deadlock = between({ ...remove, relation: 'users' }, remove)
    const advice = await adviceFor(deadlock, { parents: new Set(['users']) })
    expect(advice.map(({ kind }) => kind)).toEqual(['parent-first', 'row-order', 'retry'])
    expect(advice[0]?.text).toContain('Foreign keys refer to users')
    expect(await kindsFor(deadlock)).toEqual(['row-order', 'retry'])
    const update = side('update users set name = ?')
    expect(await kindsFor(between(update, update), { parents: new Set(['users']) })).toEqual(['row-order', 'retry'])
  })

  it('for locks of tables, explicit ones, and advisory ones', async () => {
    const lock = side('lock table a in share mode', { waitsFor: 'relation', objects: [7, 5] })
    expect(await kindsFor(between(lock, setA))).toEqual(['table-locks', 'row-order', 'serializable', 'retry'])
    const advisory = side('select pg_advisory_lock(?)', { waitsFor: 'advisory' })
    expect(await kindsFor(between(advisory, advisory))).toEqual(['advisory-locks', 'retry'])
    const rows = side('select * from a where id = $1 for update')
    expect(await kindsFor(between(rows, rows))).toEqual(['row-order', 'serializable', 'retry'])
  })

  it('where nothing is known: one order for all', async () => {
    expect(await kindsFor(between(setA, side(undefined)))).toEqual(['lock-order', 'retry'])
  })
})

describe('a report', () => {
  it('does without the catalogue when that cannot be asked, and says so', async () => {
    const { log } = logging()
    log.noted(between({ ...setA, relation: 'a_index' }, setB))
    const report = await deadlockReport(log, () => Promise.reject(new Error('no connection')))
    expect(report).toMatchObject({ unindexedForeignKeys: undefined, pairs: [{ tables: ['a', 'a_index', 'b'] }] })
  })

  it('does not ask it where there was no deadlock', async () => {
    const { log } = logging()
    const report = await deadlockReport(log, () => Promise.reject(new Error('asked')))
    expect(report).toMatchObject({ total: 0, unindexedForeignKeys: [] })
  })

  it('asks about so many relations at most', async () => {
    const { log } = logging()
    for (let name = 0; name < 90; name++) {
      log.noted(between(side(`update t${name} set x = ?`, { waitsFor: 'relation', objects: [name, 5] }), setB))
    }
    let asked: readonly number[] = []
    await deadlockReport(log, async (names, ids) => {
      asked = [names.length, ids.length]
      return everyTable(names)
    })
    expect(asked).toEqual([50, 50])
  })

  it('calls tables by the names that the catalogue has for names, indexes and numbers', async () => {
    const { log } = logging()
    log.noted(
      between(
        side('insert into a values (?)', { relation: 'a_key' }),
        side(undefined, { waitsFor: 'relation', objects: [7, 5] }),
      ),
    )
    const tables = new Map<string | number, string>([
      ['a', 'a'],
      ['a_key', 'a'],
      [7, 'seven'],
    ])
    const report = await deadlockReport(log, async () => ({ tables, parents: new Set(), unindexed: [] }))
    expect(report.pairs[0]?.tables).toEqual(['a', 'seven'])
  })

  it('is plain', async () => {
    const { log, report } = logging()
    log.noted(between(setA, setB))
    const told = await report()
    expect(JSON.parse(JSON.stringify(told))).toMatchObject({ total: 1, pairs: [{ count: 1 }] })
  })
})
