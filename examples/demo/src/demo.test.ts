// The built demo, in short, on the tests' server.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { useDatabase } from '@moorings/test/support/use-database.js'

const database = useDatabase()
const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))

function run(...args: string[]) {
  const env = { PATH: process.env.PATH, DATABASE_URL: database.url }
  return promisify(execFile)(process.execPath, [program, ...args], { env, timeout: 50_000 })
}

test('two banks keep their books under fire, and nothing is left on the server', async () => {
  const { stdout, stderr } = await run('--seconds', '4')
  expect(stderr).toBe('')
  expect(stdout).toMatch(/transfers acknowledged +[1-9][\d,]* +[1-9][\d,]*\n/)
  expect(stdout).toMatch(/connections lost and replaced +[1-9]\d* +[1-9]\d*\n/)
  expect(stdout).toMatch(/\nThe books balance\.\n$/)
  // This file's own database has such a name, too.
  const left = `select datname from pg_database where datname like 'moorings_demo_%' and datname <> current_database()`
  expect(await database.admin.query(left)).toEqual([])
})

test('an argument that the demo does not know is answered with its usage', async () => {
  await expect(run('--minutes', '1')).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('--seconds') })
})
