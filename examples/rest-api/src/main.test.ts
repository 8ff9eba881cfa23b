// The built program, as it is run: through the packages' own exports.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { useDatabase } from '@moorings/test/support/use-database.js'

const database = useDatabase()
const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))

test.each(['SIGTERM', 'SIGINT'] as const)('the program makes its tables, serves, and ends by %s', async (signal) => {
  await database.admin.query('drop table if exists orders, users, products')
  const env = { PATH: process.env.PATH, DATABASE_URL: database.url, PORT: '0' }
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  try {
    const [url] = await once(createInterface(child.stdout), 'line')
    const post = async (path: string, body: object) =>
      (await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) })).status
    const ada = { email: 'ada@lovelace.example', name: 'Ada' }
    expect([await post('/users', ada), await post('/users', ada)]).toEqual([201, 409])
    const order = (quantity: number) => post('/orders', { userId: 1, sku: 'anchor', quantity })
    expect([await order(2), await order(2)]).toEqual([201, 422])
    child.kill(signal)
    expect(await exited).toEqual([0, null])
  } finally {
    child.kill('SIGKILL')
  }
})

test('the program says what is missing when there is no DATABASE_URL', async () => {
  const child = spawn(process.execPath, [program], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const chunks: Buffer[] = []
  child.stderr.on('data', (chunk) => chunks.push(chunk))
  const [code] = await once(child, 'close')
  expect(code).toBe(1)
  expect(Buffer.concat(chunks).toString()).toContain('Set DATABASE_URL')
})
