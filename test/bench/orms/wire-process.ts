// A wire of a given length, in a process of its own: whatever comes is passed on so much later.
//
// Not the proxy of the tests: that one reads every message, and its timers know whole milliseconds only. Here half a
// millisecond is half a millisecond: while something is on its way, the process sleeps for some tens of microseconds at a
// time, and otherwise until something comes. All that comes is delayed alike, so that one queue is enough for all.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface WireOrder {
  /** In one direction. */
  readonly delayMs: number
}

export interface WireAnswer {
  /** Where it begins. */
  readonly port: number
}

/** At a time; the kernel makes some 50 microseconds more of it. */
const napMs = 0.02
/** That are still in the queue. */
const mostDelivered = 1_000

const [host = '', port = ''] = process.argv.slice(2)
const alarm = new Int32Array(new SharedArrayBuffer(4))

interface Piece {
  readonly due: number
  readonly to: Socket
  /** Undefined: the end of all that comes. */
  readonly data: Buffer | undefined
}

let delayMs = 0
let onTheirWay: Piece[] = []
let delivered = 0
let awake = false

function send(to: Socket, data: Buffer | undefined): void {
  onTheirWay.push({ due: performance.now() + delayMs, to, data })
  if (awake) return
  awake = true
  setImmediate(deliver)
}

function deliver(): void {
  const now = performance.now()
  let next = onTheirWay[delivered]
  for (; next !== undefined && next.due <= now; next = onTheirWay[++delivered]) {
    if (next.data === undefined) next.to.end()
    else next.to.write(next.data)
  }
  if (next === undefined || delivered > mostDelivered) {
    onTheirWay = onTheirWay.slice(delivered)
    delivered = 0
  }
  awake = next !== undefined
  if (next === undefined) return
  // Then what has come meanwhile is read.
  Atomics.wait(alarm, 0, 0, Math.min(napMs, next.due - now))
  setImmediate(deliver)
}

function carry(from: Socket, to: Socket): void {
  from.on('data', (data: Buffer) => send(to, data))
  from.on('end', () => send(to, undefined))
  from.on('error', () => to.destroy())
  from.on('close', () => setTimeout(() => to.destroy(), 2 * delayMs))
}

const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const server = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true })
  carry(client, server)
  carry(server, client)
})

listener.listen(0, '127.0.0.1')
await once(listener, 'listening')
const address = listener.address()
if (address === null || typeof address === 'string') throw new Error('It listens on no port')

process.on('message', (order: WireOrder) => {
  ;({ delayMs } = order)
  process.send?.({ port: address.port } satisfies WireAnswer)
})
process.on('disconnect', () => process.exit())
