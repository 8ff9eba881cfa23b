// LISTEN needs a connection of its own that nobody else is lent. It is made with the first channel; when it is lost it is
// made again, listening to every channel before anybody gets to use it, and `onlisten` is called again.

import {
  backoffDelay,
  ConnectError,
  ConnectionLostError,
  connectBackoff,
  type Deadlines,
  PoolClosedError,
} from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import { warn } from './warn.js'
import type { BackendKey } from './wire.js'
import { quoted } from './words.js'

interface Subscription {
  readonly notify: (payload: string) => void
  readonly listening: (() => void) | undefined
}

export interface Listening {
  /** The backend that listens, as of now. */
  readonly state: BackendKey | undefined
  readonly unlisten: () => Promise<void>
}

export class Listener {
  readonly #deadlines: Deadlines
  readonly #limits: { readonly connectTimeoutMs: number; readonly closeTimeoutMs: number }
  readonly #connectTo: (signal: AbortSignal) => Promise<PostgresConnection>
  readonly #channels = new Map<string, Set<Subscription>>()
  readonly #ended = new AbortController()
  #connection: Promise<PostgresConnection> | undefined
  /** LISTEN by channel, as far as the connection of now has been told. */
  #told = new Map<string, Promise<unknown>>()
  #failures = 0

  /** @param connectTo makes a connection that is nobody else's */
  constructor(
    connectTo: (signal: AbortSignal) => Promise<PostgresConnection>,
    deadlines: Deadlines,
    limits: { readonly connectTimeoutMs: number; readonly closeTimeoutMs: number },
  ) {
    this.#connectTo = connectTo
    this.#deadlines = deadlines
    this.#limits = limits
  }

  async listen(channel: string, notify: (payload: string) => void, listening?: () => void): Promise<Listening> {
    if (this.#ended.signal.aborted) throw new PoolClosedError('The pool is closed: nothing can be listened to')
    const subscription: Subscription = { notify, listening }
    const subscriptions = this.#channels.get(channel) ?? new Set()
    subscriptions.add(subscription)
    this.#channels.set(channel, subscriptions)
    try {
      const connection = await this.#listening(channel)
      listening?.()
      return { state: connection.backendKey, unlisten: () => this.#unlisten(channel, subscription) }
    } catch (error) {
      this.#forget(channel, subscription)
      throw error
    }
  }

  /** A connection that turns out to be dead is replaced: LISTEN may be said again. */
  async #listening(channel: string, attempts = 3): Promise<PostgresConnection> {
    const connection = await this.#connected()
    try {
      await this.#tell(connection, channel)
      return connection
    } catch (error) {
      if (connection.lost === undefined || attempts === 1 || this.#ended.signal.aborted) throw error
      return this.#listening(channel, attempts - 1)
    }
  }

  async #unlisten(channel: string, subscription: Subscription): Promise<void> {
    if (!this.#forget(channel, subscription)) return
    const connection = await this.#connection?.catch(() => undefined)
    if (connection === undefined || connection.lost !== undefined || this.#channels.has(channel)) return
    this.#told.delete(channel)
    if (this.#channels.size === 0) await this.#close(connection, this.#limits.closeTimeoutMs)
    else await connection.execute({ text: `unlisten ${quoted(channel)}` }, this.#limited)
  }

  /** True if that was the channel's last. */
  #forget(channel: string, subscription: Subscription): boolean {
    const subscriptions = this.#channels.get(channel)
    if (subscriptions?.delete(subscription) !== true || subscriptions.size > 0) return false
    return this.#channels.delete(channel)
  }

  /** Once per channel and connection; all who ask wait for the server's answer. */
  #tell(connection: PostgresConnection, channel: string): Promise<unknown> {
    let told = this.#told.get(channel)
    if (told === undefined) {
      told = connection.execute({ text: `listen ${quoted(channel)}` }, this.#limited)
      this.#told.set(channel, told)
      told.catch(() => this.#told.delete(channel))
    }
    return told
  }

  /** It is as much a matter of the network as connecting is. */
  get #limited(): { readonly timeoutMs: number } {
    return { timeoutMs: this.#limits.connectTimeoutMs }
  }

  #connected(): Promise<PostgresConnection> {
    if (this.#connection !== undefined) return this.#connection
    const connection = this.#connect()
    this.#connection = connection
    connection.catch(() => {
      if (this.#connection === connection) this.#connection = undefined
    })
    return connection
  }

  async #connect(): Promise<PostgresConnection> {
    const { connectTimeoutMs } = this.#limits
    const late = () => new ConnectError(`No connection to listen on within ${connectTimeoutMs} ms (connectTimeoutMs)`)
    const notified = (channel: string, payload: string) => {
      for (const { notify } of this.#channels.get(channel) ?? []) notify(payload)
    }
    return this.#deadlines.limit(connectTimeoutMs, late, async (limit) => {
      const signal = AbortSignal.any([limit, this.#ended.signal])
      const connection = await this.#connectTo(signal)
      try {
        connection.assertSession('listens')
      } catch (error) {
        await connection.close(signal)
        throw error
      }
      connection.notified = notified
      this.#told = new Map()
      connection.onLost(() => this.#lost())
      const giveUp = () => connection.destroy(late())
      signal.addEventListener('abort', giveUp, { once: true })
      await Promise.all([...this.#channels.keys()].map((channel) => this.#tell(connection, channel)))
      signal.removeEventListener('abort', giveUp)
      return connection
    })
  }

  #lost(): void {
    this.#connection = undefined
    const bereft = [...this.#channels.values()].flatMap((subscriptions) => [...subscriptions])
    this.#retry(bereft)
  }

  #retry(bereft: readonly Subscription[]): void {
    if (this.#ended.signal.aborted || this.#channels.size === 0) return
    this.#deadlines.add(backoffDelay(connectBackoff, ++this.#failures), () => {
      if (this.#ended.signal.aborted || this.#channels.size === 0) return
      this.#connected().then(
        () => {
          this.#failures = 0
          const subscribed = new Set([...this.#channels.values()].flatMap((subscriptions) => [...subscriptions]))
          for (const subscription of bereft) if (subscribed.has(subscription)) tellListening(subscription)
        },
        () => this.#retry(bereft),
      )
    })
  }

  /** Never rejects. */
  async end(timeoutMs: number): Promise<void> {
    this.#channels.clear()
    this.#ended.abort(new PoolClosedError())
    const connection = await this.#connection?.catch(() => undefined)
    if (connection !== undefined) await this.#close(connection, timeoutMs)
  }

  async #close(connection: PostgresConnection, timeoutMs: number): Promise<void> {
    this.#connection = undefined
    const late = () => new ConnectionLostError(`The listening connection did not close within ${timeoutMs} ms`)
    await this.#deadlines
      .limit(timeoutMs, late, (signal) => connection.close(signal))
      .catch(() => connection.destroy(late()))
  }
}

function tellListening({ listening }: Subscription): void {
  try {
    listening?.()
  } catch (error) {
    warn(error)
  }
}
