// The built demo, in short, on the tests' server.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { useDatabase } from '@moorings/test/support/use-database.js'

const database = useDatabase()
const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))

function run(...args: string[]) {
  return runWith({ DATABASE_URL: database.url }, ...args)
}

function runWith(environment: Readonly<Record<string, string>>, ...args: string[]) {
  const env = { ...environment, PATH: process.env.PATH }
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

test('two banks keep their books when the primary crashes and its standby takes over', async () => {
  const { stdout, stderr } = await runWith({}, '--seconds', '4')
  expect(stderr).toBe('')
  expect(stdout).toMatch(/transfers acknowledged +[1-9][\d,]* +[1-9][\d,]*\n/)
  expect(stdout).toMatch(/\nThe primary crashes\.\n(?:.*\n)*The standby is the primary now\.\n/)
  expect(stdout).toMatch(/stood still for the fail-over +\d+\.\d\d s +\d+\.\d\d s\n/)
  expect(stdout).toMatch(/\nThe books balance\.\n$/)
})

test('an argument that the demo does not know is answered with its usage', async () => {
  await expect(run('--minutes', '1')).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('--seconds') })
})
