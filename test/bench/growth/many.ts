// A table with as many rows as anybody asks for at once.

import { connectAdmin } from '../../support/admin.js'

export const columns = 'id, owner, balance, active, opened'
/** Rows of a chunk of what is streamed. */
export const chunk = 1_000

export async function makeMany(url: string, rows: number): Promise<void> {
  const admin = connectAdmin(url)
  try {
    await admin.query(`
      create table many as
        select n as id, 'Owner of account ' || n as owner, 1000 as balance, n % 7 > 0 as active,
               timestamptz '2024-01-01' + n * interval '1 minute' as opened
          from generate_series(1, ${rows}) as n`)
    await admin.query('vacuum (analyze) many')
  } finally {
    await admin.end()
  }
}
