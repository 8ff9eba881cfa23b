// As whom a connection is made, seen from a server that asks for the password and then refuses everybody.

import { once } from 'node:events'
import net from 'node:net'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from '@jest/globals'
import { AuthenticationError, type Credentials, Deadlines, InvalidOptionsError, systemClock } from '@moorings/core'
import { PostgresDriver } from './driver.js'
import { parsePoolOptions } from './options.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

interface Asked {
  user: string | undefined
  password: string
}

function message(type: string, body: string | Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(Buffer.byteLength(body) + 4, 1)
  return Buffer.concat([head, Buffer.from(body)])
}

/** Each connection gets the same answers: which password? No. */
async function refusing(): Promise<{ readonly port: number; readonly asked: Asked[] }> {
  const asked: Asked[] = []
  const server = net.createServer(async (socket) => {
    socket.on('error', () => {})
    const [startup] = await once(socket, 'data')
    const words = startup.toString('utf8', 8).split('\0')
    socket.write(message('R', Buffer.from([0, 0, 0, 3])))
    const [given] = await once(socket, 'data')
    asked.push({ user: words[words.indexOf('user') + 1], password: given.toString('utf8', 5, given.length - 1) })
    socket.end(message('E', 'SFATAL\0VFATAL\0C28P01\0Mno\0\0'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, asked }
}

async function attempt(port: number, password: unknown, credentials?: Credentials): Promise<unknown> {
  const connection = { host: '127.0.0.1', port, user: 'configured', password, database: 'd' }
  const options = parsePoolOptions({ connection })
  const deadlines = new Deadlines(systemClock)
  cleanups.push(() => deadlines.clear())
  const driver = new PostgresDriver(options.connection, options.resilience, deadlines)
  const { signal } = new AbortController()
  return driver.connect({ signal, epoch: 0, credentials, endpoint: { host: '127.0.0.1', port } }).then(
    () => 'connected',
    (error: unknown) => error,
  )
}

describe('credentials of a connect', () => {
  it.each<[string, Credentials | undefined, Asked]>([
    ['none', undefined, { user: 'configured', password: 'known' }],
    ['empty', {}, { user: 'configured', password: 'known' }],
    ['a user', { user: 'guest' }, { user: 'guest', password: 'known' }],
    ['a password', { password: 'token' }, { user: 'configured', password: 'token' }],
    ['both', { user: 'guest', password: 'token' }, { user: 'guest', password: 'token' }],
    ['an empty password', { password: '' }, { user: 'configured', password: '' }],
  ])('%s: what is given goes before what is configured', async (_, credentials, expected) => {
    const { port, asked } = await refusing()
    expect(await attempt(port, 'known', credentials)).toBeInstanceOf(AuthenticationError)
    expect(asked).toEqual([expected])
  })

  it('with a password leave the password function alone', async () => {
    const { port, asked } = await refusing()
    let calls = 0
    const password = () => `asked ${++calls} times`
    await attempt(port, password, { user: 'guest', password: 'token' })
    expect(calls).toBe(0)
    await attempt(port, password, { user: 'guest' })
    expect(asked).toEqual([
      { user: 'guest', password: 'token' },
      { user: 'guest', password: 'asked 1 times' },
    ])
  })

  it.each<[string, object, string]>([
    ['a user with a zero byte', { user: 'hush-hush\0options\0-c evil=1' }, 'credentials.user'],
    ['a user without a name', { user: '' }, 'credentials.user'],
    ['a user that is no string', { user: { name: 'hush-hush' } }, 'credentials.user'],
    ['a password that is no string', { password: ['hush-hush'] }, 'credentials.password'],
  ])('are checked before anything is sent: %s', async (_, credentials, path) => {
    const { port, asked } = await refusing()
    const error = await attempt(port, 'known', credentials)
    expect(error).toBeInstanceOf(InvalidOptionsError)
    expect(error).toMatchObject({ problems: [{ path }], retry: 'never' })
    expect(`${inspect(error)}${JSON.stringify(error)}`).not.toContain('hush-hush')
    expect(asked).toEqual([])
  })

  it('are in no error of the connect', async () => {
    const { port } = await refusing()
    const error = await attempt(port, 'known-is-secret', { user: 'guest-is-secret', password: 'token-is-secret' })
    expect(`${inspect(error, { depth: 10, showHidden: true })}${JSON.stringify(error)}`).not.toContain('is-secret')
  })
})
