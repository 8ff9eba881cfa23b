// The built program, as a newcomer runs it: through the packages' own exports.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { useDatabase } from '@moorings/test/support/use-database.js'

const database = useDatabase()
const program = fileURLToPath(new URL('../dist/quickstart.js', import.meta.url))
const run = (url: string | undefined) =>
  promisify(execFile)(process.execPath, [program], {
    env: { PATH: process.env.PATH, DATABASE_URL: url },
    timeout: 30_000,
  })

test('the quick start prints its rows and the typed error, and ends by itself', async () => {
  const { stdout, stderr } = await run(database.url)
  expect(stdout).toBe(
    [
      "[ { name: 'Tern', berth: 1 }, { name: 'Nerine', berth: 3 } ]",
      'That berth is taken: quickstart_boats_berth_key',
      '',
    ].join('\n'),
  )
  expect(stderr).toBe('')
  expect(await database.admin.query("select to_regclass('quickstart_boats') as left")).toEqual([{ left: null }])
})

test('the quick start says what is missing when there is no DATABASE_URL', async () => {
  await expect(run(undefined)).rejects.toThrow('Set DATABASE_URL')
})
