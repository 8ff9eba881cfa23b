// A statement that goes from one connection to another, against a server that answers when it is told to.

import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { idempotent } from '@moorings/core'
import { createClient } from './client.js'
import { createPool } from './pool.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function message(type: string, body: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

const done = (tag: string) => Buffer.concat([message('C', `${tag}\0`), message('Z', 'I')])

/** A server that greets, and what it was asked since, by connection. */
async function scripted() {
  const sessions: { readonly socket: net.Socket; asked: string }[] = []
  const server = net.createServer(async (socket) => {
    socket.on('error', () => {})
    await once(socket, 'data')
    socket.write(Buffer.concat([message('R', Buffer.alloc(4)), message('K', Buffer.alloc(8)), message('Z', 'I')]))
    await once(socket, 'data')
    socket.write(done('SELECT 0'))
    const session = { socket, asked: '' }
    sessions.push(session)
    socket.on('data', (chunk: Buffer) => {
      session.asked += chunk.toString('latin1')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const sockets: net.Socket[] = []
  const connection = {
    ...{ host: '127.0.0.1', port, user: 'u', password: 'p', database: 'd', fetch_types: false },
    socket: () => {
      const socket = net.connect(port, '127.0.0.1')
      sockets.push(socket)
      return socket
    },
  }
  const pool = createPool(connection, { resilience: { pool: { min: 0, max: 1, overflow: 0 } } })
  cleanups.push(() => pool.close({ timeoutMs: 0 }))
  return { sql: createClient(pool), pool, sockets, sessions }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1))
}

describe('a statement that was sent again', () => {
  it('hears nothing any more of the connection it was on, whatever that has to say', async () => {
    const { sql, sockets, sessions, pool } = await scripted()
    const query = idempotent(() => sql.unsafe('update t set a = 1'))
    await until(() => sessions[0]?.asked.includes('update') === true)
    // A stream of the application's own need not say by its `close` that there was an error: the library rejects twice.
    sockets[0]?.emit('error', new Error('reset'))
    await until(() => sessions[1]?.asked.includes('update') === true)
    expect(sockets[0]?.destroyed).toBe(true)
    sockets[0]?.emit('close')
    sessions[1]?.socket.write(done('UPDATE 1'))
    expect((await query).count).toBe(1)
    expect(pool.stats()).toMatchObject({ leased: 0, idle: 1, statements: { resent: 1 } })
  })

  it('goes on as often as may be, each time as a statement of its own', async () => {
    const { sql, sessions, pool } = await scripted()
    const query = idempotent(() => sql.unsafe('update t set a = 1'))
    for (const n of [0, 1]) {
      await until(() => sessions[n]?.asked.includes('update') === true)
      sessions[n]?.socket.destroy()
    }
    await until(() => sessions[2]?.asked.includes('update') === true)
    sessions[2]?.socket.write(done('UPDATE 1'))
    expect((await query).count).toBe(1)
    expect(pool.stats()).toMatchObject({ leased: 0, statements: { resent: 2 } })
  })
})
