import { getEventListeners, once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { sendCancel } from './cancel.js'
import { parseConnection, type ServerAddress, type Ssl } from './options.js'
import type { SocketSettings } from './socket.js'
import { cancelRequest, sslRequest } from './wire.js'

const key = { pid: 77, secret: 4_000_000_000 }
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function listen(serve: (socket: net.Socket) => void): Promise<{ address: ServerAddress; server: net.Server }> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    serve(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  return { address: { host: '127.0.0.1', port: address.port }, server }
}

function settings(wish: { ssl?: Ssl; socket?: () => unknown } = {}): SocketSettings {
  const parsed = parseConnection({ host: 'h', socket: wish.socket })
  return { ...parsed, library: parsed.library, ssl: wish.ssl ?? false }
}

const read = async (socket: net.Socket): Promise<Buffer> => {
  const [chunk] = await once(socket, 'data')
  return chunk
}

describe('sendCancel', () => {
  it('sends the request on a connection of its own, and waits until the server closes that', async () => {
    const order: string[] = []
    const { address } = await listen(async (socket) => {
      expect(await read(socket)).toEqual(cancelRequest(key.pid, key.secret))
      setImmediate(() => {
        order.push('server closes')
        socket.end()
      })
    })
    const abort = new AbortController()
    await sendCancel(address, settings(), key, abort.signal)
    order.push('done')
    expect(order).toEqual(['server closes', 'done'])
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
  })

  it('asks for TLS first where the session has it', async () => {
    const seen: Buffer[] = []
    const { address } = await listen(async (socket) => {
      seen.push(await read(socket))
      socket.write('N')
      seen.push(await read(socket))
      socket.destroy()
    })
    await sendCancel(address, settings({ ssl: 'prefer' }), key, new AbortController().signal)
    expect(seen).toEqual([sslRequest(), cancelRequest(key.pid, key.secret)])
  })

  it.each([
    ['resets the connection', (socket: net.Socket) => socket.once('data', () => socket.resetAndDestroy())],
    ['closes at once', (socket: net.Socket) => socket.resume().end()],
    ['answers something', (socket: net.Socket) => socket.once('data', () => socket.end('what?'))],
  ])('ends quietly when the server %s', async (_what, serve) => {
    const { address } = await listen(serve)
    await sendCancel(address, settings(), key, new AbortController().signal)
  })

  it('ends quietly when nobody listens, or the factory fails', async () => {
    const { address } = await listen(() => {})
    await cleanups.pop()?.()
    await sendCancel(address, settings(), key, new AbortController().signal)
    const socket = () => {
      throw new Error('no tunnel')
    }
    await sendCancel(address, settings({ socket }), key, new AbortController().signal)
  })

  it('sends nothing once the signal is aborted', async () => {
    let connections = 0
    const { address } = await listen(() => connections++)
    await sendCancel(address, settings(), key, AbortSignal.abort())
    expect(connections).toBe(0)
  })

  it('gives up with the signal when the server neither reads nor closes, and leaves no socket', async () => {
    const abort = new AbortController()
    const closed: Promise<unknown>[] = []
    const { address } = await listen((socket) => {
      closed.push(new Promise((resolve) => socket.on('close', resolve)))
      socket.once('data', () => abort.abort())
    })
    await sendCancel(address, settings(), key, abort.signal)
    await Promise.all(closed)
    expect(closed).toHaveLength(1)
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
  })
})
