import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import pg from 'pg'
import { serverUrl } from './database.js'
import { findPgbouncer, startPgbouncer } from './pgbouncer.js'
import { until } from './until.js'
import { useDatabase } from './use-database.js'
import { describeBehindPgbouncer } from './use-pgbouncer.js'

const database = useDatabase()

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function backend(client: pg.Client): Promise<number | undefined> {
  return (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid
}

test('pgbouncer is found in the path, and what only has its name is not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'moorings-path-'))
  const program = join(folder, 'pgbouncer')
  await writeFile(program, '#!/bin/sh\n', { mode: 0o644 })
  expect(findPgbouncer(folder)).not.toBe(program)
  await chmod(program, 0o755)
  expect(findPgbouncer(`/nowhere:${folder}`)).toBe(program)
  await rm(folder, { recursive: true })
})

describeBehindPgbouncer(
  'pgbouncer in transaction mode',
  (pooler) => {
    test('gives two clients the same backend by turns, and one to itself during its transaction', async () => {
      const [one, two] = [
        await connected(pooler().through(database.url)),
        await connected(pooler().through(database.url)),
      ]
      const pid = await backend(one)
      expect(await backend(two)).toBe(pid)
      await one.query('begin')
      const waiting = backend(two)
      await until(async () => (await pooler().console('show pools')).some(({ cl_waiting }) => cl_waiting === 1), {
        what: 'the other client to wait',
      })
      await one.query('commit')
      expect(await waiting).toBe(pid)
      await one.end()
      await two.end()
    })

    test('refuses a wrong password', async () => {
      const url = new URL(pooler().through(database.url))
      url.password = 'wrong'
      await expect(connected(url.href)).rejects.toThrow('SASL authentication failed')
    })

    test('says its version', () => {
      expect(pooler().version).toMatch(/^\d+\.\d+/)
    })
  },
  { poolSize: 1 },
)

describeBehindPgbouncer(
  'pgbouncer in session mode',
  (pooler) => {
    test('gives each client a backend of its own', async () => {
      const [one, two] = [
        await connected(pooler().through(database.url)),
        await connected(pooler().through(database.url)),
      ]
      expect(await backend(one)).not.toBe(await backend(two))
      await one.end()
      await two.end()
    })

    test('does not start with a setting that it does not know', async () => {
      const attempt = startPgbouncer({ url: serverUrl(), settings: { pool_mode: 'wrong' } })
      await expect(attempt).rejects.toThrow(/did not start.*pool_mode/s)
    })
  },
  { poolMode: 'session' },
)
