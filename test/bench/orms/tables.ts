// What is in the database.

export const accountsInAll = 10_000
export const rowsAtOnce = 1_000
export const memo = 'A line of text as long as most are'

export const makeTables: string = `
  create table accounts (
    id integer primary key, owner text not null, balance integer not null, active boolean not null,
    opened timestamptz not null
  ) with (fillfactor = 50);
  create table entries (
    id integer generated always as identity primary key, account integer not null, amount integer not null,
    memo text not null, at timestamptz not null default now()
  );
  insert into accounts
    select n, 'Owner of account ' || n, 1000, n % 7 > 0, timestamptz '2024-01-01' + n * interval '1 hour'
      from generate_series(1, ${accountsInAll}) as n;`

/** So that nobody finds more than another: the dead rows of those before are gone. Not in one transaction. */
export const tidyUp: readonly string[] = ['truncate entries', 'vacuum (analyze) accounts']
