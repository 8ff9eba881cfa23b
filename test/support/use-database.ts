// For test files: a database that lives as long as the file's tests (or the describe block that calls this).

import { basename } from 'node:path'
import { afterAll, beforeAll, expect } from '@jest/globals'
import { createDatabase, type Database, inventName, serverUrl } from './database.js'

/**
 * Call at the top of a test file; the database is there from `beforeAll` on: `const database = useDatabase()`.
 *
 * @param server asked in `beforeAll`; by default the run's
 */
export function useDatabase(server: () => string = serverUrl): Database {
  let created: Database | undefined
  const database = () => {
    if (!created) throw new Error('useDatabase(): the database exists only from beforeAll on')
    return created
  }
  beforeAll(async () => {
    const file = basename(expect.getState().testPath ?? 'test').replace(/\.test\.ts$/, '')
    created = await createDatabase(inventName(file), server())
  }, 60_000)
  afterAll(() => created?.drop(), 60_000)
  return {
    get name() {
      return database().name
    },
    get url() {
      return database().url
    },
    get admin() {
      return database().admin
    },
    drop: () => database().drop(),
  }
}
