// E3: counts per constraint, of violations as the server and both ORMs bring them about.

import { beforeAll, describe, expect, it } from '@jest/globals'
import { everyOrm, type Orm } from './orms.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

beforeAll(() =>
  scene.admin.query(`
    create table users (
      id int primary key,
      email text unique,
      name text not null,
      age int check (age >= 0)
    );
    create table posts (id int primary key, user_id int references users);
    insert into users values (1, 'a@example.org', 'A', 1);
    insert into posts values (1, 1)`),
)

const insert = (id: number, email: string, name = "'B'", age = 1) =>
  `insert into users values (${id}, '${email}', ${name}, ${age})`

describe.each(everyOrm)('$name', (orm: Orm) => {
  it('E3: violations are counted by constraint and kind, inside of transactions and outside', async () => {
    const db = scene.open(orm)
    const before = Date.now()
    const violations = [
      insert(2, 'a@example.org'),
      insert(1, 'b@example.org'),
      insert(2, 'b@example.org', 'null'),
      insert(2, 'b@example.org', "'B'", -1),
      'insert into posts values (2, 77)',
      'delete from users where id = 1',
      insert(3, 'a@example.org'),
    ]
    for (const violation of violations) await errorOf(db.query(violation))
    await errorOf(db.transaction((tx) => tx.query(insert(4, 'a@example.org'))))
    const stats = db.pool.violationStats({ reset: true })
    expect(stats).toMatchObject({
      total: 8,
      byKind: { unique: 4, 'foreign-key': 2, 'not-null': 1, check: 1, exclusion: 0, other: 0 },
      others: 0,
    })
    const [first, ...rest] = stats.constraints
    expect(first).toMatchObject({
      kind: 'unique',
      schema: 'public',
      table: 'users',
      constraint: 'users_email_key',
      count: 3,
    })
    expect(rest.map(({ constraint, kind, count }) => [constraint ?? kind, count]).sort()).toEqual([
      ['not-null', 1],
      ['posts_user_id_fkey', 1],
      ['posts_user_id_fkey', 1],
      ['users_age_check', 1],
      ['users_pkey', 1],
    ])
    expect(rest.find(({ kind }) => kind === 'not-null')?.columns).toEqual(['name'])
    for (const { firstSeenAt, lastSeenAt } of stats.constraints) {
      expect(firstSeenAt).toBeGreaterThanOrEqual(before)
      expect(lastSeenAt).toBeGreaterThanOrEqual(firstSeenAt)
      expect(lastSeenAt).toBeLessThanOrEqual(Date.now())
    }
    expect(JSON.stringify(stats)).not.toContain('example.org')
    expect(db.pool.violationStats()).toMatchObject({ total: 0, constraints: [] })
  })
})
