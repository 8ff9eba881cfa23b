// Moorings, in each way in which it can be told how long a caller waits.

import { type ResilienceOptions, withTransaction } from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createPool } from '@moorings/postgres'
import { sql } from 'drizzle-orm'
import { Kysely, sql as kyselySql } from 'kysely'
import type { Service, Settings, Subject } from './subject.js'

type Queue = 'adaptive' | 'fifo'
type Limits = (settings: Settings) => { readonly acquireTimeoutMs?: number; readonly maxWaiters?: number }

const byTimeout: Limits = ({ deadlineMs }) => ({ acquireTimeoutMs: deadlineMs })
const untold: Limits = () => ({})
/** As many as can be served in half of the time that a caller has. */
const byLength: Limits = ({ connections, workMs, deadlineMs }) => ({
  maxWaiters: Math.floor((connections * deadlineMs) / 2 / workMs),
})

function resilience(settings: Settings, queue: Queue, limits: Limits): ResilienceOptions {
  const { connections } = settings
  return { pool: { min: connections, max: connections, overflow: 0, queue, ...limits(settings) } }
}

function openDrizzle(settings: Settings, queue: Queue, limits: Limits) {
  const { url } = settings
  return drizzle({ connection: url, resilience: resilience(settings, queue, limits) })
}

export function oursDrizzle(queue: Queue): Subject {
  return { ...singleStatements(queue, byTimeout), told: 'acquireTimeoutMs', held: queue === 'adaptive' }
}

/** Whoever waits leaves without a word. */
export const oursUntold: Subject = singleStatements('adaptive', untold)

/** As it is told nothing, its line is kept short. */
export const oursWithShortLine: Subject = { ...singleStatements('adaptive', byLength), told: 'maxWaiters', held: true }

function singleStatements(queue: Queue, limits: Limits): Subject {
  return {
    name: `Drizzle on Moorings, ${queue}`,
    told: undefined,
    open(settings) {
      const db = openDrizzle(settings, queue, limits)
      const seconds = settings.workMs / 1_000
      return { request: () => db.execute(sql`select pg_sleep(${seconds})`), close: () => db.$client.end() }
    },
  }
}

/** Several statements, which share the time. */
export function oursDrizzleTransaction(queue: Queue): Subject {
  return {
    name: `Drizzle on Moorings, transactions, ${queue}`,
    told: 'timeoutMs',
    held: queue === 'adaptive',
    open(settings) {
      const db = openDrizzle(settings, queue, untold)
      const { deadlineMs: timeoutMs, workMs } = settings
      const half = sql`select pg_sleep(${workMs / 2_000})`
      return {
        request: () =>
          withTransaction(
            db,
            async (tx) => {
              await tx.execute(half)
              await tx.execute(half)
            },
            { timeoutMs },
          ),
        close: () => db.$client.end(),
      }
    },
  }
}

export function oursKysely(queue: Queue, told: 'acquireTimeoutMs' | 'signal' = 'acquireTimeoutMs'): Subject {
  return {
    name: `Kysely on Moorings, ${queue}`,
    told,
    held: queue === 'adaptive',
    open: (settings) => openKysely(settings, queue, told === 'signal'),
  }
}

function openKysely(settings: Settings, queue: Queue, bySignal: boolean): Service {
  const { url, deadlineMs, workMs } = settings
  const pool = createPool(url, { resilience: resilience(settings, queue, bySignal ? untold : byTimeout) })
  const db = new Kysely<unknown>({ dialect: new ResilientPostgresDialect({ client: pool }) })
  const query = kyselySql`select pg_sleep(${workMs / 1_000})`
  return {
    request: () => query.execute(db, bySignal ? { signal: AbortSignal.timeout(deadlineMs) } : {}),
    async close() {
      await db.destroy()
      await pool.close()
    },
  }
}
