// Two transactions that get in each other's way, for real: which of them is the victim is decided here.

import { DeadlockError } from '@moorings/core'
import type { Admin } from '../support/admin.js'
import { until } from '../support/until.js'
import { backendOf, type Db, type Tx } from './orms.js'
import { errorOf, gate, within } from './scene.js'

const soon = 10_000

export const accounts = `
  create table accounts (id int primary key, balance int);
  create table savings (id int primary key, balance int);
  create table parents (id int primary key);
  create table children (id int primary key, parent_id int references parents on delete cascade);
  create table slots (name text primary key)`

export const filled = `
  truncate accounts, savings, parents, children, slots;
  drop index if exists children_parent_id_idx;
  insert into accounts values (1, 50), (2, 50);
  insert into savings values (1, 50), (2, 50);
  insert into parents values (1), (2)`

/** What one of two transactions does: what it locks first, and what it then wants of the other's. */
export type Moves = readonly [string, string]

interface Fallen {
  readonly error: DeadlockError
  readonly victim: number
  readonly survivor: number
}

/** Has the two meet, and the first of them lose. */
export async function deadlock(
  admin: Admin,
  victims: Db,
  victim: Moves,
  survivor: Moves,
  survivors: Db = victims,
): Promise<Fallen> {
  const ready = gate()
  const waiting = gate()
  const holding = gate()
  let victimPid = 0
  let survivorPid = 0
  const begin = async (tx: Tx, timeout: string, [first]: Moves) => {
    await tx.query(`set local deadlock_timeout = '${timeout}'`)
    await tx.query(first)
    return backendOf(tx)
  }
  const falls = victims.transaction(async (tx) => {
    victimPid = await begin(tx, '20ms', victim)
    holding.open()
    await waiting.opened
    await tx.query(victim[1])
  })
  const survives = survivors.transaction(async (tx) => {
    survivorPid = await begin(tx, '60s', survivor)
    ready.open()
    await holding.opened
    await tx.query(survivor[1])
  })
  const fallen = errorOf(falls)
  await within(soon, Promise.all([ready.opened, holding.opened]))
  const waiters = `select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  await until(async () => (await admin.query<{ pid: number }>(waiters)).some(({ pid }) => pid === survivorPid), {
    what: 'the survivor to wait for the victim',
  })
  waiting.open()
  const [error] = await within(soon, Promise.all([fallen, survives]))
  if (!(error instanceof DeadlockError)) throw error
  return { error, victim: victimPid, survivor: survivorPid }
}

export const change = (table: string, id: number, note = '') =>
  `update ${table} set balance = balance + 90210 where id = ${id} /* SECRET ${note} */`
