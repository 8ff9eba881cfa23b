import { describe, expect, it } from '@jest/globals'
import { checkedIn, relationIn, waitsIn } from './deadlock-detail.js'

/** The sentence about a wait, as PostgreSQL 15 has it in its translations, and a row, a relation and a transaction in it. */
const languages = [
  {
    language: 'English',
    wait: (pid: number, mode: string, what: string, by: number) =>
      `Process ${pid} waits for ${mode} on ${what}; blocked by process ${by}.`,
    transaction: 'transaction 812',
    relation: 'relation 16384 of database 5',
    row: 'tuple (0,7) of relation 16384 of database 5',
  },
  {
    language: 'German',
    wait: (pid: number, mode: string, what: string, by: number) =>
      `Prozess ${pid} wartet auf ${mode}-Sperre auf ${what}; blockiert von Prozess ${by}.`,
    transaction: 'Transaktion 812',
    relation: 'Relation 16384 der Datenbank 5',
    row: 'Tupel (0, 7) von Relation 16384 von Datenbank 5',
  },
  {
    language: 'Japanese',
    wait: (pid: number, mode: string, what: string, by: number) =>
      `プロセス ${pid} は ${mode} を ${what} で待機していましたが、プロセス ${by} でブロックされました`,
    transaction: 'トランザクション 812',
    relation: 'データベース5のリレーション16384',
    row: 'データベース5のリレーション16384のタプル(7,0)',
  },
  {
    language: 'Korean',
    wait: (pid: number, mode: string, what: string, by: number) =>
      `${pid} 프로세스가 ${mode} 상태로 지연되고 있음(해당 작업: ${what}); ${by} 프로세스에 의해 블록킹되었음`,
    transaction: '트랜잭션 812',
    relation: '릴레이션 16384, 데이터베이스 5',
    row: '튜플 (0,7), 릴레이션 16384, 데이터베이스 5',
  },
  {
    language: 'Chinese',
    wait: (pid: number, mode: string, what: string, by: number) =>
      `进程${pid}等待在${what}上的${mode}; 由进程${by}阻塞.`,
    transaction: '事务 812',
    relation: '数据库5的关系16384',
    row: '数据库5的关系16384中的元组(0,7)',
  },
]

describe.each(languages)('DETAIL in $language', ({ wait, transaction, relation, row }) => {
  it('tells who waits for whom, in which mode', () => {
    const detail = [wait(101, 'ShareLock', transaction, 102), wait(102, 'AccessExclusiveLock', transaction, 101)]
    expect(waitsIn(detail.join('\n'))).toEqual([
      { pid: 101, blockedBy: 102, lockMode: 'ShareLock', waitsFor: 'transaction', objects: [] },
      { pid: 102, blockedBy: 101, lockMode: 'AccessExclusiveLock', waitsFor: 'transaction', objects: [] },
    ])
  })

  it('tells for what: a relation, or a row of one', () => {
    const detail = [wait(101, 'ExclusiveLock', row, 102), wait(102, 'RowExclusiveLock', relation, 101)]
    const [first, second] = waitsIn(detail.join('\n'))
    expect(first).toMatchObject({ waitsFor: 'row', lockMode: 'ExclusiveLock' })
    expect(second).toMatchObject({ waitsFor: 'relation', lockMode: 'RowExclusiveLock' })
    for (const found of [first, second]) expect([...(found?.objects ?? [])].sort()).toEqual([16384, 5])
  })
})

describe('DETAIL', () => {
  const line = (pid: number, what: string, by: number) =>
    `Process ${pid} waits for X on ${what}; blocked by process ${by}.`
  const first = (what: string) => waitsIn([line(1, what, 2), line(2, what, 1)].join('\n'))[0]

  it('tells advisory locks by their keys, and what else there is', () => {
    expect(first('advisory lock [5,0,42,1]')).toMatchObject({ waitsFor: 'advisory', objects: [5, 0, 42, 1] })
    expect(first('virtual transaction 3/812')).toMatchObject({ waitsFor: 'transaction', objects: [] })
    expect(first('page 3 of relation 16384 of database 5')).toMatchObject({ waitsFor: 'other' })
    expect(first('transaction 812')?.lockMode).toBeUndefined()
  })

  it('of three tells all three', () => {
    const detail = [line(1, 'transaction 8', 2), line(2, 'transaction 9', 3), line(3, 'transaction 7', 1)].join('\n')
    expect(waitsIn(detail).map(({ pid }) => pid)).toEqual([1, 2, 3])
  })

  it.each([
    undefined,
    '',
    'made up by a function',
    'Process 1 waits for 2',
    'Process 1 waits for ShareLock on transaction 812; blocked by process 2.',
    `${line(1, 'transaction 8', 2)}\n${line(3, 'transaction 9', 1)}`,
    `${line(1, 'transaction 8', 2)}\nand so on`,
  ])('that is no circle tells nothing: %s', (detail) => {
    expect(waitsIn(detail)).toEqual([])
  })
})

describe('CONTEXT', () => {
  it.each([
    ['while updating tuple (0,1) in relation "accounts"', 'accounts'],
    ['while inserting index tuple (0,1) in relation "Accounts key"\nSQL statement "…"', 'Accounts key'],
    ['beim Aktualisieren von Tupel (0,1) in Relation »accounts«', 'accounts'],
    ["lors de l'insertion de l'enregistrement (0, 1) de l'index dans la relation « accounts »", 'accounts'],
    ['リレーション"accounts"のタプル(0,1)の更新中', 'accounts'],
    ['0,1 튜플(해당 릴레이션 "accounts")을 갱신하는 중에 발생', 'accounts'],
    ['SQL statement "update accounts set x = 1 where id in (1,2)"', undefined],
    ['SQL statement "update "accounts" set x = f(1,2) where "id" = 1"', undefined],
    ['PL/pgSQL function move(integer,integer) line 3 at SQL statement', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('names the relation where the victim waited, in any language, and quotes no statement: %s', (where, relation) => {
    expect(relationIn(where)).toBe(relation)
  })

  it('names the tables that a foreign key was being checked in', () => {
    const check = 'SELECT 1 FROM ONLY "public"."parents" x WHERE "id" OPERATOR(pg_catalog.=) $1 FOR KEY SHARE OF x'
    const cascade = 'DELETE FROM ONLY "a b"."chil""dren" WHERE $1 OPERATOR(pg_catalog.=) "parent_id"'
    const where = `while locking tuple (0,1) in relation "parents"\nSQL statement "${check}"\nSQL-Anweisung »${cascade}«`
    expect(checkedIn(where)).toEqual(['parents', 'chil"dren'])
    expect(checkedIn('SQL statement "DELETE FROM ONLY "public"."children" WHERE x = 1"')).toEqual([])
    expect(checkedIn(undefined)).toEqual([])
  })
})
