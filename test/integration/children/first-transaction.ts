// The first transaction of a process, in Kysely, beside call chains that began before it.

import { openAll, program, report } from './stage.js'

const [drizzle, kysely] = openAll({ transaction: { rootUse: 'error' } })
const db = program === 'kysely' ? kysely : drizzle
if (db === undefined) throw new Error('no such ORM')

async function transact(): Promise<void> {
  await db?.transaction(async (tx) => {
    await tx.query('select pg_sleep(0.3)')
  })
}

async function query(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    await db?.query('select 1')
  }
}

await Promise.all([transact(), query(), query(), query()])
await db.close()
await report()
