// A pool that is exhausted, over and over: some callers run out of time, some are told to give up, the others are served;
// nothing hangs, and each time nobody is left holding or waiting.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, it } from '@jest/globals'
import { AcquireTimeoutError } from '@moorings/core'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql as kyselySql } from 'kysely'
import { seeded, shuffled } from '../soak/random.js'
import { until } from '../support/until.js'
import { hold } from './held.js'
import { type Db, orms, type Schema } from './orms.js'
import { outcome, useScene, within } from './scene.js'

const scene = useScene()

/** Of two for steady use and one for a burst. */
const most = 3
/** Some ten seconds each, if nobody else is at work. */
const busyMachineMs = 180_000
/** For a repetition that takes a few dozen milliseconds. */
const hangMs = 20_000

/**
 * served: waits until it is. late: its time is over while all connections are held. aborted: told to give up meanwhile.
 * torn and tight: told to give up, and out of time, about when connections come back.
 */
type Fate = 'served' | 'late' | 'aborted' | 'torn' | 'tight'
const fates: readonly Fate[] = ['served', 'late', 'aborted', 'torn', 'tight']

interface Limit {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** How callers come by connections. */
interface Way {
  readonly pool: PostgresPool
  /** Resolves once a connection is held, with what gives it back. */
  hold(n: number): Promise<() => unknown>
  /** Work that takes a connection, and answers `n`. */
  ask(n: number, limit?: Limit): Promise<number>
  /** The same, to be told to give up while it waits. */
  askInVain(n: number, signal: AbortSignal): Promise<number>
  /** If the pool's own limit is meant to pass: who is to be served comes after that. */
  readonly sharedLimit?: boolean
}

async function askByLease(pool: PostgresPool, n: number, limit: Limit = {}): Promise<number> {
  const lease = await pool.acquire(limit)
  try {
    const { rows } = await lease.connection.execute({ text: select(n) })
    return numberIn(rows[0])
  } finally {
    lease.release()
  }
}

function select(n: number): string {
  return `select ${n} as n`
}

function numberIn(row: unknown): number {
  return typeof row === 'object' && row !== null && 'n' in row ? Number(row.n) : Number.NaN
}

function byLeases(pool: PostgresPool): Way {
  return {
    pool,
    hold: async () => {
      const lease = await pool.acquire()
      return () => lease.release()
    },
    ask: (n, limit) => askByLease(pool, n, limit),
    askInVain: (n, signal) => askByLease(pool, n, { signal }),
  }
}

/** Both on one pool. An ORM's call takes no limit of its own, but for Kysely's signal. */
function byOrms(pool: PostgresPool): Way {
  const dbs = orms.map((orm) => orm.open(pool))
  const kysely = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
  const db = (n: number): Db => {
    const one = dbs[n % dbs.length]
    if (one === undefined) throw new Error('no ORM')
    return one
  }
  return {
    pool,
    sharedLimit: true,
    hold: async (n) => {
      const held = await hold(db(n))
      return () => held.giveBack()
    },
    async ask(n, limit = {}) {
      if (limit.timeoutMs !== undefined || limit.signal !== undefined) return askByLease(pool, n, limit)
      const rows = await (n % 3 === 0 ? db(n).transaction((tx) => tx.query(select(n))) : db(n).query(select(n)))
      return numberIn(rows[0])
    },
    async askInVain(n, signal) {
      const { rows } = await kyselySql.raw(select(n)).execute(kysely, { signal })
      return numberIn(rows[0])
    },
  }
}

/** Why callers went without, as they saw it. */
interface Tally {
  holders: number
  answered: number
  timeouts: number
  aborted: number
}

interface Caller {
  readonly n: number
  readonly fate: Fate
  readonly abort: AbortController
}

async function exhaust(way: Way, random: () => number, tally: Tally): Promise<void> {
  const { pool, sharedLimit = false } = way
  const pending = new Map<number, string>()
  let step = 'exhausting the pool'

  async function call({ n, fate, abort }: Caller): Promise<void> {
    const { signal } = abort
    const limits: Record<Fate, Limit> = {
      served: {},
      late: sharedLimit ? {} : { timeoutMs: between(1, 6) },
      aborted: { signal },
      torn: { signal },
      tight: { timeoutMs: between(1, 10) },
    }
    const limit = limits[fate]
    pending.set(n, fate)
    const ask = () => (fate === 'aborted' ? way.askInVain(n, signal) : way.ask(n, limit))
    const error = await ended(n, ask, limit)
    pending.delete(n)
    if (error === undefined) {
      expect(fate).toMatch(/served|torn|tight/)
    } else if (error instanceof AcquireTimeoutError) {
      expect(fate).toMatch(sharedLimit ? /late|tight|served/ : /late|tight/)
      // On a busy machine the pool's own limit can be too short for anybody: who is to be served asks again.
      if (fate === 'served') await call({ n, fate, abort })
    } else {
      // The second is Kysely's own.
      expect([fate, error]).toMatchObject([
        expect.stringMatching(/aborted|torn/),
        { name: expect.stringMatching(/^(AcquireAborted|Abort)Error$/) },
      ])
    }
  }

  /** Undefined when it was answered. */
  async function ended(n: number, ask: () => Promise<number>, limit: Limit): Promise<unknown> {
    const startedAt = performance.now()
    const seen = await outcome(ask())
    if ('value' in seen) {
      expect(seen.value).toBe(n)
      tally.answered++
      return undefined
    }
    const { error } = seen
    if (error instanceof AcquireTimeoutError) {
      tally.timeouts++
      const limitMs = limit.timeoutMs ?? pool.resilience.pool.acquireTimeoutMs
      expect(performance.now()).toBeGreaterThanOrEqual(startedAt + limitMs)
    } else {
      tally.aborted++
    }
    return error
  }

  function between(least: number, most: number): number {
    return least + Math.floor(random() * (most - least + 1))
  }

  async function repetition(): Promise<void> {
    // Making connections can take longer than the pool's own limit: those who hold them get them from these hands.
    const first = await Promise.all(Array.from({ length: most }, () => pool.acquire({ timeoutMs: hangMs })))
    const holding = Array.from({ length: most }, (_, n) => way.hold(n))
    while (pool.stats().waiting < most) await turn()
    for (const lease of first) lease.release()
    const held = await Promise.all(holding)
    tally.holders += 2 * most
    expect(pool.stats()).toMatchObject({ leased: most, waiting: 0 })

    step = 'waiting for those who go without'
    const extra = Array.from({ length: between(0, 8) }, () => fates[between(0, fates.length - 1)] ?? 'served')
    const callers = shuffled([...fates, ...extra], random).map((fate, n) => ({ n, fate, abort: new AbortController() }))
    const doomed = callers.filter(({ fate }) => fate === 'late' || fate === 'aborted')
    const others = callers.filter((caller) => !doomed.includes(caller))
    const calls = (sharedLimit ? doomed : callers).map((caller) => ({ caller, ended: call(caller) }))
    for (const { fate, abort } of shuffled(doomed, random)) {
      if (fate !== 'aborted') continue
      if (random() < 0.5) await turn()
      abort.abort()
    }
    await Promise.all(calls.filter(({ caller }) => doomed.includes(caller)).map(({ ended }) => ended))
    expect(pool.stats().leased).toBe(most)

    step = 'giving back'
    if (sharedLimit) calls.push(...others.map((caller) => ({ caller, ended: call(caller) })))
    const torn = others
      .filter(({ fate }) => fate === 'torn')
      .map(
        ({ abort }) =>
          () =>
            abort.abort(),
      )
    const givenBack: unknown[] = []
    for (const next of shuffled([...held, ...torn], random)) {
      if (random() < 0.5) await turn()
      givenBack.push(next())
    }
    await Promise.all([...givenBack, ...calls.map(({ ended }) => ended)])

    step = 'coming to rest'
    const atRest = () => {
      const { leased, waiting } = pool.stats()
      return leased === 0 && waiting === 0
    }
    await until(atRest, { what: 'nobody to hold or wait for anything' })

    step = 'serving the next'
    await call({ n: callers.length, fate: 'served', abort: new AbortController() })
  }

  try {
    await within(hangMs, repetition())
  } catch (cause) {
    const counts = JSON.stringify(pool.stats())
    const left = [...pending].map(([n, fate]) => `${fate} ${n}`).join(', ') || 'no caller'
    throw new Error(`${step}: ${String(cause)}; still pending: ${left}; pool: ${counts}`, { cause })
  }
}

interface Exhaustion {
  readonly repetitions: number
  /** Pools side by side, so that their waits are not added up. */
  readonly pools: number
  readonly acquireTimeoutMs: number
  readonly way: (pool: PostgresPool) => Way
}

async function exhaustOverAndOver({ repetitions, pools, acquireTimeoutMs, way }: Exhaustion): Promise<void> {
  /** Another one each time; what fails names it. */
  const seed = Math.floor(Math.random() * 2 ** 31)
  const resilience = { pool: { min: 0, max: 2, overflow: 1, acquireTimeoutMs }, health: { everyMs: 0 } }
  const lanes = Array.from({ length: pools }, () => scene.closing(createPool(scene.directUrl, { resilience })))
  await Promise.all(
    lanes.map(async (pool, lane) => {
      const random = seeded(seed + lane)
      const tally: Tally = { holders: 0, answered: 0, timeouts: 0, aborted: 0 }
      for (let repetition = 0; repetition < repetitions / pools; repetition++) {
        await exhaust(way(pool), random, tally).catch((cause: unknown) => {
          throw new Error(`seed ${seed}, pool ${lane}, repetition ${repetition}: ${String(cause)}`, { cause })
        })
      }
      const { holders, answered, timeouts, aborted } = tally
      expect(Math.min(answered, timeouts, aborted)).toBeGreaterThan(0)
      const { created, closed, idle, lost, acquired } = pool.stats()
      expect(pool.stats()).toMatchObject({ acquired: holders + answered, timeouts, refused: 0, failed: 0 })
      expect(pool.stats()).toMatchObject({ wait: { count: acquired }, use: { count: acquired } })
      // Kysely may hear of its signal before it asks the pool.
      expect(pool.stats().aborted).toBeLessThanOrEqual(aborted)
      expect([created - closed, lost]).toEqual([idle, 0])
    }),
  )
  const idle = lanes.reduce((sum, pool) => sum + pool.stats().idle, 0)
  await until(async () => (await scene.backends()).length === idle, { what: `${idle} backends, as the pools count` })
}

it(
  'exhausted 1,000 times by callers of acquire(), the pool never hangs, and each time all comes back',
  () => exhaustOverAndOver({ repetitions: 1_000, pools: 4, acquireTimeoutMs: 60_000, way: byLeases }),
  busyMachineMs,
)

it(
  'the same through both ORMs, whose callers have the limit of the pool',
  () => exhaustOverAndOver({ repetitions: 144, pools: 12, acquireTimeoutMs: 400, way: byOrms }),
  busyMachineMs,
)
