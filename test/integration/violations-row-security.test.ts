// E1: every kind of constraint, told to a role that sees the tables through row security, and to one that may only write to
// them. Neither gets a DETAIL from the server: it would show them rows.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { everyOrm } from './orms.js'
import { errorOf, useScene } from './scene.js'
import { cases, partitions, releaseOf, toldBy } from './violation-cases.js'
import { constrained, taken, toldAll, violates } from './violations.js'

const suffix = `${process.pid}_${Date.now()}`
const onlooker = `onlooker_${suffix}`
const writer = `writer_${suffix}`

// Before the scene takes its database away.
afterAll(() => scene.admin.query(`drop owned by ${onlooker}, ${writer}; drop role ${onlooker}, ${writer}`))
const scene = useScene()
let release = 0

beforeAll(async () => {
  await scene.admin.query(constrained)
  release = await releaseOf(scene.admin)
  await scene.admin.query(`
    create role ${onlooker} login password '${onlooker}';
    create role ${writer} login password '${writer}';
    grant usage on schema other to ${onlooker};
    grant select, insert, update, delete on all tables in schema public, other to ${onlooker};
    grant insert on people to ${writer};
    do $$ declare found regclass; begin
      for found in select oid from pg_class
        where relkind in ('r', 'p') and relnamespace in ('public'::regnamespace, 'other'::regnamespace)
          and not relrowsecurity
      loop
        execute format('alter table %s enable row level security', found);
        execute format('create policy everything on %s using (true) with check (true)', found);
      end loop;
    end $$;
    create table secret (id int unique);
    alter table secret enable row level security;
    create policy small on secret with check (id < 10);
    insert into secret values (1);
    grant insert on secret to ${onlooker}`)
})

function as(role: string): string {
  const url = new URL(scene.url)
  url.username = url.password = role
  return url.href
}

describe.each(everyOrm)('E1: with $name', (orm) => {
  it('under row security a violation of each kind is told whole', async () => {
    const db = scene.open(orm, {}, as(onlooker))
    for (const [what, sql, told] of [...cases, ...partitions]) {
      const violation = await violates(db, sql)
      expect([what, violation]).toMatchObject([what, toldBy(release, told)])
      // But for one that tells no values: of a key of which a part is null.
      expect(violation.cause).not.toHaveProperty('detail', expect.stringMatching(/=\(/))
    }
  })

  it('a row that is there behind a policy is told as taken, and no more of it', async () => {
    const violation = await violates(scene.open(orm, {}, as(onlooker)), `insert into guarded values (2, 'me')`)
    expect(violation).toMatchObject({ name: 'UniqueViolationError', table: 'guarded', columns: ['owner'] })
    expect(violation.cause).not.toHaveProperty('detail')
  })

  it('a row that a policy refuses violates no constraint', async () => {
    const db = scene.open(orm, {}, as(onlooker))
    expect(await errorOf(db.query('insert into secret values (11)'))).toMatchObject({
      ...{ name: 'StatementError', code: '42501' },
    })
    expect(await violates(db, 'insert into secret values (1)')).toMatchObject({ table: 'secret', columns: ['id'] })
  })

  it('who may write to a table and not read it is told whole', async () => {
    const violation = await violates(scene.open(orm, {}, as(writer)), taken)
    expect(violation).toMatchObject(toldAll)
    expect(violation.cause).not.toHaveProperty('detail')
  })
})
