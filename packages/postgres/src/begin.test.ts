// BEGIN and the statement behind it, against a server that answers what no real one can be made to answer at will.

import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  Deadlines,
  StatementCancelledError,
  systemClock,
} from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import { PostgresDriver } from './driver.js'
import { parsePoolOptions } from './options.js'

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

const done = (tag: string, status: string) => Buffer.concat([message('C', `${tag}\0`), message('Z', status)])
const refused = (status: string) =>
  Buffer.concat([message('E', 'SERROR\0VERROR\0C57014\0Mcanceled\0\0'), message('Z', status)])

interface Scripted {
  readonly connection: PostgresConnection
  /** The texts of the queries, in order. */
  readonly asked: string[]
  /** Connections that were made to cancel. */
  readonly cancels: () => number
  say(answer: Buffer): void
}

/** The greeting is answered; from then on the server says what it is told to. */
async function scripted(): Promise<Scripted> {
  const asked: string[] = []
  let cancels = 0
  let session: net.Socket | undefined
  const server = net.createServer(async (socket) => {
    socket.on('error', () => {})
    const [first] = await once(socket, 'data')
    if (first.readInt32BE(4) === 80877102) {
      cancels++
      socket.end()
      return
    }
    session = socket
    const key = Buffer.alloc(8)
    socket.write(Buffer.concat([message('R', Buffer.alloc(4)), message('K', key), message('Z', 'I')]))
    await once(socket, 'data')
    socket.write(done('SELECT 0', 'I'))
    socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 1 + chunk.readInt32BE(at + 1)) {
        asked.push(chunk.toString('utf8', at + 5, at + chunk.readInt32BE(at + 1)))
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const options = parsePoolOptions({
    connection: { host: '127.0.0.1', port, user: 'u', password: 'p', database: 'd', fetch_types: false },
  })
  const deadlines = new Deadlines(systemClock)
  cleanups.push(() => deadlines.clear())
  const driver = new PostgresDriver(options.connection, options.resilience, deadlines)
  const connection = await driver.connect({
    signal: new AbortController().signal,
    epoch: 0,
    endpoint: { host: '127.0.0.1', port },
  })
  cleanups.push(() => connection.destroy(new ConnectionLostError('The test is over')))
  return { connection, asked, cancels: () => cancels, say: (answer) => session?.write(answer) }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

describe('a BEGIN that begins nothing', () => {
  it('leaves unknown what became of the statement behind it, which ran outside, and no other may follow', async () => {
    const { connection, asked, say } = await scripted()
    await connection.begin()
    const first = errorOf(connection.execute({ text: 'insert' }))
    const second = errorOf(connection.execute({ text: 'update' }))
    await until(() => asked.length === 2)
    say(Buffer.concat([refused('I'), done('INSERT 0 1', 'I')]))
    expect(await first).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(await first).toMatchObject({ retry: 'unknown', cause: { code: '57014' } })
    expect(await second).toBeInstanceOf(ConnectionLostError)
    expect(connection.lost).toBeInstanceOf(ConnectionLostError)
    expect(asked).toEqual(['begin', 'insert'])
  })

  it('is the error of the statement behind it if that failed as well, and no other may follow', async () => {
    const { connection, asked, say } = await scripted()
    await connection.begin()
    const first = errorOf(connection.execute({ text: 'insert' }))
    const second = errorOf(connection.execute({ text: 'update' }))
    await until(() => asked.length === 2)
    say(refused('I'))
    say(Buffer.concat([message('E', 'SERROR\0VERROR\0C42P01\0Mno table\0\0'), message('Z', 'I')]))
    expect(await first).toBeInstanceOf(StatementCancelledError)
    expect(await second).toBeInstanceOf(ConnectionLostError)
    expect(asked).toEqual(['begin', 'insert'])
  })

  it('ends the connection also when nobody waits for the statement behind it any more', async () => {
    const { connection, asked, say } = await scripted()
    await connection.begin()
    const abort = new AbortController()
    const first = errorOf(connection.execute({ text: 'insert' }, { signal: abort.signal }))
    await until(() => asked.length === 2)
    abort.abort()
    expect(await first).toBeInstanceOf(StatementCancelledError)
    say(Buffer.concat([refused('I'), done('INSERT 0 1', 'I')]))
    await until(() => connection.lost !== undefined)
  })
})

it('a cancel waits until BEGIN was answered: without it, the statement behind it would run on its own', async () => {
  const { connection, asked, cancels, say } = await scripted()
  await connection.begin()
  const abort = new AbortController()
  const first = errorOf(connection.execute({ text: 'insert' }, { signal: abort.signal }))
  await until(() => asked.length === 2)
  abort.abort()
  expect(await first).toBeInstanceOf(StatementCancelledError)
  // Time enough for one to arrive.
  for (let connects = 0; connects < 3; connects++) {
    const socket = net.connect(connection.endpoint.port, connection.endpoint.host)
    await once(socket, 'connect')
    socket.destroy()
    await once(socket, 'close')
  }
  expect(cancels()).toBe(0)
  say(done('BEGIN', 'T'))
  await until(() => cancels() === 1)
  say(refused('E'))
  await until(() => connection.activity === 'idle')
  expect([connection.lost, connection.transactionStatus]).toEqual([undefined, 'failed'])
})

it('a statement that was answered in the same breath as BEGIN gets its own answer', async () => {
  const { connection, asked, say } = await scripted()
  await connection.begin()
  const first = connection.execute({ text: 'insert' })
  await until(() => asked.length === 2)
  say(Buffer.concat([done('BEGIN', 'T'), done('INSERT 0 7', 'T')]))
  expect(await first).toMatchObject({ command: 'INSERT', count: 7 })
  expect(connection.sessionState).toBe('clean')
})
