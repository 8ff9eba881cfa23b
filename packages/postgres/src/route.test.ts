// What is asked of a pooler when a connection is made, where the pooler falls silent in the middle of it: seen from one that
// answers the greeting and nothing after it.

import { once } from 'node:events'
import net from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { afterEach, describe, expect, it } from '@jest/globals'
import { ConnectError, Deadlines, systemClock } from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import { PostgresDriver } from './driver.js'
import { parsePoolOptions } from './options.js'
import { createPool } from './pool.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function message(type: string, ...parts: (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function int(bytes: 2 | 4, value: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  buffer.writeIntBE(value, 0, bytes)
  return buffer
}

const ready = message('Z', 'I')

/** One row, all of it text. */
function rowOf(row: Readonly<Record<string, string>>): Buffer {
  const fields = Object.keys(row).map((name) =>
    Buffer.concat([Buffer.from(`${name}\0`), int(4, 0), int(2, 0), int(4, 25), int(2, -1), int(4, -1), int(2, 0)]),
  )
  const values = Object.values(row).map((value) => Buffer.concat([int(4, value.length), Buffer.from(value)]))
  return Buffer.concat([
    message('T', int(2, fields.length), ...fields),
    message('D', int(2, values.length), ...values),
    message('C', 'SELECT 1\0'),
    ready,
  ])
}

/** As a server says it of a session whose process has another number than a pooler made up. */
const greeted = rowOf({
  ...{ system: '7', timeline: '00000001', started: '20260101000000000000', place: '10.0.0.1 5432', pid: '42' },
  ...{ checkpoint: 't', modern: 't', older: 't' },
})

interface Pooler {
  readonly port: number
  /** Connections there are. */
  readonly sockets: Set<net.Socket>
  /** Questions for the backend that were not answered. */
  unanswered: number
}

/** It lends sessions for greetings and for so many questions. */
async function pooler(answers: number): Promise<Pooler> {
  const sockets = new Set<net.Socket>()
  const state = { port: 0, sockets, unanswered: 0 }
  let left = answers
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', int(4, 0)), message('K', int(4, 7), int(4, 8)), ready]))
      socket.on('data', (chunk: Buffer) => {
        if (chunk.toString('latin1').includes('pg_control_system')) socket.write(greeted)
        else if (left-- > 0) socket.write(rowOf({ pid: '42' }))
        else state.unanswered++
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  state.port = typeof address === 'object' && address !== null ? address.port : 0
  return state
}

async function until(done: () => boolean, what: string): Promise<void> {
  for (let n = 0; n < 500; n++) {
    if (done()) return
    await setTimeout(10)
  }
  throw new Error(`not within 5 s: ${what}`)
}

function connectionTo(port: number) {
  return { host: '127.0.0.1', port, user: 'u', password: 'p', database: 'd', fetch_types: false, ssl: false } as const
}

describe('F2: a pooler that falls silent while it is asked how long it lends a session', () => {
  it('F2: does not keep a connect that is given up, nor its socket, nor the next one', async () => {
    const silent = await pooler(0)
    const { port, sockets } = silent
    const options = parsePoolOptions({ connection: connectionTo(port) })
    const deadlines = new Deadlines(systemClock)
    cleanups.push(() => deadlines.clear())
    const driver = new PostgresDriver(options.connection, options.resilience, deadlines)
    const connect = (signal: AbortSignal): Promise<PostgresConnection> =>
      driver.connect({ signal, epoch: 0, endpoint: { host: '127.0.0.1', port } })
    const giveUp = new AbortController()
    const connecting = connect(giveUp.signal).catch((error: unknown) => error)
    await until(() => silent.unanswered > 0, 'the question')
    giveUp.abort(new ConnectError('Its time is over'))
    expect(await Promise.race([connecting, setTimeout(2_000, 'hangs', { ref: false })])).toBeInstanceOf(ConnectError)
    await until(() => sockets.size === 0, 'its socket to be closed')
    // Nobody asks any more, so nobody waits for that: the next is not asked again so soon.
    const second = await Promise.race([
      connect(new AbortController().signal),
      setTimeout(1_000, 'hangs', { ref: false }),
    ])
    expect(second).not.toBe('hangs')
    if (typeof second !== 'string') second.destroy(new ConnectError('done'))
  })

  it('F2: does not outlive the pool that is closed meanwhile, neither itself nor the one made beside it', async () => {
    const silent = await pooler(1)
    const pool = createPool(connectionTo(silent.port), { resilience: { pool: { min: 0 } } })
    const lease = pool.acquire().catch((error: unknown) => error)
    await until(() => silent.unanswered > 0, 'the question')
    await pool.close({ timeoutMs: 100 })
    expect(await lease).toMatchObject({ name: 'PoolClosedError' })
    await until(() => silent.sockets.size === 0, 'the sockets to be closed')
  })
})
