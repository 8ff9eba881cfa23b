// Callers that do one operation after the other, on one pool; and what the process weighs while nobody does anything.

import { ResilientPostgresDialect } from '@moorings/kysely'
import { createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import { nesting, orms, type Schema } from '../integration/orms.js'
import { until } from '../support/until.js'
import { Books } from './books.js'
import { type Doors, WrongAnswer } from './call.js'
import type { Counts, LoadSettings, Progress, Rest } from './messages.js'
import { operations } from './operations.js'
import { draw, seeded } from './random.js'

const max = 6
/** For an operation: several times what all limits on its way add up to. */
const hangMs = 30_000
/** For the pool to have everything back. */
const restMs = 30_000

/** What a connection that breaks, cannot be made or does not answer may look like. */
const faults = new Set([
  'ConnectionLostError',
  'ConnectError',
  'AcquireTimeoutError',
  'StatementTimeoutError',
  'CommitOutcomeUnknownError',
])

interface Pending {
  readonly name: string
  readonly since: number
}

export class Load {
  readonly #settings: LoadSettings
  readonly #pool: PostgresPool
  readonly #doors: Doors
  readonly #books = new Books()
  readonly #pending = new Map<number, Pending>()
  #stopped = false

  constructor(url: string, settings: LoadSettings) {
    this.#settings = settings
    this.#pool = createPool(url, {
      resilience: {
        pool: {
          ...{ min: 2, max, overflow: 2, acquireTimeoutMs: 10_000, connectTimeoutMs: 1_000 },
          // All that a connection can go through in its life, often.
          ...{ validateAfterIdleMs: 50, validationTimeoutMs: 500, maxUses: 400, keepaliveMs: 500 },
        },
        statement: { timeoutMs: settings.statementTimeoutMs },
      },
    })
    this.#doors = {
      pool: this.#pool,
      orms: orms.map((orm) => orm.open(this.#pool)),
      nesting: nesting.map((orm) => orm.open(this.#pool)),
      sql: createClient(this.#pool),
      kysely: new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: this.#pool }) }),
      books: this.#books,
    }
  }

  /** Resolves when all have settled, or one of them hangs. */
  async run(from: number, count: number): Promise<void> {
    const end = from + count
    let next = from
    const caller = async () => {
      while (next < end && !this.#stopped) await this.#operate(next++)
    }
    const callers = Promise.all(Array.from({ length: this.#settings.callers }, caller))
    let watch: NodeJS.Timeout | undefined
    const hang = new Promise<void>((resolve) => {
      watch = setInterval(() => this.#hangs() && resolve(), 1_000)
    })
    await Promise.race([callers, hang])
    clearInterval(watch)
  }

  stop(): void {
    this.#stopped = true
  }

  async #operate(n: number): Promise<void> {
    // Of its number, not of its turn: which operation it is does not depend on how quick the others were.
    const random = seeded(this.#settings.seed ^ Math.imul(n, 0x9e3779b1))
    const operation = draw(operations, random)
    this.#pending.set(n, { name: operation.name, since: performance.now() })
    this.#books.started()
    try {
      await operation.run({ ...this.#doors, n, random })
    } catch (error) {
      this.#judge(`${operation.name} ${n}`, error)
    }
    this.#books.settled()
    this.#pending.delete(n)
  }

  #judge(what: string, error: unknown): void {
    const { name, message } = error instanceof Error ? error : { name: 'not an Error', message: String(error) }
    if (faults.has(name)) this.#books.byFault(name)
    else this.#books.wrong(`${what}: ${error instanceof WrongAnswer ? message : `${name}: ${message}`}`)
  }

  /** The oldest is the first, as a Map keeps the order. */
  #hangs(): boolean {
    const [oldest] = this.#pending.values()
    if (oldest === undefined || performance.now() - oldest.since < hangMs) return false
    this.stop()
    const all = [...this.#pending].map(([n, { name }]) => `${name} ${n}`)
    this.#books.wrong(
      `after ${hangMs} ms there is no end of: ${all.join(', ')}; pool: ${JSON.stringify(this.#counts())}`,
    )
    return true
  }

  /** Waits until everything is back, all connections for steady use made and idle. */
  async rest(): Promise<Rest> {
    try {
      const leases = await Promise.all(Array.from({ length: max }, () => this.#pool.acquire({ timeoutMs: restMs })))
      for (const lease of leases) lease.release()
      const atRest = ({ leased, waiting, connecting }: Counts) => leased + waiting + connecting === 0
      await until(() => atRest(this.#counts()), { what: 'the pool to come to rest', timeoutMs: restMs })
    } catch (error) {
      this.#books.wrong(String(error))
    }
    const heapBytes = await weigh()
    return { counts: this.#counts(), heapBytes, tally: this.#books.tally }
  }

  progress(): Progress {
    globalThis.gc?.()
    return { tally: this.#books.tally, counts: this.#counts(), heapBytes: process.memoryUsage().heapUsed }
  }

  close(): Promise<void> {
    return this.#pool.close()
  }

  #counts(): Counts {
    const { idle, leased, connecting, waiting, created, closed, lost, acquired, use } = this.#pool.stats()
    return { idle, leased, connecting, waiting, created, closed, lost, acquired, returned: use.count }
  }
}

/** The least of several: finalizers and what ends late may let go of more between them. */
async function weigh(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    globalThis.gc?.()
    least = Math.min(least, process.memoryUsage().heapUsed)
  }
  return least
}
