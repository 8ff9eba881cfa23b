// One schema, as applications write it for both releases of Drizzle, and as it comes into the database: by drizzle-kit 0.31
// (with and without `casing`), by drizzle-kit 1.0, and by hand. The SQL is what the kits have made of the tables below.

import { isUniqueViolation, withResilience } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { sql } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { defineRelations, sql as sql1 } from 'drizzle-orm-1'
import * as pg1 from 'drizzle-orm-1/pg-core'
import { drizzle as drizzle1 } from 'drizzle-orm-1/postgres-js'
import type { ResilienceOptions } from './orms.js'

const projects = pg.pgTable(
  'projects',
  { tenant: pg.integer(), number: pg.integer(), ownerEmail: pg.text().unique() },
  (t) => [pg.primaryKey({ columns: [t.tenant, t.number] })],
)

const members = pg.pgTable(
  'memberships_of_people_in_projects',
  {
    id: pg.integer().primaryKey(),
    projectTenant: pg.integer().notNull(),
    projectNumber: pg.integer(),
    nickName: pg.text(),
    handle: pg.text(),
    bossId: pg.integer().references((): pg.AnyPgColumn => members.id),
    age: pg.integer(),
    signInNameOfTheMemberInLowerCase: pg.text().unique(),
  },
  (t) => [
    pg.unique().on(t.projectTenant, t.nickName),
    pg.uniqueIndex().on(t.handle, t.projectTenant),
    pg.uniqueIndex('members_lower_handle').on(sql`lower(${t.handle})`),
    pg.foreignKey({
      columns: [t.projectTenant, t.projectNumber],
      foreignColumns: [projects.tenant, projects.number],
    }),
    pg.check('grown_up', sql`${t.age} >= 18`),
  ],
)

const projects1 = pg1.snakeCase.table(
  'projects',
  { tenant: pg1.integer(), number: pg1.integer(), ownerEmail: pg1.text().unique() },
  (t) => [pg1.primaryKey({ columns: [t.tenant, t.number] })],
)

const members1 = pg1.snakeCase.table(
  'memberships_of_people_in_projects',
  {
    id: pg1.integer().primaryKey(),
    projectTenant: pg1.integer().notNull(),
    projectNumber: pg1.integer(),
    nickName: pg1.text(),
    handle: pg1.text(),
    bossId: pg1.integer().references((): pg1.AnyPgColumn => members1.id),
    age: pg1.integer(),
    signInNameOfTheMemberInLowerCase: pg1.text().unique(),
  },
  (t) => [
    pg1.unique().on(t.projectTenant, t.nickName),
    pg1.uniqueIndex().on(t.handle, t.projectTenant),
    pg1.uniqueIndex('members_lower_handle').on(sql1`lower(${t.handle})`),
    pg1.foreignKey({
      columns: [t.projectTenant, t.projectNumber],
      foreignColumns: [projects1.tenant, projects1.number],
    }),
    pg1.check('grown_up', sql1`${t.age} >= 18`),
  ],
)

const tables = { projects, members }
const tables1 = { projects: projects1, members: members1 }

const kit031 = (cased: (key: string) => string): string => {
  const [ownerEmail, projectTenant, projectNumber] = ['ownerEmail', 'projectTenant', 'projectNumber'].map(cased)
  const [nickName, bossId, signIn] = ['nickName', 'bossId', 'signInNameOfTheMemberInLowerCase'].map(cased)
  return `
CREATE TABLE "projects" (
	"tenant" integer,
	"number" integer,
	"${ownerEmail}" text,
	CONSTRAINT "projects_tenant_number_pk" PRIMARY KEY("tenant","number"),
	CONSTRAINT "projects_ownerEmail_unique" UNIQUE("${ownerEmail}")
);
CREATE TABLE "memberships_of_people_in_projects" (
	"id" integer PRIMARY KEY NOT NULL,
	"${projectTenant}" integer NOT NULL,
	"${projectNumber}" integer,
	"${nickName}" text,
	"handle" text,
	"${bossId}" integer,
	"age" integer,
	"${signIn}" text,
	CONSTRAINT "memberships_of_people_in_projects_signInNameOfTheMemberInLowerCase_unique" UNIQUE("${signIn}"),
	CONSTRAINT "memberships_of_people_in_projects_projectTenant_nickName_unique" UNIQUE("${projectTenant}","${nickName}"),
	CONSTRAINT "grown_up" CHECK ("memberships_of_people_in_projects"."age" >= 18)
);
ALTER TABLE "memberships_of_people_in_projects" ADD CONSTRAINT "memberships_of_people_in_projects_${bossId}_memberships_of_people_in_projects_id_fk" FOREIGN KEY ("${bossId}") REFERENCES "public"."memberships_of_people_in_projects"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "memberships_of_people_in_projects" ADD CONSTRAINT "memberships_of_people_in_projects_${projectTenant}_${projectNumber}_projects_tenant_number_fk" FOREIGN KEY ("${projectTenant}","${projectNumber}") REFERENCES "public"."projects"("tenant","number") ON DELETE no action ON UPDATE no action;
CREATE UNIQUE INDEX "memberships_of_people_in_projects_handle_${projectTenant}_index" ON "memberships_of_people_in_projects" USING btree ("handle","${projectTenant}");
CREATE UNIQUE INDEX "members_lower_handle" ON "memberships_of_people_in_projects" USING btree (lower("handle"));`
}

const kit1 = `
CREATE TABLE "projects" (
	"tenant" integer,
	"number" integer,
	"owner_email" text UNIQUE,
	CONSTRAINT "projects_pkey" PRIMARY KEY("tenant","number")
);
CREATE TABLE "memberships_of_people_in_projects" (
	"id" integer PRIMARY KEY,
	"project_tenant" integer NOT NULL,
	"project_number" integer,
	"nick_name" text,
	"handle" text,
	"boss_id" integer,
	"age" integer,
	"sign_in_name_of_the_member_in_lower_case" text UNIQUE,
	CONSTRAINT "memberships_of_people_in_projects_project_tenant_nick_name_unique" UNIQUE("project_tenant","nick_name"),
	CONSTRAINT "grown_up" CHECK ("age" >= 18)
);
CREATE UNIQUE INDEX "memberships_of_people_in_projects_handle_project_tenant_index" ON "memberships_of_people_in_projects" ("handle","project_tenant");
CREATE UNIQUE INDEX "members_lower_handle" ON "memberships_of_people_in_projects" (lower("handle"));
ALTER TABLE "memberships_of_people_in_projects" ADD CONSTRAINT "memberships_of_people_in_projects_CIl0NEuDquyf_fkey" FOREIGN KEY ("boss_id") REFERENCES "memberships_of_people_in_projects"("id");
ALTER TABLE "memberships_of_people_in_projects" ADD CONSTRAINT "memberships_of_people_in_projects_x9VjRvF7jNlR_fkey" FOREIGN KEY ("project_tenant","project_number") REFERENCES "projects"("tenant","number");`

/** Somebody who names only what has to be named. */
const byHand = `
create table projects (tenant integer, number integer, owner_email text unique, primary key (tenant, number));
create table memberships_of_people_in_projects (
  id integer primary key, project_tenant integer not null, project_number integer, nick_name text, handle text,
  boss_id integer references memberships_of_people_in_projects, age integer constraint grown_up check (age >= 18),
  sign_in_name_of_the_member_in_lower_case text unique, unique (project_tenant, nick_name),
  foreign key (project_tenant, project_number) references projects);
create unique index on memberships_of_people_in_projects (handle, project_tenant);
create unique index members_lower_handle on memberships_of_people_in_projects (lower(handle));`

const snake = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const same = (key: string) => key

export interface Opened {
  readonly pool: PostgresPool
  execute(text: string): Promise<unknown>
  transaction(body: (execute: (text: string) => Promise<unknown>) => Promise<void>): Promise<void>
}

interface Variant {
  readonly name: string
  readonly ddl: string
  /** From a key to the column's name. */
  readonly column: (key: string) => string
  readonly tables: typeof tables | typeof tables1
  /** Of the unique constraint of two columns. */
  isNickViolation(error: unknown): boolean
  open(url: string, resilience?: ResilienceOptions): Opened
}

function openWith(casing?: 'snake_case') {
  return (url: string, resilience?: ResilienceOptions): Opened => {
    const pool = createPool(url, { resilience })
    const db = drizzle({ client: pool, schema: tables, ...(casing && { casing }) })
    return {
      pool,
      execute: (text) => db.execute(sql.raw(text)),
      transaction: (body) => db.transaction((tx) => body((text) => tx.execute(sql.raw(text)))),
    }
  }
}

function open1(url: string, resilience?: ResilienceOptions): Opened {
  const pool = createPool(url, { resilience })
  const db = withResilience(drizzle1({ client: createClient(pool), relations: defineRelations(tables1) }))
  return {
    pool,
    execute: (text) => db.execute(sql1.raw(text)),
    transaction: (body) => db.transaction((tx) => body((text) => tx.execute(sql1.raw(text)))),
  }
}

const of045 = {
  tables,
  isNickViolation: (error: unknown) => isUniqueViolation(error, [members.nickName, members.projectTenant]),
}
const of1 = {
  tables: tables1,
  open: open1,
  isNickViolation: (error: unknown) => isUniqueViolation(error, [members1.nickName, members1.projectTenant]),
}

export const variants: readonly Variant[] = [
  { ...of045, name: '0.45, by drizzle-kit 0.31', ddl: kit031(same), column: same, open: openWith() },
  {
    ...of045,
    name: '0.45 with casing, by drizzle-kit 0.31',
    ddl: kit031(snake),
    column: snake,
    open: openWith('snake_case'),
  },
  { ...of045, name: '0.45 with casing, by hand', ddl: byHand, column: snake, open: openWith('snake_case') },
  { ...of045, name: '0.45 with casing, by drizzle-kit 1.0', ddl: kit1, column: snake, open: openWith('snake_case') },
  { ...of1, name: '1.0, by drizzle-kit 1.0', ddl: kit1, column: snake },
  { ...of1, name: '1.0, by drizzle-kit 0.31', ddl: kit031(snake), column: snake },
  { ...of1, name: '1.0, by hand', ddl: byHand, column: snake },
]

/** Statements are written with `members` and with keys: `{ownerEmail}` is what that column is called. */
export const seeded = `
truncate projects cascade;
insert into projects (tenant, number, {ownerEmail}) values (1, 1, 'ada@example.test');
insert into members (id, {projectTenant}, {projectNumber}, {nickName}, handle, age, {signInNameOfTheMemberInLowerCase})
  values (1, 1, 1, 'ada', 'Ada', 36, 'ada')`

/** In the words of a variant. */
export function textOf(statement: string, column: (key: string) => string): string {
  return statement
    .replace(/\{(\w+)\}/g, (_, key: string) => `"${column(key)}"`)
    .replaceAll('members', 'memberships_of_people_in_projects')
}

export const member = (columns: string, values: string): string => `insert into members (${columns}) values (${values})`

export const violating: readonly [what: string, statement: string, keys: readonly string[]][] = [
  ['a primary key of two columns', "insert into projects values (1, 1, 'bob@example.test')", ['tenant', 'number']],
  ['a primary key of one', member('id, {projectTenant}', '1, 1'), ['id']],
  ['a unique column', "insert into projects values (1, 2, 'ada@example.test')", ['ownerEmail']],
  [
    'a unique column with a long name',
    member('id, {projectTenant}, {signInNameOfTheMemberInLowerCase}', "2, 1, 'ada'"),
    ['signInNameOfTheMemberInLowerCase'],
  ],
  ['unique columns', member('id, {projectTenant}, {nickName}', "2, 1, 'ada'"), ['projectTenant', 'nickName']],
  ['a unique index', member('id, {projectTenant}, handle', "2, 1, 'Ada'"), ['handle', 'projectTenant']],
  ['a unique index over an expression', member('id, {projectTenant}, handle', "2, 2, 'ADA'"), ['handle']],
  ['a foreign key', member('id, {projectTenant}, {bossId}', '2, 1, 9'), ['bossId']],
  [
    'a foreign key of two columns',
    member('id, {projectTenant}, {projectNumber}', '2, 1, 9'),
    ['projectTenant', 'projectNumber'],
  ],
  ['a foreign key, from its other side', 'delete from projects', ['projectTenant', 'projectNumber']],
  ['a check', member('id, {projectTenant}, age', '2, 1, 17'), ['age']],
  ['not null', member('id', '2'), ['projectTenant']],
  ['not null, of which the schema does not know', member('id, {projectTenant}', 'null, 1'), ['id']],
]
