// A TCP proxy in front of a PostgreSQL server, for the faults of networks and servers: slow and black-holed wires,
// resets, refusals, and connections cut exactly at a message.

import { createServer, type Server, type Socket } from 'node:net'
import type { Direction } from './framing.js'
import { freePort } from './free-port.js'
import { type ProxiedConnection, ProxyConnection, type Swallowed, type WireConditions } from './proxy-connection.js'
import { reset } from './reset.js'
import { type Cut, type CutOptions, Rules } from './rules.js'
import { sumTraffic, type Traffic } from './traffic.js'
import { until } from './until.js'

export interface ProxyOptions {
  target: Target
  /** Where it listens itself, on this machine. Default 127.0.0.1, and a free port. */
  host?: string
  port?: number
}

export interface Target {
  host: string
  port: number
}

/** `closed`: nobody listens. Or the connection is accepted, and then reset, ended (`fin`), or never answered (`silent`). */
export type Refusal = 'closed' | 'reset' | 'fin' | 'silent'

export interface FaultProxy {
  readonly host: string
  readonly port: number
  /** All connections ever carried to the target, oldest first. */
  readonly connections: readonly ProxiedConnection[]
  /** Connections that a client or the server still holds. */
  readonly open: number
  /** Connections that a client ever got, refused ones included if they were accepted first. */
  readonly accepted: number
  /** The SQL executed over all connections, in order. */
  readonly statements: readonly string[]
  /** The process ids in the CancelRequests seen. */
  readonly cancelRequests: readonly number[]
  /** Summed over all connections. */
  readonly traffic: Traffic
  /** The URL that leads through here to where `url` leads. */
  through(url: string): string
  /** Each byte arrives this much later, in each direction. */
  delay(ms: number): void
  /** The rate of each connection in each direction; `undefined` for no limit. */
  throttle(bytesPerSecond: number | undefined): void
  /** A black hole: bytes, and ends, are read and dropped, while the sockets stay open. Connecting still works. */
  swallow(direction?: Direction | 'both'): void
  /** RST to both sides of every connection, at once. */
  resetAll(): void
  /** FIN to both sides of every connection, after what is on its way. */
  closeAll(): void
  /** What new connections meet, default `closed`; those that exist are left alone. */
  refuse(how?: Refusal): void
  /** New connections are led there from now on; those that exist stay where they are. */
  leadTo(target: Target): void
  /** Cuts connections before or after messages that match. */
  cutWhen(options: CutOptions): Cut
  /**
   * A plain wire again, without rules, listening on the same port. Connections that lost bytes to a black hole stay dead,
   * as there is no way to make up for a gap; those that lost none go on.
   */
  restore(): Promise<void>
  /** Releases the port and every socket. */
  close(): Promise<void>
}

export async function startProxy({ target, host = '127.0.0.1', port }: ProxyOptions): Promise<FaultProxy> {
  for (let attempt = 1; ; attempt += 1) {
    const proxy = new TcpProxy(target, host, port ?? (await freePort(host)))
    try {
      await proxy.restore()
      return proxy
    } catch (error) {
      // Somebody else was quicker with that port.
      if (attempt === 5 || port !== undefined || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
}

/** Where a connection URL leads, for `startProxy({ target: targetOf(url) })`. */
export function targetOf(url: string): Target {
  const { hostname, port } = new URL(url)
  return { host: hostname || 'localhost', port: Number(port || 5432) }
}

class TcpProxy implements FaultProxy {
  readonly host: string
  readonly port: number
  readonly connections: ProxyConnection[] = []
  readonly statements: string[] = []
  accepted = 0
  #target: Target
  readonly #conditions: WireConditions = { delayMs: 0, bytesPerSecond: undefined, swallowed: 'none' }
  readonly #rules = new Rules()
  /** Sockets that were accepted only to be refused. */
  readonly #refused = new Set<Socket>()
  #refusal: Refusal | undefined
  #listener: Server | undefined

  constructor(target: Target, host: string, port: number) {
    this.#target = target
    this.host = host
    this.port = port
  }

  get open(): number {
    return this.connections.filter((connection) => connection.open).length + this.#refused.size
  }

  get cancelRequests(): number[] {
    return this.connections.flatMap(({ state }) => state.cancels ?? [])
  }

  get traffic(): Traffic {
    return sumTraffic(this.connections.map((connection) => connection.traffic))
  }

  through(url: string): string {
    const changed = new URL(url)
    changed.hostname = this.host
    changed.port = String(this.port)
    return changed.href
  }

  delay(ms: number): void {
    this.#conditions.delayMs = ms
  }

  throttle(bytesPerSecond: number | undefined): void {
    this.#conditions.bytesPerSecond = bytesPerSecond
  }

  swallow(direction: Exclude<Swallowed, 'none'> = 'both'): void {
    this.#conditions.swallowed = direction
  }

  resetAll(): void {
    for (const connection of this.connections) connection.reset()
    for (const socket of this.#refused) reset(socket)
  }

  closeAll(): void {
    for (const connection of this.connections) connection.close()
    for (const socket of this.#refused) socket.end()
  }

  refuse(how: Refusal = 'closed'): void {
    this.#refusal = how
    if (how === 'closed') this.#stopListening()
  }

  leadTo(target: Target): void {
    this.#target = target
  }

  cutWhen(options: CutOptions): Cut {
    return this.#rules.add(options)
  }

  async restore(): Promise<void> {
    this.#refusal = undefined
    Object.assign(this.#conditions, { delayMs: 0, bytesPerSecond: undefined, swallowed: 'none' })
    this.#rules.clear()
    for (const connection of this.connections) connection.wireRestored()
    // Who was never answered and gave up is not waited for.
    for (const socket of this.#refused) if (socket.readableEnded) reset(socket)
    await this.#listen()
  }

  async close(): Promise<void> {
    const closed = this.#stopListening()
    this.resetAll()
    await closed
    await until(() => this.open === 0, { what: 'the proxy to close its sockets' })
  }

  async #listen(): Promise<void> {
    if (this.#listener) return
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client))
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject)
      listener.listen(this.port, this.host, resolve)
    })
    this.#listener = listener
  }

  async #stopListening(): Promise<void> {
    const listener = this.#listener
    this.#listener = undefined
    // Refuses from now on; resolves when the connections that came this way are gone.
    await new Promise<void>((resolve) => (listener ? listener.close(() => resolve()) : resolve()))
  }

  #accept(client: Socket): void {
    this.accepted += 1
    if (this.#refusal) this.#turnAway(client, this.#refusal)
    else this.connections.push(this.#connect(client))
  }

  #connect(client: Socket): ProxyConnection {
    return new ProxyConnection(this.accepted, client, {
      target: this.#target,
      conditions: this.#conditions,
      rules: this.#rules,
      onStatement: (sql) => this.statements.push(sql),
    })
  }

  #turnAway(client: Socket, how: Refusal): void {
    this.#refused.add(client)
    client.on('error', () => {})
    client.once('close', () => this.#refused.delete(client))
    if (how === 'silent') {
      client.resume()
    } else if (how === 'fin') {
      client.resume()
      client.once('end', () => client.destroy())
      client.end()
    } else {
      reset(client)
    }
  }
}
