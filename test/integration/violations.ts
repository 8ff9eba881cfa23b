// Tables with a constraint of every kind, and what violates each: by hand, as no ORM would name them.

import { ConstraintViolationError } from '@moorings/core'
import type { ResilienceOptions, Runner } from './orms.js'
import { errorOf } from './scene.js'

/** 63 bytes at most: PostgreSQL clips the first, and Drizzle's kit writes a hash in place of the second. */
export const longName = 'a_table_whose_name_leaves_so_little_room_that_others_are_clipped'.slice(0, 63)
export const hashedName = '3f2a9c71d0e84b5f_fkey'

export const constrained = `
  create schema other;
  create table people (
    id int primary key,
    email text unique,
    first_name text, last_name text,
    nick text, "Odd, name" text, deleted bool not null default false,
    age int constraint age_is_possible check (age between 0 and 150),
    born date, died date,
    required text not null default 'x',
    named text constraint is_named not null default 'x',
    constraint full_name unique (first_name, last_name),
    check (died > born)
  );
  create unique index people_lower_nick on people (lower(nick));
  create unique index people_living on people ("Odd, name") where not deleted;
  create table pets (owner int, name text, kind text);
  create unique index pets_cats on pets (lower(name)) where kind = 'Cat';
  create table halls (hall int4range, start int, stop int,
    exclude using gist (hall with =, int4range(start, stop) with &&));
  create unique index pets_name on pets (owner, lower(name)) include (kind);
  create table other.people (id int primary key, email text, constraint people_email_key unique (id, email));
  create table books (
    id int primary key,
    author_id int references people (id),
    editor_id int constraint "the ""editor""" references people (id) on delete restrict on update restrict,
    sequel_of int references books (id)
  );
  create table names (first_name text, last_name text,
    constraint names_fk foreign key (first_name, last_name) references people (first_name, last_name));
  create table wholly (first_name text, last_name text,
    constraint wholly_fk foreign key (first_name, last_name) references people (first_name, last_name) match full);
  create table singles (one int unique nulls not distinct);
  create table stays (room int4range, during int4range, exclude using gist (room with =, during with &&));
  create table ${longName} (${'a_long_column_name'} int unique, b int constraint "${hashedName}" references people (id));
  create domain positive as int constraint is_positive check (value > 0);
  create domain given as int not null;
  create table measures (amount positive, number given default 1);
  create table events (gone int, at int not null, kind text, person int references people (id),
    note text not null default '',
    constraint at_is_positive check (at > 0), constraint events_pk primary key (at, kind)) partition by range (at);
  alter table events drop column gone;
  create unique index events_kind on events (kind, at);
  create table other.events_low (kind text not null, gone text, at int not null, person int, note text not null);
  alter table other.events_low drop column gone;
  alter table other.events_low add constraint at_is_positive check (at > 0);
  alter table events attach partition other.events_low for values from (-10) to (10);
  create table events_high partition of events for values from (10) to (1000) partition by list (kind);
  create table events_high_a partition of events_high for values in ('a');
  create table tickets (id int primary key, event_at int, event_kind text,
    constraint tickets_event foreign key (event_at, event_kind) references events (at, kind));
  create table later (
    id int, person int, span int4range,
    constraint later_span exclude using gist (span with &&) deferrable initially deferred,
    constraint later_id unique (id) deferrable initially deferred,
    constraint later_person foreign key (person) references people (id) deferrable initially deferred
  );
  create table guarded (id int primary key, owner text unique);
  alter table guarded enable row level security;
  create policy mine on guarded using (false) with check (true);
  create function raises() returns trigger language plpgsql as $$ begin
    if new.id = 1 then raise exception 'no' using errcode = 'unique_violation'; end if;
    if new.id = 2 then raise exception 'insert on table "raising" violates foreign key constraint "raised" on "x"'
      using errcode = 'foreign_key_violation', schema = 'public', table = 'raising', constraint = 'raised',
      detail = 'Key (secret)=(1) is not present in table "x".'; end if;
    if new.id = 3 then raise exception 'no' using errcode = 'check_violation', constraint = 'is_positive'; end if;
    if new.id = 4 then raise exception 'no' using errcode = 'unique_violation', schema = 'public', table = 'people',
      constraint = 'full_name'; end if;
    return new;
  end $$;
  create table raising (id int);
  create trigger raises before insert on raising for each row execute function raises();
  create function wait_and_fail(int) returns int language plpgsql as $$ begin
    if $1 > 2 then raise exception 'no' using errcode = 'unique_violation', schema = 'public', table = 'people',
      constraint = 'full_name'; end if;
    return $1; end $$;
  insert into people (id, email, first_name, last_name, nick, "Odd, name")
    values (1, 'a@b', 'Ann', 'Ash', 'Annie', 'odd'), (2, 'c@d', 'Bo', 'Bay', 'Bee', 'even'),
      (3, 'e@f', 'Cy', 'Clay', 'Cee', 'other');
  insert into books values (1, 1, null, null), (2, null, 2, null), (3, null, null, null), (4, null, null, 3);
  insert into names values ('Bo', 'Bay');
  insert into singles values (null);
  insert into stays values ('[1,2)', '[1,5)');
  insert into ${longName} values (1, 1);
  insert into pets values (1, 'Rex', 'Dog'), (1, 'Tom', 'Cat');
  insert into halls values ('[1,2)', 1, 5);
  insert into events values (1, 'a', 1), (11, 'a', 1);
  insert into tickets values (1, 11, 'a');
  insert into later values (1, 1), (5, 3);
  insert into guarded values (1, 'me');
`

export const taken = `insert into people (id, email) values (9, 'a@b')`
export const toldAll = { name: 'UniqueViolationError', constraint: 'people_email_key', columns: ['email'] }
/** What DETAIL does not tell the columns of. */
export const odd = `insert into people (id, nick) values (9, 'ANNIE')`
/** Of the pool. */
export const two: ResilienceOptions = { pool: { max: 2, overflow: 0, min: 0 } }
export const one: ResilienceOptions = { pool: { max: 1, overflow: 0, min: 0 } }

/** @throws when what it rejects with is no violation */
export async function violationOf(promise: Promise<unknown>): Promise<ConstraintViolationError> {
  const error = await errorOf(promise)
  if (error instanceof ConstraintViolationError) return error
  throw error
}

export const violates = (runner: Runner, sql: string): Promise<ConstraintViolationError> =>
  violationOf(runner.query(sql))
