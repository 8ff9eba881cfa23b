// Hooks that do what a scenario's script says, each entry in its turn, and again from the beginning.

import type { HookOptions } from '../hooks.js'
import type { Scenario } from './model-scenario.js'

type Name = keyof Scenario['hooks']

export class ModelHooks {
  /** Only those that have a script. */
  readonly options: HookOptions
  readonly #scripts: Scenario['hooks']
  readonly #turns = new Map<Name, number>()
  #behave = false
  /** Connections that `beforeAcquire` has let pass, and nobody has been lent since. */
  readonly #approved = new Set<number>()
  /** Connections that were lent, and have not passed `afterRelease` since. */
  readonly #untidied = new Set<number>()

  constructor(scripts: Scenario['hooks']) {
    this.#scripts = scripts
    this.options = {
      ...this.#if('beforeConnect', { beforeConnect: () => this.#pass('beforeConnect') }),
      ...this.#if('afterConnect', { afterConnect: () => this.#pass('afterConnect') }),
      ...this.#if('beforeAcquire', {
        beforeAcquire: async ({ connection }) => {
          const verdict = await this.#act('beforeAcquire')
          if (verdict === 'replace') return 'replace'
          if (verdict === 'fail, keep') return { fail: new Error('not for you'), connection: 'keep' }
          if (verdict === 'fail, destroy') return { fail: new Error('not for you'), connection: 'destroy' }
          this.#approved.add(connection.id)
          return 'use'
        },
      }),
      ...this.#if('afterRelease', {
        afterRelease: async ({ connection }) => {
          const verdict = await this.#act('afterRelease')
          if (verdict === 'destroy') return 'destroy'
          if (verdict === 'leave a transaction open') await connection.begin()
          this.#untidied.delete(connection.id)
          return 'keep'
        },
      }),
      ...this.#if('beforeClose', { beforeClose: () => this.#pass('beforeClose') }),
    }
  }

  /** From now on they let the pool work. */
  behave(): void {
    this.#behave = true
  }

  lent(id: number): void {
    this.#approved.delete(id)
    if (this.options.afterRelease !== undefined) this.#untidied.add(id)
  }

  /** What the pool must have asked about this connection before it lends it, and has not. */
  unasked(id: number): string | undefined {
    if (this.options.beforeAcquire !== undefined && !this.#approved.has(id)) return 'without the word of beforeAcquire'
    return this.#untidied.has(id) ? 'without the word of afterRelease' : undefined
  }

  #if(name: Name, hook: HookOptions): HookOptions {
    return this.#scripts[name].length > 0 ? hook : {}
  }

  async #pass(name: Name): Promise<void> {
    await this.#act(name)
  }

  /** What the script wants that is neither to throw nor to hang. */
  async #act(name: Name): Promise<string | undefined> {
    if (this.#behave) return undefined
    const script = this.#scripts[name]
    const turn = this.#turns.get(name) ?? 0
    this.#turns.set(name, turn + 1)
    const act = script[turn % script.length]
    if (act === 'throw') throw new Error(`${name} throws`)
    if (act === 'hang') await new Promise(() => {})
    return act
  }
}
