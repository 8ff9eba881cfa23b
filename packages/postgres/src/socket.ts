// Opens the stream a session runs on: TCP, a Unix socket or the user's own factory, and TLS on top of it. Every step can
// be given up, and a stream that is not handed out is destroyed.

import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { ConnectError } from '@moorings/core'
import { messageOf } from './classify.js'
import { describeEndpoint, type ParsedConnection, type ServerAddress } from './options.js'
import { sslRequest } from './wire.js'

/** What this file needs of a connection's settings. */
export type SocketSettings = Pick<
  ParsedConnection,
  'ssl' | 'sslnegotiation' | 'keepAliveSeconds' | 'socket' | 'library'
>

/** Where an attempt is, for the error of one that fails. */
interface Step {
  readonly endpoint: ServerAddress
  readonly signal: AbortSignal
  readonly doing: string
}

/**
 * Opens a stream to one server, encrypted as the settings ask for.
 *
 * @throws ConnectError (rejects) with the system's `code` where there is one; also when the signal is aborted
 */
export async function openSocket(
  endpoint: ServerAddress,
  parsed: SocketSettings,
  signal: AbortSignal,
): Promise<Duplex> {
  const at = (doing: string): Step => ({ endpoint, signal, doing })
  const stream =
    parsed.socket === undefined
      ? await dial(at('connecting'))
      : await fromFactory(parsed.socket, parsed, at('waiting for the socket factory'))
  tune(stream, parsed.keepAliveSeconds)
  if (parsed.ssl === false) return stream
  if (parsed.sslnegotiation !== 'direct') {
    const accepted = await askForTls(stream, at('asking for TLS'))
    if (!accepted && (parsed.ssl === 'prefer' || parsed.ssl === 'allow')) return stream
    if (!accepted)
      throw give(stream, refused(at('asking for TLS'), 'the server does not support TLS', undefined, 'never'))
  }
  // Not one turn of the event loop since the server's answer: what comes now is for TLS to read.
  return encrypt(stream, parsed, at('in the TLS handshake'))
}

// --- the stream ---

async function dial(step: Step): Promise<Duplex> {
  const { path, host, port, address } = step.endpoint
  throwIfAborted(step)
  let socket: net.Socket
  try {
    socket = path === undefined ? net.connect({ host: address ?? host, port }) : net.connect({ path })
  } catch (error) {
    throw refused(step, messageOf(error), error, 'never')
  }
  guard(socket)
  await happened(socket, 'connect', () => true, step)
  return socket
}

async function fromFactory(
  factory: NonNullable<SocketSettings['socket']>,
  { library }: SocketSettings,
  step: Step,
): Promise<Duplex> {
  const { host, port, path } = step.endpoint
  throwIfAborted(step)
  const made = Promise.resolve().then(() => factory({ ...library, host: [host], port: [port], path: path ?? false }))
  const stream = await orAbort(made, step)
  if (!isDuplex(stream)) {
    throw refused(step, 'the socket factory returned no stream', undefined, 'never')
  }
  guard(stream)
  if ('connecting' in stream && stream.connecting === true) await happened(stream, 'connect', () => true, step)
  return stream
}

/** The factory cannot be told to stop. What it delivers when nobody waits any more is destroyed. */
function orAbort(made: Promise<unknown>, step: Step): Promise<unknown> {
  const { signal } = step
  return new Promise((resolve, reject) => {
    const abort = () => {
      signal.removeEventListener('abort', abort)
      reject(aborted(step))
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
    made.then(
      (stream) => {
        signal.removeEventListener('abort', abort)
        if (signal.aborted && isDuplex(stream)) {
          guard(stream)
          stream.destroy()
        }
        resolve(stream)
      },
      (error: unknown) => {
        signal.removeEventListener('abort', abort)
        reject(refused(step, messageOf(error), error))
      },
    )
  })
}

/** Whether the process stays alive for it. A stream from a factory of the user's may not know that question. */
export function holdProcess(stream: Duplex, alive: boolean): void {
  const method: unknown = Reflect.get(stream, alive ? 'ref' : 'unref')
  if (typeof method === 'function') Reflect.apply(method, stream, [])
}

/** The other side's. */
export function addressOf(stream: Duplex): string | undefined {
  const address: unknown = Reflect.get(stream, 'remoteAddress')
  return typeof address === 'string' ? address : undefined
}

function isDuplex(value: unknown): value is Duplex {
  if (typeof value !== 'object' || value === null) return false
  return ['on', 'off', 'read', 'write', 'end', 'destroy'].every(
    (name) => typeof Reflect.get(value, name) === 'function',
  )
}

function tune(stream: Duplex, keepAliveSeconds: number): void {
  if (!(stream instanceof net.Socket)) return
  // Without it a statement's last packet may wait for the acknowledgement of the one before.
  stream.setNoDelay(true)
  if (keepAliveSeconds > 0) stream.setKeepAlive(true, keepAliveSeconds * 1000)
}

// --- TLS ---

async function askForTls(stream: Duplex, step: Step): Promise<boolean> {
  const answered = happened(stream, 'readable', () => asBuffer(stream.read()), step)
  stream.write(sslRequest())
  const answer = await answered
  const [first] = answer
  if (first !== 83 && first !== 78) {
    throw give(stream, refused(step, 'the server did not say whether it speaks TLS', undefined))
  }
  // Somebody on the way could have put them there, to be taken for the server's own after the handshake (CVE-2021-23222).
  if (answer.length > 1 || stream.readableLength > 0) {
    throw give(stream, refused(step, 'unencrypted data came with the answer', undefined))
  }
  return first === 83 // S
}

async function encrypt(stream: Duplex, { ssl, sslnegotiation }: SocketSettings, step: Step): Promise<Duplex> {
  if (step.signal.aborted) throw give(stream, aborted(step))
  const host = hostOf(stream) ?? step.endpoint.host
  const options: tls.ConnectionOptions = {
    // A server's name is sent only where it is one. `host` is what the certificate is checked for.
    servername: net.isIP(host) === 0 && !host.startsWith('/') ? host : undefined,
    host: host.startsWith('/') ? undefined : host,
    ...(sslnegotiation === 'direct' ? { ALPNProtocols: ['postgresql'] } : {}),
    ...(ssl === 'require' || ssl === 'allow' || ssl === 'prefer' ? { rejectUnauthorized: false } : {}),
    ...(typeof ssl === 'object' ? ssl : {}),
    socket: stream,
  }
  let secure: tls.TLSSocket
  try {
    secure = tls.connect(options)
  } catch (error) {
    // A certificate or a key that cannot be read: the same options fail again.
    throw give(stream, refused(step, messageOf(error), error, 'never'))
  }
  guard(secure)
  await happened(secure, 'secureConnect', () => true, step)
  return secure
}

/** postgres.js goes by the `host` of a socket, which a user's factory may have set. */
function hostOf(stream: Duplex): string | undefined {
  return 'host' in stream && typeof stream.host === 'string' && stream.host !== '' ? stream.host : undefined
}

function asBuffer(chunk: unknown): Buffer | undefined {
  return Buffer.isBuffer(chunk) && chunk.length > 0 ? chunk : undefined
}

// --- waiting and giving up ---

/**
 * Waits for an event of a stream; `read` may say (by undefined) that it was not yet the one waited for. The stream's end
 * and the signal end the wait, and the stream with it.
 */
function happened<T>(stream: Duplex, event: string, read: () => T | undefined, step: Step): Promise<T> {
  const { signal } = step
  return new Promise((resolve, reject) => {
    const stop = () => {
      stream.off(event, listen).off('error', failed).off('end', ended).off('close', ended)
      signal.removeEventListener('abort', abort)
    }
    const fail = (error: ConnectError) => {
      stop()
      reject(give(stream, error))
    }
    const failed = (error: unknown) => fail(refused(step, messageOf(error), error))
    const ended = () => fail(refused(step, 'the connection was closed', undefined))
    const abort = () => fail(aborted(step))
    const listen = () => {
      const value = read()
      if (value === undefined) return
      stop()
      resolve(value)
    }
    if (signal.aborted) {
      abort()
      return
    }
    if (stream.destroyed) {
      ended()
      return
    }
    signal.addEventListener('abort', abort)
    stream.on(event, listen).on('error', failed).on('end', ended).on('close', ended)
  })
}

/** For as long as it lives: an `error` that nobody listens to would end the process. */
function guard(stream: Duplex): void {
  stream.on('error', () => {})
}

function give(stream: Duplex, error: ConnectError): ConnectError {
  stream.destroy()
  return error
}

function throwIfAborted(step: Step): void {
  if (step.signal.aborted) throw aborted(step)
}

function aborted(step: Step): ConnectError {
  const reason: unknown = step.signal.reason
  return refused(step, `given up: ${messageOf(reason)}`, reason)
}

function refused(
  { endpoint, doing }: Step,
  why: string,
  cause: unknown,
  retry: 'reconnect' | 'never' = 'reconnect',
): ConnectError {
  const name = describeEndpoint(endpoint)
  const code =
    typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string'
      ? cause.code
      : undefined
  return new ConnectError(`No connection to ${name}: ${why} (${doing})`, { code, cause, retry, endpoint: name })
}
