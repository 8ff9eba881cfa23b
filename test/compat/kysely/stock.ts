// The measure: kysely's own PostgresDialect over pg, as its documentation sets it up.

import { PostgresDialect } from 'kysely'
import pg from 'pg'
import Cursor from 'pg-cursor'
import type { MakeDialect } from './side.js'

export const stock: MakeDialect = (url, { max, types }) => {
  const pool = new pg.Pool({ connectionString: url, max, ...(types && { types }) })
  // Without listeners a connection that is terminated ends the process, idle or not.
  pool.on('error', () => {})
  pool.on('connect', (client) => void client.on('error', () => {}))
  return new PostgresDialect({ pool, cursor: Cursor })
}
