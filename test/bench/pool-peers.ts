// The pools that are compared, each over resources that cost nothing, all with ten of them and otherwise with their own
// defaults. Each is used in its fastest documented way.

import { Deadlines, Pool, resolveResilience, systemClock } from '@moorings/core'
import { createPool } from 'generic-pool'
import { Client, Pool as PgPool, type PoolClient } from 'pg'
import { Pool as TarnPool } from 'tarn'
import { type NullConnection, nullDriver } from './null-driver.js'

export const size = 10

export interface Peer {
  /**
   * One caller: borrows and returns so many times, one after the other.
   *
   * @param hold whether it keeps what it was lent until the next microtask
   */
  call(operations: number, hold: boolean): Promise<number>
  /** Resources at rest in the pool. */
  idle(): number
  end(): Promise<unknown>
}

/** By their names, ours first. */
export const peers: Readonly<Record<string, () => Peer>> = {
  'moorings: tryAcquire()': () => ours(callAtOnce),
  'moorings: acquire()': () => ours(callInLine),
  'moorings: acquire(), leakAfterMs: 0': () => ours(callInLine, { leakAfterMs: 0 }),
  tarn,
  'generic-pool': genericPool,
  'pg-pool, callback': () => pgPool(callByCallback),
  'pg-pool, promise': () => pgPool(callByPromise),
}

// --- ours ---

function ours(
  call: (pool: Pool<NullConnection>, operations: number, hold: boolean) => Promise<number>,
  options: { readonly leakAfterMs?: number } = {},
): Peer {
  const resilience = resolveResilience({ pool: { min: size, max: size, overflow: 0, ...options } })
  const pool = new Pool({ driver: nullDriver, resilience, deadlines: new Deadlines(systemClock) })
  return {
    call: (operations, hold) => call(pool, operations, hold),
    idle: () => pool.stats().idle,
    end: () => pool.close(),
  }
}

/** As the ORMs do for a single statement. */
async function callAtOnce(pool: Pool<NullConnection>, operations: number, hold: boolean): Promise<number> {
  let sum = 0
  let waits = 0
  for (let n = 0; n < operations; n++) {
    let lease = pool.tryAcquire()
    if (lease === undefined) {
      lease = await pool.acquire({ brief: true })
      waits++
    }
    sum += lease.connection.id
    if (hold) await undefined
    lease.release()
  }
  // Once in a while a connection has rested for too long to be lent unseen, as when the machine was busy elsewhere.
  if (!hold && waits > 2 + operations / 100) throw new Error(`${waits} of ${operations} calls had to wait`)
  return sum
}

async function callInLine(pool: Pool<NullConnection>, operations: number, hold: boolean): Promise<number> {
  let sum = 0
  for (let n = 0; n < operations; n++) {
    const lease = await pool.acquire()
    sum += lease.connection.id
    if (hold) await undefined
    lease.release()
  }
  return sum
}

// --- tarn, generic-pool ---

class NullResource {
  readonly id: number = 1
}

function tarn(): Peer {
  const pool = new TarnPool<NullResource>({
    create: async () => new NullResource(),
    destroy: () => {},
    min: size,
    max: size,
  })
  return {
    async call(operations, hold) {
      let sum = 0
      for (let n = 0; n < operations; n++) {
        const resource = await pool.acquire().promise
        sum += resource.id
        if (hold) await undefined
        pool.release(resource)
      }
      return sum
    },
    idle: () => pool.numFree(),
    end: () => pool.destroy(),
  }
}

function genericPool(): Peer {
  const pool = createPool({ create: async () => new NullResource(), destroy: async () => {} }, { min: size, max: size })
  return {
    async call(operations, hold) {
      let sum = 0
      for (let n = 0; n < operations; n++) {
        const resource = await pool.acquire()
        sum += resource.id
        if (hold) await undefined
        // It is back at once; its promise, for which nobody waits in the documentation either, would cost more.
        void pool.release(resource)
      }
      return sum
    },
    idle: () => pool.available,
    end: async () => {
      await pool.drain()
      await pool.clear()
    },
  }
}

// --- pg-pool, by its callbacks and by its promises ---

class NullClient extends Client {
  readonly id: number = 1
  override connect(): Promise<Client>
  override connect(callback: () => void): void
  override connect(callback?: () => void): Promise<Client> | undefined {
    if (callback === undefined) return Promise.resolve(this)
    callback()
    return undefined
  }
  override end(): Promise<void>
  override end(callback: () => void): void
  override end(callback?: () => void): Promise<void> | undefined {
    if (callback === undefined) return Promise.resolve()
    callback()
    return undefined
  }
  // The original would add a listener each time, as there is no socket.
  ref(): void {}
  unref(): void {}
}

function pgPool(call: (pool: PgPool, operations: number, hold: boolean) => Promise<number>): Peer {
  // With `min` it sets no timer at a return.
  const pool = new PgPool({ Client: NullClient, min: size, max: size })
  return {
    call: (operations, hold) => call(pool, operations, hold),
    idle: () => pool.idleCount,
    end: () => pool.end(),
  }
}

function callByCallback(pool: PgPool, operations: number, hold: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    let sum = 0
    let left = operations
    const next = () => {
      if (left-- === 0) resolve(sum)
      else pool.connect(borrowed)
    }
    const borrowed = (error: Error | undefined, client: PoolClient | undefined, release: () => void) => {
      if (error !== undefined || client === undefined) {
        reject(error)
        return
      }
      sum += client.listenerCount.length
      const giveBack = () => {
        release()
        next()
      }
      if (hold) queueMicrotask(giveBack)
      else giveBack()
    }
    next()
  })
}

async function callByPromise(pool: PgPool, operations: number, hold: boolean): Promise<number> {
  let sum = 0
  for (let n = 0; n < operations; n++) {
    const client = await pool.connect()
    sum += client.listenerCount.length
    if (hold) await undefined
    client.release()
  }
  return sum
}
