// E6: which indexes will do for a foreign key. The report on deadlocks asks the catalogue about the tables that a victim's
// statement was about; the deadlocks themselves are made up.

import { beforeAll, describe, expect, it } from '@jest/globals'
import type { UnindexedForeignKey } from '@moorings/core'
import { createPool } from '@moorings/postgres'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

beforeAll(() =>
  scene.admin.query(`
    create function fall() returns int language plpgsql as $$
      begin raise exception 'made up' using errcode = '40P01'; end $$;
    create table parents (a int, b int, c int unique, primary key (a, b));
    create schema elsewhere;
    create table elsewhere."Odd ""name""" (x int, "the Parent" int references parents (c))`),
)

async function reportAbout(table: string): Promise<readonly UnindexedForeignKey[]> {
  const pool = scene.closing(createPool(scene.directUrl))
  await pool.lease(({ connection }) => errorOf(connection.execute({ text: `insert into ${table} (x) select fall()` })))
  const { unindexedForeignKeys } = await pool.deadlockReport()
  if (unindexedForeignKeys === undefined) throw new Error('The catalogue was not asked')
  return unindexedForeignKeys
}

const single = 'p int references parents (c)'
const composite = 'p int, q int, foreign key (p, q) references parents (a, b)'

describe('E6: a foreign key', () => {
  it.each([
    ['without any', single, [], true],
    ['with one on another column', single, ['create index on t (x)'], true],
    ['with one on its column', single, ['create index on t (p)'], false],
    ['with one that begins with its column', single, ['create index on t (p, x)'], false],
    ['with one that ends with its column', single, ['create index on t (x, p)'], true],
    ['with a unique constraint', `${single} unique`, [], false],
    ['with a hash index', single, ['create index on t using hash (p)'], false],
    ['with a BRIN index, which knows no rows', single, ['create index on t using brin (p)'], true],
    ['with one of an expression', single, ['create index on t ((p + 1))'], true],
    ['with one of rows that are not null', single, ['create index on t (p) where p is not null'], false],
    ['with one of some rows', single, ['create index on t (p) where x > 0'], true],
    ['of two columns, with one on the first', composite, ['create index on t (p)'], true],
    ['of two columns, with one on both', composite, ['create index on t (p, q)'], false],
    ['of two columns, with one in the other order', composite, ['create index on t (q, p, x)'], false],
  ])('%s', async (_name, columns, statements, isMissing) => {
    await scene.admin.query('drop table if exists t')
    await scene.admin.query(`create table t (x int, ${columns})`)
    for (const statement of statements) await scene.admin.query(statement)
    const found = (await reportAbout('t')).map((key) => key.columns)
    expect(found).toEqual(isMissing ? [columns === composite ? ['p', 'q'] : ['p']] : [])
  })

  it('of a partitioned table is told once', async () => {
    await scene.admin.query(`
      create table parted (x int, p int references parents (c)) partition by range (x);
      create table parted_1 partition of parted for values from (0) to (10)`)
    const found = await reportAbout('parted')
    expect(found).toMatchObject([{ table: 'parted' }])
    await scene.admin.query(found[0]?.remedy ?? '')
    expect(await reportAbout('parted')).toEqual([])
  })

  it('is told with a statement that mends it, whatever the names are', async () => {
    const [key] = await reportAbout('elsewhere."Odd ""name"""')
    expect(key).toMatchObject({
      schema: 'elsewhere',
      table: 'Odd "name"',
      columns: ['the Parent'],
      references: { schema: 'public', table: 'parents' },
    })
    await scene.admin.query(key?.remedy ?? '')
    expect(await reportAbout('elsewhere."Odd ""name"""')).toEqual([])
  })
})
