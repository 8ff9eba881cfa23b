// What is told of a violation of each kind of constraint, by whatever name and wherever it is: the tables are those of
// `constrained`. What a release of PostgreSQL says otherwise than another is said here, too.

import { expect } from '@jest/globals'
import type { Admin } from '../support/admin.js'
import { hashedName, longName } from './violations.js'

/** What the error has; of which there is another in other releases, by the release. */
type Told = object | ((release: number) => object)

export type Case = readonly [what: string, sql: string, told: Told]

/** 15, 18. */
export async function releaseOf(admin: Admin): Promise<number> {
  const [row] = await admin.query<{ release: number }>(
    "select current_setting('server_version_num')::int / 10000 as release",
  )
  if (row === undefined) throw new Error('the server does not know its release')
  return row.release
}

export function toldBy(release: number, told: Told): object {
  return typeof told === 'function' ? told(release) : told
}

const people = { schema: 'public', table: 'people' }
const missing = { name: 'ForeignKeyViolationError', direction: 'missing-parent' }
const inUse = { name: 'ForeignKeyViolationError', direction: 'still-referenced' }
/** Since 18 it has a code of its own. */
const restricted = (release: number) => ({
  ...{ ...inUse, code: release < 18 ? '23503' : '23001', table: 'books', constraint: 'the "editor"' },
  ...{ columns: ['editor_id'], references: { schema: 'public', table: 'people', columns: ['id'] } },
})
const unique = { name: 'UniqueViolationError', code: '23505' }

export const cases: readonly Case[] = [
  ['a primary key', `insert into people (id) values (1)`, { ...unique, ...people, columns: ['id'] }],
  [
    'a column that is unique',
    `insert into people (id, email) values (9, 'a@b')`,
    { ...unique, ...people, constraint: 'people_email_key', columns: ['email'] },
  ],
  [
    'two columns that are unique together',
    `insert into people (id, first_name, last_name) values (9, 'Ann', 'Ash')`,
    { ...unique, ...people, constraint: 'full_name', columns: ['first_name', 'last_name'] },
  ],
  [
    'an index on an expression, by the columns in that',
    `insert into people (id, nick) values (9, 'ANNIE')`,
    { ...unique, ...people, constraint: 'people_lower_nick', columns: ['nick'] },
  ],
  [
    'an index on a column and an expression',
    `insert into pets values (1, 'Rex')`,
    { ...unique, table: 'pets', constraint: 'pets_name', columns: ['owner', 'name'], keys: undefined },
  ],
  [
    'a partial index on an expression, without the columns of its condition',
    `insert into pets values (2, 'Tom', 'Cat')`,
    { ...unique, table: 'pets', constraint: 'pets_cats', columns: ['name'] },
  ],
  [
    'an exclusion of an expression',
    `insert into halls values ('[1,2)', 3, 7)`,
    { name: 'ExclusionViolationError', table: 'halls', columns: ['hall', 'start', 'stop'] },
  ],
  [
    'a partial index, on a column of an odd name',
    `insert into people (id, "Odd, name") values (9, 'odd')`,
    { ...unique, ...people, constraint: 'people_living', columns: ['Odd, name'] },
  ],
  [
    'a constraint in another schema, of a name that is there twice',
    `insert into other.people values (1, 'x'), (1, 'y')`,
    { ...unique, schema: 'other', table: 'people', constraint: 'people_pkey', columns: ['id'] },
  ],
  [
    'a column that may not be null',
    `insert into people (id, required) values (9, null)`,
    { name: 'NotNullViolationError', ...people, constraint: undefined, columns: ['required'], partitionOf: undefined },
  ],
  [
    'a column that may not be null, by a constraint that was given a name: no release tells that',
    `insert into people (id, age, named) values (9, 1, null)`,
    { name: 'NotNullViolationError', ...people, constraint: undefined, columns: ['named'] },
  ],
  [
    'a column that is unique, nulls as well',
    `insert into singles values (null)`,
    { ...unique, table: 'singles', constraint: 'singles_one_key', columns: ['one'] },
  ],
  [
    'a check on one column',
    `insert into people (id, age) values (9, 200)`,
    { name: 'CheckViolationError', ...people, constraint: 'age_is_possible', columns: ['age'] },
  ],
  [
    'a check on two columns, without a name of its own',
    `insert into people (id, born, died) values (9, '2001-01-01', '2000-01-01')`,
    { name: 'CheckViolationError', ...people, constraint: 'people_check', columns: ['died', 'born'] },
  ],
  [
    'an exclusion',
    `insert into stays values ('[1,2)', '[3,7)')`,
    { name: 'ExclusionViolationError', code: '23P01', table: 'stays', columns: ['room', 'during'] },
  ],
  [
    'a parent that is not there',
    `insert into books values (9, 77)`,
    {
      ...{ ...missing, table: 'books', constraint: 'books_author_id_fkey', columns: ['author_id'] },
      references: { schema: 'public', table: 'people', columns: ['id'] },
    },
  ],
  [
    'a parent that is not there, by two columns',
    `insert into names values ('Cy', 'Cliff')`,
    {
      ...{ ...missing, table: 'names', constraint: 'names_fk', columns: ['first_name', 'last_name'] },
      references: { schema: 'public', table: 'people', columns: ['first_name', 'last_name'] },
    },
  ],
  [
    'a parent of which a part is null, where it must be all of them or none',
    `insert into wholly values ('Bo', null)`,
    {
      ...{ ...missing, table: 'wholly', constraint: 'wholly_fk', columns: ['first_name', 'last_name'] },
      references: { schema: 'public', table: 'people' },
    },
  ],
  [
    'a parent in the same table that is not there',
    `insert into books values (9, null, null, 99)`,
    { ...missing, table: 'books', columns: ['sequel_of'], references: { table: 'books', columns: ['id'] } },
  ],
  [
    'a row that is still referred to',
    `delete from people where id = 1`,
    { ...inUse, code: '23503', table: 'books', columns: ['author_id'], references: { table: 'people' } },
  ],
  [
    'a row of the same table that is still referred to',
    `delete from books where id = 3`,
    { ...inUse, table: 'books', columns: ['sequel_of'] },
  ],
  ['ON DELETE RESTRICT, by a name with quotes', `delete from people where id = 2`, restricted],
  ['ON UPDATE RESTRICT', `update people set id = 20 where id = 2`, restricted],
  [
    'a name that was clipped',
    `insert into ${longName} values (1)`,
    { ...unique, table: longName, columns: ['a_long_column_name'], constraint: expect.stringMatching(/^.{1,63}$/) },
  ],
  [
    'a name that is a hash',
    `insert into ${longName} values (2, 99)`,
    { ...missing, constraint: hashedName, columns: ['b'], references: { table: 'people' } },
  ],
  [
    'a domain’s check, which is no table’s',
    `insert into measures values (-1)`,
    {
      ...{ name: 'CheckViolationError', constraint: 'is_positive', domain: 'positive', schema: 'public' },
      ...{ table: undefined, columns: undefined },
    },
  ],
  [
    'a domain that may not be null',
    `insert into measures values (1, null)`,
    { name: 'NotNullViolationError', domain: 'given', table: undefined, columns: undefined },
  ],
]

const eventsTable = { schema: 'public', table: 'events' }

export const partitions: readonly Case[] = [
  [
    'the primary key of a partition',
    `insert into events values (1, 'a')`,
    {
      ...{ ...unique, schema: 'other', table: 'events_low', columns: ['at', 'kind'] },
      partitionOf: { ...eventsTable, name: 'events_pk', columns: ['at', 'kind'] },
    },
  ],
  [
    'the primary key of a partition’s partition',
    `insert into events values (11, 'a')`,
    { ...unique, table: 'events_high_a', partitionOf: { ...eventsTable, name: 'events_pk', columns: ['at', 'kind'] } },
  ],
  [
    'a partition’s check',
    `insert into events values (-1, 'a')`,
    {
      ...{ name: 'CheckViolationError', table: 'events_low', columns: ['at'] },
      partitionOf: { ...eventsTable, name: 'at_is_positive', columns: ['at'] },
    },
  ],
  [
    'a partition’s column that may not be null',
    `insert into events values (2, 'a', null, null)`,
    {
      ...{ name: 'NotNullViolationError', schema: 'other', table: 'events_low', columns: ['note'] },
      partitionOf: { ...eventsTable, columns: ['note'] },
    },
  ],
  [
    'a partition’s parent that is not there',
    `insert into events values (2, 'a', 99)`,
    {
      ...{ ...missing, table: 'events_low', columns: ['person'], references: { table: 'people', columns: ['id'] } },
      partitionOf: { ...eventsTable, name: 'events_person_fkey', columns: ['person'] },
    },
  ],
  [
    'a row of a partition that is still referred to',
    `delete from events where at = 11`,
    // Which is told by a name that the server has made up for its partition.
    (release) => ({
      ...{ ...inUse, table: 'tickets', columns: ['event_at', 'event_kind'] },
      constraint: release < 18 ? 'tickets_event_at_event_kind_fkey2' : 'tickets_event_3',
      partitionOf: { schema: 'public', table: 'tickets', name: 'tickets_event' },
      references: { ...eventsTable, columns: ['at', 'kind'] },
    }),
  ],
  [
    'a missing row of a partitioned table',
    `insert into tickets values (2, 11, 'b')`,
    { ...missing, table: 'tickets', constraint: 'tickets_event', references: { ...eventsTable } },
  ],
  [
    'a row that there is no partition for',
    `insert into events values (5000, 'a')`,
    { name: 'CheckViolationError', ...eventsTable, constraint: undefined, columns: undefined },
  ],
]

export const raised: readonly Case[] = [
  [
    'nothing but its kind',
    `insert into raising values (1)`,
    { ...unique, constraint: undefined, table: undefined, columns: undefined },
  ],
  [
    'a table and a constraint that are not there, and whatever else',
    `insert into raising values (2)`,
    {
      name: 'ForeignKeyViolationError',
      table: 'raising',
      constraint: 'raised',
      columns: undefined,
      direction: undefined,
    },
  ],
  [
    'a constraint’s name only',
    `insert into raising values (3)`,
    { name: 'CheckViolationError', constraint: 'is_positive', table: undefined, columns: undefined },
  ],
  [
    'a constraint that is there',
    `insert into raising values (4)`,
    { ...unique, ...people, constraint: 'full_name', columns: ['first_name', 'last_name'] },
  ],
]
