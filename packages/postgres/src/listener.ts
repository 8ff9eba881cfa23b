// LISTEN needs a connection of its own that nobody else is lent. It is made with the first channel, made again when it
// is lost (every channel is listened to anew, and `onlisten` called again), and closed with the last.

import {
  backoffDelay,
  ConnectError,
  ConnectionLostError,
  connectBackoff,
  type Deadlines,
  PoolClosedError,
} from '@moorings/core'
import { noTransform } from './codec.js'
import type { PostgresConnection } from './connection.js'
import type { PostgresDriver } from './driver.js'
import type { BackendKey } from './wire.js'

interface Subscription {
  readonly notify: (payload: string) => void
  readonly listening: (() => void) | undefined
}

export interface Listening {
  /** The backend that listens, as of now. */
  readonly state: BackendKey | undefined
  readonly unlisten: () => Promise<void>
}

const plain = { parser: () => undefined, serializers: () => ({}), transform: noTransform }

export class Listener {
  readonly #driver: PostgresDriver
  readonly #deadlines: Deadlines
  readonly #limits: { readonly connectTimeoutMs: number; readonly closeTimeoutMs: number }
  readonly #channels = new Map<string, Set<Subscription>>()
  readonly #ended = new AbortController()
  #connection: Promise<PostgresConnection> | undefined
  #failures = 0

  constructor(
    driver: PostgresDriver,
    deadlines: Deadlines,
    limits: { readonly connectTimeoutMs: number; readonly closeTimeoutMs: number },
  ) {
    this.#driver = driver
    this.#deadlines = deadlines
    this.#limits = limits
  }

  async listen(channel: string, notify: (payload: string) => void, listening?: () => void): Promise<Listening> {
    if (this.#ended.signal.aborted) throw new PoolClosedError('The pool is closed: nothing can be listened to')
    const subscription: Subscription = { notify, listening }
    const subscriptions = this.#channels.get(channel) ?? new Set()
    const first = subscriptions.size === 0
    subscriptions.add(subscription)
    this.#channels.set(channel, subscriptions)
    const unlisten = () => this.#unlisten(channel, subscription)
    let connection: PostgresConnection
    try {
      connection = await this.#connected()
      if (first) await connection.execute({ text: `listen ${quoted(channel)}` }, plain)
    } catch (error) {
      subscriptions.delete(subscription)
      if (subscriptions.size === 0) this.#channels.delete(channel)
      throw error
    }
    listening?.()
    return { state: connection.backendKey, unlisten }
  }

  async #unlisten(channel: string, subscription: Subscription): Promise<void> {
    const subscriptions = this.#channels.get(channel)
    if (subscriptions?.delete(subscription) !== true || subscriptions.size > 0) return
    this.#channels.delete(channel)
    const connection = await this.#connection
    if (connection === undefined || connection.lost !== undefined) return
    if (this.#channels.size === 0) await this.#close(connection)
    else await connection.execute({ text: `unlisten ${quoted(channel)}` }, plain)
  }

  #connected(): Promise<PostgresConnection> {
    this.#connection ??= this.#connect().catch((error: unknown) => {
      this.#connection = undefined
      throw error
    })
    return this.#connection
  }

  async #connect(): Promise<PostgresConnection> {
    const { connectTimeoutMs } = this.#limits
    const late = () => new ConnectError(`No connection to listen on within ${connectTimeoutMs} ms (connectTimeoutMs)`)
    const notified = (channel: string, payload: string) => {
      for (const { notify } of this.#channels.get(channel) ?? []) notify(payload)
    }
    const connection = await this.#deadlines.limit(connectTimeoutMs, late, (limit) =>
      this.#driver.connect({ signal: AbortSignal.any([limit, this.#ended.signal]), epoch: 0 }, notified),
    )
    connection.onLost(() => this.#lost())
    return connection
  }

  #lost(): void {
    this.#connection = undefined
    this.#retry()
  }

  #retry(): void {
    if (this.#ended.signal.aborted || this.#channels.size === 0) return
    const delayMs = backoffDelay(connectBackoff, ++this.#failures)
    this.#deadlines.add(delayMs, () => {
      this.#resume().then(
        () => {
          this.#failures = 0
        },
        () => this.#retry(),
      )
    })
  }

  async #resume(): Promise<void> {
    if (this.#ended.signal.aborted || this.#connection !== undefined) return
    const connection = await this.#connected()
    for (const [channel, subscriptions] of this.#channels) {
      await connection.execute({ text: `listen ${quoted(channel)}` }, plain)
      for (const { listening } of subscriptions) listening?.()
    }
  }

  /** Never rejects. */
  async end(): Promise<void> {
    this.#channels.clear()
    this.#ended.abort(new PoolClosedError())
    const connection = await this.#connection?.catch(() => undefined)
    if (connection !== undefined) await this.#close(connection)
  }

  async #close(connection: PostgresConnection): Promise<void> {
    this.#connection = undefined
    const { closeTimeoutMs } = this.#limits
    const late = () => new ConnectionLostError(`The listening connection did not close within ${closeTimeoutMs} ms`)
    await this.#deadlines
      .limit(closeTimeoutMs, late, (signal) => connection.close(signal))
      .catch(() => connection.destroy(late()))
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
