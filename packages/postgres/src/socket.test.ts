import { EventEmitter, getEventListeners, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex, PassThrough } from 'node:stream'
import tls from 'node:tls'
import { afterEach, describe, expect, it } from '@jest/globals'
import { ConnectError } from '@moorings/core'
import { parseConnection, type ServerAddress, type SocketFactory, type Ssl } from './options.js'
import { holdProcess, openSocket, type SocketSettings } from './socket.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

class Peer extends EventEmitter {
  readonly sockets: net.Socket[] = []
  readonly server: net.Server
  constructor(server: net.Server) {
    super()
    this.server = server
    server.on('connection', (socket: net.Socket) => {
      this.sockets.push(socket)
      socket.on('error', () => {})
      this.emit('connection', socket)
    })
  }
  get port(): number {
    const address = this.server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }
  /** Every connection it ever had is closed, from the other side or ours. */
  async empty(): Promise<void> {
    for (const socket of this.sockets) if (!socket.closed) await once(socket, 'close')
  }
}

async function listen(server: net.Server, path?: string): Promise<Peer> {
  const peer = new Peer(server)
  if (path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  cleanups.push(() => {
    for (const socket of peer.sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return peer
}

/** A server that answers the first bytes it gets, and does nothing else. */
function answering(answer: string | Buffer | undefined): Promise<Peer> {
  return listen(
    net.createServer((socket) => {
      socket.once('data', () => (answer === undefined ? socket.end() : socket.write(answer)))
    }),
  )
}

const silent = () => listen(net.createServer((socket) => socket.resume()))

interface Wish {
  ssl?: Ssl
  socket?: SocketFactory
  sslnegotiation?: 'direct'
}

function settings({ ssl = false, socket, sslnegotiation = undefined }: Wish = {}): SocketSettings {
  return {
    ...parseConnection({ host: 'h', socket }),
    library: parseConnection({ host: 'h', user: 'me' }).library,
    ssl,
    sslnegotiation: sslnegotiation ?? 'postgres',
  }
}

const never = new AbortController().signal
const at = (peer: Peer, host = '127.0.0.1'): ServerAddress => ({ host, port: peer.port })

async function open(endpoint: ServerAddress, wish?: Wish, signal: AbortSignal = never): Promise<Duplex> {
  const socket = await openSocket(endpoint, settings(wish), signal)
  cleanups.push(() => socket.destroy())
  return socket
}

async function failure(opening: Promise<unknown>): Promise<ConnectError> {
  const error: unknown = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof ConnectError) return error
  throw new Error(`expected a ConnectError, not ${String(error)}`)
}

/** What a socket carries when it is handed out: nothing but the guard against an `error` nobody listens to. */
function expectBare(socket: Duplex): void {
  expect(socket.listenerCount('error')).toBeLessThanOrEqual(2) // node's own on a TLS socket
  for (const event of ['connect', 'readable', 'data', 'secureConnect']) expect(socket.listenerCount(event)).toBe(0)
}

/** Counted by what holds the process at all: only this one changes meanwhile. */
function expectHolding(socket: Duplex): void {
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
  const before = sockets()
  holdProcess(socket, false)
  holdProcess(socket, false)
  expect(sockets()).toBe(before - 1)
  holdProcess(socket, true)
  expect(sockets()).toBe(before)
}

describe('openSocket without TLS', () => {
  it('opens what holds the process, or lets it go', async () => {
    expectHolding(await open(at(await silent())))
  })

  it('leaves alone a stream that does not know what holds the process', async () => {
    const stream = await open({ host: 'far', port: 1 }, { socket: () => new PassThrough() })
    holdProcess(stream, false)
    holdProcess(stream, true)
  })

  it('opens a TCP connection, with nothing waiting on it', async () => {
    const peer = await silent()
    const abort = new AbortController()
    const socket = await open(at(peer), {}, abort.signal)
    expectBare(socket)
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    expect(socket.readableFlowing).toBeNull()
    abort.abort()
    expect(socket.destroyed).toBe(false)
  })

  it('opens a Unix socket', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'moorings-'))
    cleanups.push(() => rmSync(directory, { recursive: true }))
    const path = join(directory, '.s.PGSQL.5432')
    const peer = await listen(net.createServer(), path)
    await open({ host: path, port: 5432, path })
    expect(peer.sockets).toHaveLength(1)
    const error = await failure(open({ host: '/nowhere', port: 1, path: '/nowhere' }))
    expect(error).toMatchObject({ code: 'ENOENT', endpoint: '/nowhere' })
  })

  it('says who refused, and why', async () => {
    const peer = await silent()
    const { port } = peer
    await cleanups.pop()?.()
    const error = await failure(open({ host: '127.0.0.1', port }))
    expect(error).toMatchObject({ code: 'ECONNREFUSED', endpoint: `127.0.0.1:${port}`, retry: 'reconnect' })
    expect(error.message).toContain(`127.0.0.1:${port}`)
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('reports a name that does not resolve', async () => {
    expect((await failure(open({ host: 'no-such-host.invalid', port: 1 }))).code).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/)
  })

  it('calls a port that is none hopeless', async () => {
    expect(await failure(open({ host: 'h', port: 70_000 }))).toMatchObject({ retry: 'never' })
  })

  it('switches off Nagle and switches on keepalive', async () => {
    const calls: unknown[] = []
    class Watched extends net.Socket {
      override setNoDelay(on?: boolean): this {
        calls.push(['noDelay', on])
        return super.setNoDelay(on)
      }
      override setKeepAlive(on?: boolean, delay?: number): this {
        calls.push(['keepAlive', on, delay])
        return super.setKeepAlive(on, delay)
      }
    }
    const peer = await silent()
    const socket = () => new Watched().connect(peer.port, '127.0.0.1')
    await open(at(peer), { socket })
    expect(calls).toEqual([
      ['noDelay', true],
      ['keepAlive', true, 60_000],
    ])
  })
})

describe('openSocket, given up', () => {
  it('before it began: opens nothing', async () => {
    const peer = await silent()
    let asked = 0
    const socket = () => {
      asked++
    }
    const signal = AbortSignal.abort(new Error('too late'))
    const error = await failure(open(at(peer), {}, signal))
    expect(error.message).toContain('too late')
    await failure(open(at(peer), { socket }, signal))
    expect([asked, peer.sockets.length]).toEqual([0, 0])
  })

  it.each([['127.0.0.1'], ['localhost'], ['some-name.invalid']])('while it connects to %s', async (host) => {
    const peer = await silent()
    const abort = new AbortController()
    const opening = failure(open(at(peer, host), {}, abort.signal))
    abort.abort()
    expect((await opening).message).toContain('connecting')
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    await peer.empty()
  })

  it.each([
    ['while the server owes its answer about TLS', undefined, 'asking for TLS'],
    ['while the server owes its half of the handshake', 'S', 'TLS handshake'],
  ])('%s', async (_when, answer, doing) => {
    const peer = answer === undefined ? await silent() : await answering(answer)
    const abort = new AbortController()
    const opening = failure(open(at(peer), { ssl: 'require' }, abort.signal))
    const [accepted] = await once(peer, 'connection')
    // The client's first message tells that it has got so far; for the handshake its second.
    for (let messages = answer === undefined ? 1 : 2; messages > 0; messages--) await once(accepted, 'data')
    abort.abort(new Error('enough'))
    const error = await opening
    expect(error.message).toContain(doing)
    expect(error.message).toContain('enough')
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    await peer.empty()
  })

  it("while the user's factory hangs; a stream it delivers later is destroyed", async () => {
    const peer = await silent()
    let deliver: (stream: Duplex) => void = () => {}
    const socket = () =>
      new Promise<Duplex>((resolve) => {
        deliver = resolve
      })
    const abort = new AbortController()
    const opening = failure(open(at(peer), { socket }, abort.signal))
    await Promise.resolve()
    abort.abort()
    expect((await opening).message).toContain('socket factory')
    const late = net.connect(peer.port, '127.0.0.1')
    deliver(late)
    await once(late, 'close')
    late.emit('error', new Error('nobody listens'))
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
  })

  it("while the user's factory hangs; a failure it delivers later is nobody's", async () => {
    let fail: (error: Error) => void = () => {}
    const socket = () =>
      new Promise<Duplex>((_, reject) => {
        fail = reject
      })
    const abort = new AbortController()
    const opening = failure(open({ host: 'h', port: 1 }, { socket }, abort.signal))
    await Promise.resolve()
    abort.abort()
    await opening
    fail(new Error('late'))
    await new Promise(setImmediate)
  })
})

describe("openSocket with the user's factory", () => {
  it("gives it the library's options with one host and port, and waits until it is connected", async () => {
    const peer = await silent()
    let seen: Record<string, unknown> = {}
    const socket: SocketFactory = (options) => {
      seen = options
      return net.connect(peer.port, '127.0.0.1')
    }
    const stream = await open({ host: 'far', port: 7 }, { socket })
    expect(seen).toMatchObject({ host: ['far'], port: [7], user: 'me', path: false })
    expect(stream).toMatchObject({ connecting: false })
    expectBare(stream)
  })

  it('takes any duplex stream', async () => {
    const stream = new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        done()
      },
    })
    expect(await open({ host: 'h', port: 1 }, { socket: async () => stream })).toBe(stream)
  })

  it.each<[string, SocketFactory]>([
    [
      'throws',
      () => {
        throw Object.assign(new Error('no tunnel'), { code: 'ETUNNEL' })
      },
    ],
    [
      'rejects',
      async () => {
        throw Object.assign(new Error('no tunnel'), { code: 'ETUNNEL' })
      },
    ],
  ])('that %s: says so', async (_how, socket) => {
    const error = await failure(open({ host: 'h', port: 1 }, { socket }))
    expect(error).toMatchObject({ code: 'ETUNNEL', endpoint: 'h:1' })
    expect(error.message).toContain('no tunnel')
  })

  it.each([[undefined], [null], [{}], ['socket']])('that returns %p: says so', async (value) => {
    const error = await failure(open({ host: 'h', port: 1 }, { socket: () => value }))
    expect(error).toMatchObject({ retry: 'never', message: expect.stringContaining('no stream') })
  })

  it('that returns a stream already gone: says so', async () => {
    const socket = () => new Duplex({ read() {}, write() {} }).destroy()
    const error = await failure(open({ host: 'h', port: 1 }, { socket, ssl: 'require' }))
    expect(error.message).toContain('closed')
  })
})

describe('openSocket asking for TLS', () => {
  it.each<[Ssl]>([['prefer'], ['allow']])('goes on without it at ssl: %j when the server says no', async (ssl) => {
    const peer = await answering('N')
    const socket = await open(at(peer), { ssl })
    expectBare(socket)
    peer.sockets[0]?.write('hello')
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toBe('hello')
  })

  it.each<[Ssl]>([['require'], ['verify-full'], [true], [{}]])('refuses to at ssl: %j', async (ssl) => {
    const peer = await answering('N')
    const error = await failure(open(at(peer), { ssl }))
    expect(error.message).toContain('the server does not support TLS')
    await peer.empty()
  })

  it.each([['SX'], ['NX'], [`S${'x'.repeat(500)}`]])(
    'refuses bytes stuffed behind the answer (%s, CVE-2021-23222)',
    async (answer) => {
      const peer = await answering(answer)
      const error = await failure(open(at(peer), { ssl: 'prefer' }))
      expect(error.message).toContain('unencrypted data')
      await peer.empty()
    },
  )

  it('does not take an error message for an answer', async () => {
    const peer = await answering('E\0\0\0\x04')
    const error = await failure(open(at(peer), { ssl: 'prefer' }))
    expect(error.message).toContain('did not say whether')
    await peer.empty()
  })

  it('notices when the server hangs up instead', async () => {
    const peer = await answering(undefined)
    const error = await failure(open(at(peer), { ssl: 'prefer' }))
    expect(error.message).toContain('closed')
    await peer.empty()
  })

  it('fails in the handshake when the server does not speak TLS after all', async () => {
    const peer = await listen(
      net.createServer((socket) => {
        socket.once('data', () => {
          socket.write('S')
          socket.once('data', () => socket.write('this is no TLS'))
        })
      }),
    )
    const error = await failure(open(at(peer), { ssl: 'require' }))
    expect(error.message).toContain('TLS handshake')
    await peer.empty()
  })

  it('fails in the handshake when the server hangs up', async () => {
    const peer = await listen(
      net.createServer((socket) => {
        socket.once('data', () => {
          socket.write('S')
          socket.once('data', () => socket.destroy())
        })
      }),
    )
    const error = await failure(open(at(peer), { ssl: 'require' }))
    expect(error.message).toContain('TLS handshake')
  })

  it('calls TLS options that cannot be used hopeless', async () => {
    const peer = await answering('S')
    const error = await failure(open(at(peer), { ssl: { key: 'no key' } }))
    expect(error).toMatchObject({ retry: 'never' })
    await peer.empty()
  })
})

interface Certificate {
  key: Buffer
  cert: Buffer
}

/** Self-signed and long-lived, for tests of whatever package. */
function certificate(name: string): Certificate {
  const read = (file: string) => readFileSync(new URL(`../../../test/support/certificates/${file}`, import.meta.url))
  return { key: read(`${name}.key`), cert: read(`${name}.crt`) }
}

const name = certificate('name')
const address = certificate('address')

describe('openSocket with TLS', () => {
  /** Answers as PostgreSQL does, then echoes what it reads. Remembers the names asked for. */
  function speaking(certificate: Certificate | undefined, direct = false) {
    const seen: { servername: unknown; alpn: unknown }[] = []
    const secure = (socket: net.Socket) => {
      const encrypted = new tls.TLSSocket(socket, {
        isServer: true,
        ALPNProtocols: ['postgresql'],
        ...certificate,
      })
      encrypted.on('error', () => {})
      encrypted.on('secure', () => {
        seen.push({ servername: Reflect.get(encrypted, 'servername'), alpn: encrypted.alpnProtocol })
      })
      encrypted.pipe(encrypted)
    }
    const server = net.createServer((socket) => {
      if (direct) secure(socket)
      else {
        socket.once('data', () => {
          socket.write('S')
          secure(socket)
        })
      }
    })
    return listen(server).then((peer) => ({ peer, seen }))
  }

  async function echoes(socket: Duplex): Promise<boolean> {
    socket.write('ping')
    const [chunk] = await once(socket, 'data')
    return String(chunk) === 'ping'
  }

  it.each<[Ssl]>([['require'], ['allow'], ['prefer'], [{ rejectUnauthorized: false }]])(
    'does not verify at ssl: %j',
    async (ssl) => {
      const { peer, seen } = await speaking(name)
      const socket = await open(at(peer, 'localhost'), { ssl })
      expectBare(socket)
      expect(socket instanceof tls.TLSSocket && socket.encrypted).toBe(true)
      expect(await echoes(socket)).toBe(true)
      expect(seen).toEqual([{ servername: 'localhost', alpn: false }])
      socket.destroy()
      await peer.empty()
    },
  )

  it.each<[Ssl]>([[true], ['verify-full'], [{}]])('verifies at ssl: %j', async (ssl) => {
    const { peer } = await speaking(name)
    const error = await failure(open(at(peer, 'localhost'), { ssl }))
    expect(error).toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    await peer.empty()
  })

  it('trusts the certificate it is told to, for the name it is for', async () => {
    const { peer } = await speaking(name)
    expect(await echoes(await open(at(peer, 'localhost'), { ssl: { ca: name.cert } }))).toBe(true)
    const error = await failure(open(at(peer), { ssl: { ca: name.cert } }))
    expect(error.code).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  it('sends no name for an address, and checks the certificate for the address', async () => {
    const { peer, seen } = await speaking(address)
    expect(await echoes(await open(at(peer), { ssl: { ca: address.cert } }))).toBe(true)
    expect(seen).toEqual([{ servername: false, alpn: false }])
  })

  it('lets the TLS options of the user decide the name', async () => {
    const { peer, seen } = await speaking(name)
    expect(await echoes(await open(at(peer), { ssl: { ca: name.cert, servername: 'localhost' } }))).toBe(true)
    expect(seen).toEqual([{ servername: 'localhost', alpn: false }])
  })

  it('starts TLS at once with sslnegotiation: direct, and names the protocol', async () => {
    const { peer, seen } = await speaking(name, true)
    const socket = await open(at(peer, 'localhost'), { ssl: 'require', sslnegotiation: 'direct' })
    expect(await echoes(socket)).toBe(true)
    expect(seen).toEqual([{ servername: 'localhost', alpn: 'postgresql' }])
  })

  it("runs over the user's own stream, going by the host it names", async () => {
    const { peer, seen } = await speaking(name)
    const socket = () => {
      const inner = net.connect(peer.port, '127.0.0.1')
      const outer = new Duplex({
        read: () => inner.resume(),
        write: (chunk, _encoding, done) => inner.write(chunk, done),
        destroy: (error, done) => {
          inner.destroy()
          done(error)
        },
      })
      inner.on('data', (chunk) => outer.push(chunk) || inner.pause())
      inner.on('error', () => {})
      inner.on('close', () => outer.destroy())
      return Object.assign(outer, { host: 'localhost' })
    }
    const stream = await open({ host: 'far', port: 1 }, { socket, ssl: { ca: name.cert } })
    // Which does not know what holds the process: nothing is done, and nothing breaks.
    holdProcess(stream, false)
    holdProcess(stream, true)
    expect(await echoes(stream)).toBe(true)
    expect(seen).toEqual([{ servername: 'localhost', alpn: false }])
    stream.destroy()
    await peer.empty()
  })

  it('holds the process or lets it go with the socket below', async () => {
    const { peer } = await speaking(name)
    expectHolding(await open(at(peer, 'localhost'), { ssl: 'require' }))
  })

  it('closes what is below when the encrypted stream is destroyed', async () => {
    const { peer } = await speaking(name)
    const socket = await open(at(peer, 'localhost'), { ssl: 'require' })
    socket.destroy()
    await peer.empty()
    expect(peer.sockets.map(({ closed }) => closed)).toEqual([true])
  })
})

describe('a socket just handed out', () => {
  it('may fail before anybody listens, and the process lives', async () => {
    const peer = await silent()
    const socket = await open(at(peer))
    socket.destroy(new Error('reset'))
    await new Promise((resolve) => socket.on('close', resolve))
    expect(socket.destroyed).toBe(true)
  })
})
