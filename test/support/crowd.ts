// Too many connections: a crowd that takes every place a server has, also each that comes free, until it goes home.

import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { until } from './until.js'

export interface Crowd {
  /** The places that it has. */
  readonly size: number
  /** Gives them all back. */
  disperse(): Promise<void>
}

/** Between two tries to take a place that may have come free. */
const lookMs = 5

/**
 * Resolves when the server refuses connections with 53300. Give it a cluster with few `max_connections`, and the URL of a
 * superuser, as some places are for those alone.
 */
export async function gatherCrowd(url: string): Promise<Crowd> {
  const crowd = new HeldPlaces(url)
  try {
    await until(() => crowd.full, { what: 'the server to be full', timeoutMs: 30_000 })
    return crowd
  } catch (error) {
    await crowd.disperse()
    throw error
  }
}

class HeldPlaces implements Crowd {
  full = false
  readonly #url: string
  readonly #held = new Set<pg.Client>()
  readonly #over = new AbortController()
  readonly #taking: Promise<void>

  constructor(url: string) {
    this.#url = url
    this.#taking = this.#take()
  }

  get size(): number {
    return this.#held.size
  }

  async disperse(): Promise<void> {
    this.#over.abort()
    await this.#taking
    await Promise.all([...this.#held].map((client) => client.end()))
  }

  async #take(): Promise<void> {
    const { signal } = this.#over
    while (!signal.aborted) {
      const refused = await this.#takeOne().then(
        () => undefined,
        (error: { code?: string }) => error,
      )
      if (refused?.code === '53300') this.full = true
      if (refused !== undefined) await pause(lookMs, undefined, { signal }).catch(() => {})
    }
  }

  async #takeOne(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: 'moorings-crowd',
      connectionTimeoutMillis: 10_000,
    })
    // Somebody may terminate it; it comes again.
    client.on('error', () => {})
    client.once('end', () => this.#held.delete(client))
    await client.connect()
    this.#held.add(client)
  }
}
