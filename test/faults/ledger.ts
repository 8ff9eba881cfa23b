// The tables that transfers write to, and what they hold. In the journal nothing is unique: what was done twice is there
// twice.

import { type Admin, backends, killBackends } from '../support/admin.js'
import { until } from '../support/until.js'
import type { Holdings, Opening, Transfer } from './history.js'

export async function openLedger(admin: Admin, { accounts, balance }: Opening): Promise<void> {
  await admin.query('drop table if exists accounts, journal')
  await admin.query('create table accounts (id int primary key, balance int not null)')
  await admin.query('create table journal (id text not null, debited int, credited int, amount int)')
  await admin.query('insert into accounts select id, $1 from generate_series(1, $2) id', [balance, accounts])
}

/** Ends the backends that could still write; nobody may connect any more. */
export async function sealLedger(admin: Admin, applicationName: string): Promise<void> {
  const sealed = async () => {
    await killBackends(admin, 'application_name = $1', [applicationName])
    return (await backends(admin, applicationName)).length === 0
  }
  await until(sealed, { what: 'the last writers to be gone', timeoutMs: 30_000 })
}

export async function readLedger(admin: Admin): Promise<Holdings> {
  const journal = await admin.query<Transfer & Record<string, unknown>>(
    'select id, debited, credited, amount from journal',
  )
  const balances = await admin.query<{ id: number; balance: number }>('select id, balance from accounts')
  return { journal, balances: new Map(balances.map(({ id, balance }) => [id, balance])) }
}
