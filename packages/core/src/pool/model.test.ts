// Random sequences against what must always hold. A failure prints its seed and every step, to be made a test of its own.

import { describe, expect, it } from '@jest/globals'
import { MooringsError } from '../errors.js'
import type { PoolOptions } from '../options.js'
import { settled } from '../testing/fake-clock.js'
import type { Answer, FakeConnection, Operation } from '../testing/fake-connection.js'
import { refusal } from '../testing/fake-driver.js'
import { counts, empty, type FakeLease, type Fixture, fixture } from '../testing/fixture.js'
import { seeded } from '../testing/seeded.js'
import { type Watched, watch } from '../testing/watch.js'

interface Caller {
  readonly asked: Watched<FakeLease>
  readonly abort: AbortController
  returned: boolean
}

/** One run: the pool, those who use it, and what was done so far. */
class Run {
  readonly steps: string[] = []
  readonly setup: Fixture
  readonly callers: Caller[] = []
  readonly #options: PoolOptions
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = seeded(seed)
    const max = this.#below(4) + 1
    this.#options = {
      min: this.#below(max + 1),
      max,
      overflow: this.#below(3),
      maxWaiters: 6,
      acquireTimeoutMs: 400,
      connectTimeoutMs: 150,
      validateAfterIdleMs: this.#pick([0, 50, 1_000]),
      validationTimeoutMs: 60,
      closeTimeoutMs: 100,
      idleTimeoutMs: this.#pick([0, 1_500]),
      maxLifetimeMs: this.#pick([0, 2_000]),
    }
    this.setup = fixture(this.#options, seeded(seed + 1))
    this.steps.push(`options ${JSON.stringify(this.#options)}`)
  }

  // --- what can happen ---

  async step(): Promise<void> {
    const happen = this.#pick([
      this.#acquire,
      ...[this.#acquire, this.#acquire, this.#release, this.#release, this.#release],
      ...[this.#use, this.#abort, this.#arrive, this.#arrive, this.#fail, this.#connects, this.#lose],
      ...[this.#answers, this.#reply, this.#reply, this.#pass, this.#pass, this.#invalidate],
    ])
    this.steps.push(happen.call(this))
    // Sometimes several things happen in one turn.
    if (this.#random() < 0.7) await settled()
    await this.check()
  }

  #acquire(): string {
    const abort = new AbortController()
    const asked = watch(this.setup.pool.acquire({ signal: abort.signal }))
    this.callers.push({ asked, abort, returned: false })
    return `acquire ${this.callers.length - 1}`
  }

  #release(): string {
    const caller = this.#pick(this.#holders())
    if (caller === undefined) return '-'
    caller.returned = true
    caller.asked.value.release()
    // Now and then twice: it must make no difference.
    if (this.#random() < 0.2) caller.asked.value.release()
    return `release ${this.callers.indexOf(caller)}`
  }

  #use(): string {
    const caller = this.#pick(this.#holders())
    if (caller === undefined || caller.asked.value.lost) return '-'
    const { connection } = caller.asked.value
    if (connection.transactionStatus === 'idle') void connection.begin().catch(() => {})
    else void connection.statement().catch(() => {})
    return `use ${this.callers.indexOf(caller)} on ${connection.id}`
  }

  #abort(): string {
    const caller = this.#pick(this.callers.filter(({ asked }) => asked.state === 'pending'))
    caller?.abort.abort()
    return caller === undefined ? '-' : `abort ${this.callers.indexOf(caller)}`
  }

  #connects(): string {
    const connects = this.#pick(['ok', 'ok', 'deaf', 'obedient', refusal()] as const)
    this.setup.driver.connects = connects
    return `connects are ${connects instanceof Error ? 'refused' : connects}`
  }

  #arrive(): string {
    const connection = this.#pick(this.setup.driver.pending)?.succeed()
    return connection === undefined ? '-' : `arrive ${connection.id}`
  }

  #fail(): string {
    this.#pick(this.setup.driver.pending)?.fail()
    return 'fail a connect'
  }

  #lose(): string {
    const connection = this.#pick(this.setup.driver.open)
    connection?.lose()
    return connection === undefined ? '-' : `lose ${connection.id}`
  }

  #answers(): string {
    const operation = this.#pick<Operation>(['ping', 'reset', 'close', 'begin', 'statement'])
    const answer = this.#pick<Answer>(['held', new MooringsError('statement', 'refused')])
    const connection = this.#pick(this.setup.driver.open)
    connection?.next(operation, answer)
    return `${operation} on ${connection?.id} will be ${answer === 'held' ? 'held' : 'refused'}`
  }

  #reply(): string {
    const connection = this.#pick(this.setup.driver.open.filter(({ waiting }) => waiting.length > 0))
    const held = this.#pick([...(connection?.waiting ?? [])])
    held?.ok()
    return held === undefined ? '-' : `answer ${held.operation} on ${connection?.id}`
  }

  #pass(): string {
    const ms = this.#pick([1, 10, 30, 70, 200, 1_100])
    this.#passing = ms
    return `${ms} ms pass`
  }
  #passing = 0

  #invalidate(): string {
    this.setup.pool.invalidate()
    return 'invalidate'
  }

  // --- what must hold ---

  async check(): Promise<void> {
    const { pool, clock, driver } = this.setup
    await clock.advance(this.#passing)
    this.#passing = 0
    const { idle, leased, connecting, waiting, max, overflow, created, closed } = pool.stats()
    const lent = this.#lent()
    const holds = {
      'never above max + overflow': idle + leased + connecting <= max + overflow,
      'no overflow lies idle': idle <= max,
      'what was made is idle, leased or closed': created - closed === idle + leased,
      'whoever waits is counted': waiting === this.callers.filter(({ asked }) => asked.state === 'pending').length,
      'every connect is counted': connecting === driver.pending.filter(({ request }) => !request.signal.aborted).length,
      'no connection is leased twice': new Set(lent).size === lent.length,
      'every lease is counted': lent.length <= leased,
      'no connection in use was ended': lent.every(({ ended }) => ended === undefined),
    }
    const broken = Object.entries(holds).flatMap(([name, held]) => (held ? [] : [name]))
    if (broken.length > 0) throw new Error(`not kept: ${broken.join('; ')}. ${JSON.stringify(pool.stats())}`)
  }

  /** With the database well and every lease given back soon, a newcomer is served, and in the end all lies idle. */
  async recover(): Promise<void> {
    this.steps.push('all is well')
    const { pool, clock, driver } = this.setup
    driver.connects = 'ok'
    let newcomer: Watched<FakeLease> | undefined
    for (let round = 0; round < 40; round++) {
      for (const attempt of driver.pending) attempt.succeed()
      for (const connection of driver.open) for (const held of connection.waiting) held.ok()
      for (const caller of this.#holders()) {
        caller.returned = true
        caller.asked.value.release()
      }
      if (newcomer === undefined && pool.stats().waiting < 6) {
        newcomer = watch(pool.acquire({ timeoutMs: 1_500 }))
        this.callers.push({ asked: newcomer, abort: new AbortController(), returned: false })
      }
      await clock.advance(50)
      await this.check()
    }
    expect(newcomer?.state).toBe('resolved')
    const { idle, leased, connecting, waiting } = counts(pool)
    expect({ leased, connecting, waiting }).toEqual({ leased: 0, connecting: 0, waiting: 0 })
    expect(idle).toBeGreaterThanOrEqual(this.#options.min ?? 0)
    expect(driver.open.filter(({ lost }) => lost === undefined)).toHaveLength(idle)
  }

  async end(): Promise<void> {
    this.steps.push('close')
    const { pool, clock, driver } = this.setup
    const closed = watch(pool.close())
    await clock.advance(250)
    expect(closed.state).toBe('resolved')
    for (const { asked } of this.callers) expect(asked.state).not.toBe('pending')
    for (const attempt of driver.pending) attempt.succeed()
    await settled()
    expect(counts(pool)).toEqual(empty)
    expect(driver.open).toEqual([])
    expect(clock.pending).toBe(0)
    for (const { asked, returned } of this.callers) if (asked.state === 'resolved' && !returned) asked.value.release()
    expect(counts(pool)).toEqual(empty)
    const { created, closed: left } = pool.stats()
    expect(left).toBe(created)
    for (const { asked } of this.callers) {
      if (asked.state === 'rejected') expect(asked.error).toBeInstanceOf(MooringsError)
    }
  }

  // --- helpers ---

  #holders(): Caller[] {
    return this.callers.filter(({ asked, returned }) => asked.state === 'resolved' && !returned)
  }

  #lent(): FakeConnection[] {
    return this.#holders().flatMap(({ asked: { value } }) => (value.lost ? [] : [value.connection]))
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  #pick<T>(from: readonly [T, ...T[]]): T
  #pick<T>(from: readonly T[]): T | undefined
  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#below(from.length)]
  }
}

async function run(seed: number, invariant?: (run: Run) => void): Promise<void> {
  const run = new Run(seed)
  try {
    for (let turn = 0; turn < 60; turn++) {
      await run.step()
      invariant?.(run)
    }
    if (seed % 2 === 0) await run.recover()
    await run.end()
  } catch (error) {
    throw new Error(`seed ${seed} broke after:\n  ${run.steps.join('\n  ')}`, { cause: error })
  }
}

describe('whatever happens to the pool', () => {
  it.each(Array.from({ length: 30 }, (_, block) => block * 10))(
    'the counts hold, nobody waits for ever, and nothing is left (seeds from %d)',
    async (first) => {
      for (let seed = first; seed < first + 10; seed++) await run(seed)
    },
  )

  it('nobody waits for a connect while a connection lies idle that nobody is asking for a sign of life', async () => {
    for (let seed = 0; seed < 100; seed++) {
      await run(seed, ({ setup: { pool, driver } }) => {
        const { idle, waiting } = pool.stats()
        const asked = driver.open.filter((connection) =>
          connection.waiting.some(({ operation }) => operation === 'ping'),
        )
        if (waiting > asked.length) expect(idle).toBe(0)
      })
    }
  })
})
