// One random sequence, played: the pool, the model that follows it, those who borrow, and what was done so far.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { InvalidOptionsError, PoolClosedError } from '../errors.js'
import type { PoolEvents } from '../events.js'
import type { ConnectionSelector, PoolSize } from '../pool/setup.js'
import { settled } from './fake-clock.js'
import type { FakeConnection } from './fake-connection.js'
import { type Fixture, fixture } from './fixture.js'
import { PoolModel } from './model.js'
import { Callers } from './model-callers.js'
import { Errands } from './model-errands.js'
import { ModelHooks } from './model-hooks.js'
import { broken } from './model-rules.js'
import { healthTimeoutMs, hookTimeoutMs, type Scenario } from './model-scenario.js'
import { seeded } from './seeded.js'

export class ModelRun {
  readonly scenario: Scenario
  readonly setup: Fixture
  readonly model: PoolModel
  readonly hooks: ModelHooks
  readonly callers: Callers
  readonly errands: Errands
  /** Connects that had begun when it was last looked. */
  attempts = 0
  /** The process is busy: timers that are due have not run. */
  stalled = false
  /** What was done, and indented what came of it. */
  readonly steps: string[] = []
  readonly #stopListening: (() => void)[] = []

  constructor(scenario: Scenario) {
    this.scenario = scenario
    this.steps.push(JSON.stringify(scenario))
    this.hooks = new ModelHooks(scenario.hooks)
    this.setup = fixture(scenario.pool, seeded(scenario.seed), {
      health: { everyMs: scenario.healthEveryMs, timeoutMs: healthTimeoutMs },
      hooks: { ...this.hooks.options, timeoutMs: hookTimeoutMs },
    })
    const { pool, clock, driver } = this.setup
    this.model = new PoolModel(scenario, {
      now: () => clock.now(),
      epochOf: (id) => driver.connection(id).epoch,
      stats: () => pool.stats(),
      lost: (id) => driver.connection(id).lost !== undefined,
      lent: (id) => this.hooks.lent(id),
      unfit: (id) => this.#unfit(driver.connection(id)),
      note: (line) => this.steps.push(`    ${line}`),
    })
    this.callers = new Callers(this)
    this.errands = new Errands(this)
    this.#listen()
  }

  /** Lets happen what can without time going on, and looks whether all is as it must be. */
  async turn(): Promise<void> {
    // What waits for one look at the sockets may be followed by another that does.
    for (let turns = 0; turns < 3; turns++) await settled()
    const found = [...this.model.breaches, ...this.callers.disappointed(), ...this.errands.wrong(), ...broken(this)]
    if (found.length > 0) throw new Error(found.join('\n'))
  }

  async pass(ms: number): Promise<void> {
    this.stalled = false
    await this.setup.clock.advance(ms)
  }

  stall(ms: number): void {
    this.stalled = true
    this.setup.clock.stall(ms)
  }

  resize(size: PoolSize): void {
    const { idle, leased, connecting } = this.setup.pool.stats()
    const { min, minIdle, max, overflow } = { ...this.model.size, ...size }
    const refused = this.model.closed ? PoolClosedError : min > max ? InvalidOptionsError : undefined
    // Before the pool does it: the model hears at once of what leaves.
    if (refused === undefined) this.model.resize({ min, minIdle, max, overflow }, idle + leased + connecting)
    try {
      this.setup.pool.resize(size)
      if (refused !== undefined) this.model.breaches.push(`resize should be refused by ${refused.name}`)
    } catch (error) {
      if (refused === undefined || !(error instanceof refused)) throw error
    }
  }

  /** Has all that are meant replaced, which lent ones are at their return unless they are evicted. */
  replace(how: 'invalidate' | 'evict', which: ConnectionSelector | undefined): void {
    const { model, setup } = this
    const ids = model.meant(which).map(({ id }) => id)
    model.outdate(which)
    if (how === 'evict') model.evicting = new Set(ids)
    const count = setup.pool[how](which)
    model.evicting = new Set()
    const left = how === 'evict' ? ids.filter((id) => model.lives.has(id)) : []
    if (left.length > 0) model.breaches.push(`connections ${left} were evicted, and live`)
    if (count !== ids.length) model.breaches.push(`${count} were meant rather than ${ids.length}`)
  }

  stop(): void {
    for (const stop of this.#stopListening) stop()
  }

  #listen(): void {
    const { poolId } = this.setup.pool.identity
    for (const [name, hear] of Object.entries(this.model.hears)) {
      // The name decides the payload, which neither Object.entries nor diagnostics_channel has a type for.
      const listener = (event: unknown) => {
        const heard = event as PoolEvents[keyof PoolEvents]
        if (heard.poolId === poolId) (hear as (event: PoolEvents[keyof PoolEvents]) => void)(heard)
      }
      subscribe(name, listener)
      this.#stopListening.push(() => unsubscribe(name, listener))
    }
  }

  /** Why nobody should be lent this connection. */
  #unfit(connection: FakeConnection): string | undefined {
    const { id, lost, transactionStatus, activity, sessionState } = connection
    if (lost !== undefined) return 'although it is gone'
    if (transactionStatus !== 'idle') return `in a transaction that is ${transactionStatus}`
    if (activity !== 'idle') return `although it is ${activity}`
    if (sessionState !== 'clean') return `although it is ${sessionState}`
    return this.hooks.unasked(id)
  }
}
