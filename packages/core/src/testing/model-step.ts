// One thing that happens to a pool. It is only taken where it makes sense, and printed as a person would tell it.

import fc from 'fast-check'
import type { PoolModel } from './model.js'
import type { ModelRun } from './model-run.js'

export type Step = fc.AsyncCommand<PoolModel, ModelRun>

/** With how often it is taken, compared with others. */
export type WeightedStep = fc.WeightedArbitrary<Step>

export interface What<Given> {
  readonly does: (run: ModelRun, given: Given) => Promise<void> | void
  readonly when?: (model: PoolModel) => boolean
}

class Happening<Given> implements Step {
  readonly #name: string
  readonly #what: What<Given>
  readonly #given: Given
  /** The next one follows in the same turn of the event loop. */
  readonly #hasty: boolean

  constructor(name: string, what: What<Given>, given: Given, hasty: boolean) {
    this.#name = name
    this.#what = what
    this.#given = given
    this.#hasty = hasty
  }

  check(model: PoolModel): boolean {
    return this.#what.when?.(model) ?? true
  }

  async run(_model: PoolModel, run: ModelRun): Promise<void> {
    run.steps.push(this.toString())
    await this.#what.does(run, this.#given)
    if (!this.#hasty) await run.turn()
  }

  toString(): string {
    const given = this.#given === undefined ? '' : ` ${JSON.stringify(this.#given)}`
    return `${this.#name}${given}${this.#hasty ? ', and at once' : ''}`
  }
}

/** @param given what goes with it, and is printed after its name */
export function step<Given>(weight: number, name: string, given: fc.Arbitrary<Given>, what: What<Given>): WeightedStep {
  const hasty = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) })
  const arbitrary = fc.tuple(given, hasty).map(([given, hasty]) => new Happening(name, what, given, hasty))
  return { weight, arbitrary }
}

export const nothing: fc.Arbitrary<undefined> = fc.constant(undefined)

/** Which one of several; see {@link pick}. */
export const nth: fc.Arbitrary<number> = fc.nat({ max: 9 })

export function pick<T>(from: readonly T[], nth: number): T | undefined {
  return from[nth % Math.max(1, from.length)]
}
