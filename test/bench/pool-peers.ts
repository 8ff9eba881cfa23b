// The pools that are compared, each over resources that cost nothing, all with equally many and otherwise with their own
// defaults. Each is used in its fastest documented way.

import { Deadlines, Pool, type PoolOptions, resolveResilience, systemClock } from '@moorings/core'
import { createPool } from 'generic-pool'
import { Client, Pool as PgPool, type PoolClient } from 'pg'
import { Pool as TarnPool } from 'tarn'
import { type NullConnection, nullDriver } from './null-driver.js'

export interface Peer {
  /**
   * One caller: borrows and returns so many times, one after the other.
   *
   * @param hold whether it keeps what it was lent until the next microtask
   */
  call(operations: number, hold: boolean): Promise<number>
  /** Borrows once, and says how to give it back. */
  borrow(): Promise<() => void>
  /** Resources at rest in the pool. */
  idle(): number
  end(): Promise<unknown>
}

/** By their names, ours first. */
export const peers: Readonly<Record<string, (size: number) => Peer>> = {
  'moorings: tryAcquire()': (size) => ours(atOnce, { min: size, max: size }),
  'moorings: acquire()': (size) => ours(inLine, { min: size, max: size }),
  'moorings: acquire(), leakAfterMs: 0': (size) => ours(inLine, { min: size, max: size, leakAfterMs: 0 }),
  tarn,
  'generic-pool': genericPool,
  'pg-pool, callback': (size) => pgPool(byCallback, size),
  'pg-pool, promise': (size) => pgPool(byPromise, size),
}

/** One of several ways to use a pool: {@link Peer.call} and {@link Peer.borrow}. */
interface Way<Of> {
  call(pool: Of, operations: number, hold: boolean): Promise<number>
  borrow(pool: Of): Promise<() => void>
}

// --- ours ---

const atOnce: Way<Pool<NullConnection>> = {
  call: callAtOnce,
  async borrow(pool) {
    const lease = pool.tryAcquire() ?? (await pool.acquire({ brief: true }))
    return () => lease.release()
  },
}

const inLine: Way<Pool<NullConnection>> = {
  call: callInLine,
  async borrow(pool) {
    const lease = await pool.acquire()
    return () => lease.release()
  },
}

function ours({ call, borrow }: Way<Pool<NullConnection>>, options: PoolOptions): Peer {
  const resilience = resolveResilience({ pool: { overflow: 0, ...options } })
  const pool = new Pool({ driver: nullDriver, resilience, deadlines: new Deadlines(systemClock) })
  return {
    call: (operations, hold) => call(pool, operations, hold),
    borrow: () => borrow(pool),
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

function tarn(size: number): Peer {
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
    async borrow() {
      const resource = await pool.acquire().promise
      return () => pool.release(resource)
    },
    idle: () => pool.numFree(),
    end: () => pool.destroy(),
  }
}

function genericPool(size: number): Peer {
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
    async borrow() {
      const resource = await pool.acquire()
      return () => void pool.release(resource)
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

const byCallback: Way<PgPool> = {
  call: callByCallback,
  borrow: (pool) =>
    new Promise((resolve, reject) => {
      pool.connect((error, client, release) => {
        if (error !== undefined || client === undefined) reject(error)
        else resolve(release)
      })
    }),
}

const byPromise: Way<PgPool> = {
  call: callByPromise,
  async borrow(pool) {
    const client = await pool.connect()
    return () => client.release()
  },
}

function pgPool({ call, borrow }: Way<PgPool>, size: number): Peer {
  // With `min` it sets no timer at a return.
  const pool = new PgPool({ Client: NullClient, min: size, max: size })
  return {
    call: (operations, hold) => call(pool, operations, hold),
    borrow: () => borrow(pool),
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
