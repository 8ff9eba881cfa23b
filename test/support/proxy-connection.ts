// One client's connection through the proxy: two sockets, a lane each way, and the ways it can break.

import { connect, type Socket } from 'node:net'
import { type Direction, Framer, type Message } from './framing.js'
import { Lane, type LaneConditions } from './lane.js'
import { reset } from './reset.js'
import type { CutHow, Rules } from './rules.js'
import { type ConnectionState, Session } from './session.js'
import { type Traffic, TrafficCounter } from './traffic.js'

export type Swallowed = 'none' | Direction | 'both'

/** The state of the wire, shared by all connections of a proxy and changed under their feet. */
export interface WireConditions extends LaneConditions {
  swallowed: Swallowed
}

export interface ConnectionOptions {
  target: { host: string; port: number }
  conditions: WireConditions
  rules: Rules
  onStatement: (sql: string) => void
}

/** What a test sees of a connection. */
export interface ProxiedConnection {
  /** By order of arrival, from 1. */
  readonly id: number
  readonly open: boolean
  readonly traffic: Traffic
  /** The SQL executed, in order. */
  readonly statements: readonly string[]
  readonly state: ConnectionState
  /** Makes a black hole of this one connection, for good. */
  swallow(direction: Exclude<Swallowed, 'none'>): void
  /** RST to both sides, at once. */
  reset(): void
  /** FIN to both sides, after what is on its way. */
  close(): void
}

// carrying: bytes pass, or are swallowed. ending: what comes is ignored, what is on its way arrives, then it closes.
// closed: both sockets are gone.
type Phase = 'carrying' | 'ending' | 'closed'

export class ProxyConnection implements ProxiedConnection {
  readonly id: number
  readonly traffic = new TrafficCounter()
  readonly #options: ConnectionOptions
  readonly #client: Socket
  readonly #server: Socket
  readonly #session = new Session()
  readonly #framers = { 'to-server': new Framer('to-server'), 'to-client': new Framer('to-client') }
  readonly #lanes: Readonly<Record<Direction, Lane>>
  #phase: Phase = 'carrying'
  /** Directions in which bytes got lost: what comes after a gap is garbage, so they stay black holes. */
  readonly #lost = new Set<Direction>()
  /** How to cut once the message that is being forwarded is complete. */
  readonly #cutAfter: Partial<Record<Direction, CutHow>> = {}

  constructor(id: number, client: Socket, options: ConnectionOptions) {
    this.id = id
    this.#options = options
    this.#client = client
    // Half-open sockets are allowed on both sides: a FIN is passed on like any other event, in its direction.
    this.#server = connect({ ...options.target, allowHalfOpen: true, noDelay: true })
    this.#lanes = {
      'to-server': new Lane(client, this.#server, options.conditions),
      'to-client': new Lane(this.#server, client, options.conditions),
    }
    this.#carry('to-server', client, this.#server)
    this.#carry('to-client', this.#server, client)
  }

  get open(): boolean {
    return this.#phase !== 'closed'
  }

  get statements(): readonly string[] {
    return this.#session.statements
  }

  get state(): ConnectionState {
    return this.#session
  }

  swallow(direction: Exclude<Swallowed, 'none'>): void {
    if (direction !== 'to-client') this.#lost.add('to-server')
    if (direction !== 'to-server') this.#lost.add('to-client')
  }

  reset(): void {
    if (this.#phase === 'closed') return
    this.#phase = 'ending'
    for (const lane of Object.values(this.#lanes)) lane.discard()
    reset(this.#client)
    reset(this.#server)
  }

  close(): void {
    this.#end('fin')
  }

  /** A side whose other side vanished in the black hole meanwhile must not stay for ever. */
  wireRestored(): void {
    const gone = (socket: Socket) => socket.destroyed || socket.readableEnded
    if (this.#phase === 'carrying' && (gone(this.#client) || gone(this.#server))) this.reset()
  }

  #carry(direction: Direction, from: Socket, to: Socket): void {
    const lane = this.#lanes[direction]
    from.on('data', (chunk) => this.#receive(direction, chunk))
    from.once('end', () => {
      if (this.#phase === 'ending') from.destroy()
      else if (!this.#swallows(direction)) lane.whenEmpty(() => to.end())
    })
    // A reset, or the server's refusal; 'close' follows and passes it on as a reset.
    from.on('error', () => {})
    from.once('close', (hadError) => {
      const passOn = hadError && this.#phase === 'carrying' && !this.#swallows(direction)
      if (passOn) lane.whenEmpty(() => reset(to))
      if (this.#client.destroyed && this.#server.destroyed) this.#closed()
    })
  }

  #receive(direction: Direction, chunk: Buffer): void {
    if (this.#phase !== 'carrying') return
    this.traffic.countBytes(direction, chunk.length)
    // Pieces of one chunk that pass are sent as one again.
    const passing: Buffer[] = []
    const flush = () => {
      if (passing.length > 0) this.#lanes[direction].push(Buffer.concat(passing.splice(0)))
    }
    for (const { data, message, first, last } of this.#framers[direction].push(chunk)) {
      if (first && message) this.#read(message)
      if (this.#swallows(direction) || this.#phase !== 'carrying') {
        this.#lost.add(direction)
        continue
      }
      const cut = first && message ? this.#options.rules.at(message, this.#session) : undefined
      if (cut?.when === 'before') {
        flush()
        this.#cut(cut.how)
        continue
      }
      passing.push(data)
      if (cut) this.#cutAfter[direction] = cut.how
      const how = this.#cutAfter[direction]
      if (how && last) {
        flush()
        this.#cut(how)
      }
    }
    flush()
  }

  #read(message: Message): void {
    this.traffic.countMessage(message)
    this.#session.see(message)
    if (this.#session.executes !== undefined) this.#options.onStatement(this.#session.executes)
    if (message.name === 'SSLRequest' || message.name === 'GSSENCRequest') {
      this.#framers['to-client'].expectEncryptionAnswer()
    }
    if (message.name === 'EncryptionAnswer' && message.head.toString('latin1') !== 'N') {
      this.#framers['to-server'].becomeOpaque()
      this.#framers['to-client'].becomeOpaque()
    }
  }

  #swallows(direction: Direction): boolean {
    const { swallowed } = this.#options.conditions
    return swallowed === direction || swallowed === 'both' || this.#lost.has(direction)
  }

  #cut(how: CutHow): void {
    if (how === 'swallow') this.swallow('both')
    else this.#end(how)
  }

  /**
   * What was let pass arrives first, on both sides. The server always gets an orderly end: a reset could overtake a
   * message that it has received but not read, and "after COMMIT was forwarded" would not be exact.
   */
  #end(how: 'reset' | 'fin'): void {
    if (this.#phase !== 'carrying') return
    this.#phase = 'ending'
    this.#lanes['to-client'].whenEmpty(() => {
      if (how === 'reset') afterOnePoll(() => reset(this.#client))
      else this.#client.end()
    })
    this.#lanes['to-server'].whenEmpty(() => this.#server.end())
  }

  #closed(): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    for (const lane of Object.values(this.#lanes)) lane.discard()
  }
}

/**
 * libuv tells its reader of a reset as of an orderly end when it finds both data and the reset in one poll. A client in
 * this process gets a poll in which it finds the data alone: an immediate runs after the current one, the next after
 * another.
 */
function afterOnePoll(callback: () => void): void {
  setImmediate(() => setImmediate(callback))
}
