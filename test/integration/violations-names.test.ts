// E3: names in an application's options are held against the constraints that a real database has.

import { beforeAll, describe, expect, it } from '@jest/globals'
import type { ErrorOptions, ResilienceOptions } from '@moorings/core'
import { checkConstraints as checkThroughDrizzle } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { checkConstraints as checkThroughKysely, ResilientPostgresDialect } from '@moorings/kysely'
import { createPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { everyOrm } from './orms.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

beforeAll(() =>
  scene.admin.query(`
    create schema logistics;
    create table logistics.deliveries (id int constraint "a.b" primary key, during int4range not null,
      constraint no_overlap exclude using gist (during with &&));
    create domain logistics.weight as int constraint is_heavy check (value > 10);
    create table people (id int primary key, email text unique, nick text, boss int references people);
    create unique index people_nick on people (lower(nick));
    create materialized view nicks as select nick from people;
    create unique index nicks_once on nicks (nick);
    create table events (at int not null, constraint events_at unique (at)) partition by range (at);
    create table events_1 partition of events for values from (0) to (10);
  `),
)

const code = { code: 'X' }
const known: ErrorOptions['constraints'] = {
  'logistics.deliveries.no_overlap': code,
  'deliveries.during': code,
  'deliveries.a.b': code,
  'logistics.weight.is_heavy': code,
  people_email_key: code,
  people_nick: code,
  nicks_once: code,
  'people.people_boss_fkey': code,
  'events.at': code,
  events_1_at_key: code,
}
const unknown = ['people_emial_key', 'nick', 'people.nick', 'logistics.people.people_email_key', 'people.people_nick.x']

function withNames(names: readonly string[]): ResilienceOptions {
  return { errors: { constraints: { ...known, ...Object.fromEntries(names.map((name) => [name, code])) } } }
}

describe('checkConstraints()', () => {
  it('E3: tells names that no constraint has, and constraints of which nothing is said', async () => {
    const client = scene.closing(createPool(scene.url, { resilience: withNames(unknown) }))
    const expected = { unknown, withoutWords: expect.arrayContaining(['events.events_at', 'people.people_pkey']) }
    const db = drizzle({ client })
    expect(await checkThroughDrizzle(db)).toEqual(expected)
    const kysely = new Kysely<object>({ dialect: new ResilientPostgresDialect({ client }) })
    expect(await checkThroughKysely(kysely)).toEqual(expected)
    expect(await kysely.transaction().execute((tx) => checkThroughKysely(tx))).toEqual(expected)
    const refused = await db.transaction((tx) => errorOf(checkThroughDrizzle(tx)))
    expect(refused).toMatchObject({ problems: [{ path: 'db', allowed: 'the root database' }] })
  })

  it('E3: tells all of a database of which nothing is said', async () => {
    const pool = scene.closing(createPool(scene.url))
    const { unknown, withoutWords } = await pool.checkConstraints()
    expect(unknown).toEqual([])
    expect(withoutWords).toEqual(
      expect.arrayContaining([
        ...['logistics.deliveries.a.b', 'logistics.deliveries.no_overlap', 'logistics.weight.is_heavy'],
        ...['events.events_at', 'nicks.nicks_once', 'people.people_boss_fkey', 'people.people_nick'],
      ]),
    )
    expect(withoutWords.filter((name) => name.includes('events_1') || name.includes('pg_'))).toEqual([])
  })
})

describe.each(everyOrm)('with $name', (orm) => {
  it('E3: names that no constraint has are told once, after the first violation', async () => {
    const db = scene.open(orm, withNames(unknown))
    const told = eventsOf(scene, db.pool, 'moorings:constraints:unknown')
    for (let time = 0; time < 2; time++) await errorOf(db.query('insert into people (id) values (null)'))
    await until(() => told.length > 0, { what: 'the names to be told' })
    await until(() => db.pool.stats().leased === 0, { what: 'the catalogue to be read' })
    expect(told).toMatchObject([{ names: unknown }])
  })
})
