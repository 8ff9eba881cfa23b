// The property: whatever happens to the pool, the model finds nothing wrong. With how often it is tried, and what is told
// of a failure: the shortest sequence found, and how to have it again.

import fc from 'fast-check'
import { callerSteps } from './model-caller-steps.js'
import { close, recover } from './model-endings.js'
import { poolSteps } from './model-pool-steps.js'
import { ModelRun } from './model-run.js'
import { type Scenario, scenarios } from './model-scenario.js'
import type { Step } from './model-step.js'
import { worldSteps } from './model-world-steps.js'

export interface Trial {
  readonly runs: number
  readonly seed?: number | undefined
  /** Of a failure that was found before: which run, how it was made short, and which steps of it were taken. */
  readonly path?: string | undefined
  readonly replay?: string | undefined
  /** Whether a failure is made short. Default true. */
  readonly shrink?: boolean
  /** Only what is told in such words counts as a failure. Default anything. */
  readonly telling?: RegExp
}

export interface Fault {
  /** The shortest sequence found, what was wrong with it, and how to have it again. */
  readonly report: string
  /** As many steps it has. */
  readonly steps: number
  readonly again: Trial
}

/**
 * `MOORINGS_RUNS` says how often, `MOORINGS_SEED`, `MOORINGS_PATH` and `MOORINGS_REPLAY` repeat a failure. The few runs of
 * every day are always the same ones; the many of a long run are new ones every time.
 */
export function trialOf(environment: NodeJS.ProcessEnv, usual: Trial): Trial {
  const { MOORINGS_RUNS: runs, MOORINGS_SEED: seed, MOORINGS_PATH: path, MOORINGS_REPLAY: replay } = environment
  if (runs === undefined && seed === undefined) return usual
  return { runs: Number(runs ?? usual.runs), seed: seed === undefined ? undefined : Number(seed), path, replay }
}

/** What goes wrong, if anything does. */
export async function fault({
  runs,
  seed,
  path,
  replay,
  shrink = true,
  telling = /./,
}: Trial): Promise<Fault | undefined> {
  const property = fc.asyncProperty(scenarios, sequences(replay), async (scenario, sequence) => {
    const told = await play(scenario, sequence)
    if (told !== undefined && telling.test(told)) throw new Error(told)
  })
  const details = await fc.check(property, {
    numRuns: runs,
    endOnFailure: !shrink,
    ...(seed !== undefined && { seed }),
    ...(path !== undefined && { path }),
  })
  if (!details.failed) return undefined
  const { counterexample, counterexamplePath, errorInstance, numRuns, numShrinks } = details
  const sequence = String(counterexample?.[1])
  const again: Trial = {
    runs,
    seed: details.seed,
    path: counterexamplePath ?? undefined,
    replay: /replayPath="([^"]*)"/.exec(sequence)?.[1],
  }
  const words = `MOORINGS_SEED=${again.seed} MOORINGS_PATH=${again.path} MOORINGS_REPLAY='${again.replay}'`
  const report = `Found in run ${numRuns}, made shorter ${numShrinks} times:
  ${errorInstance instanceof Error ? errorInstance.message : errorInstance}
To have it again:
  ${words} npm test -w @moorings/core -- pool/model.test`
  return { report, steps: [...(counterexample?.[1] ?? [])].length, again }
}

/** What is wrong, and how it came to that. */
async function play(scenario: Scenario, sequence: Iterable<Step>): Promise<string | undefined> {
  const run = new ModelRun(scenario)
  try {
    await fc.asyncModelRun(() => ({ model: run.model, real: run }), sequence)
    await run.turn()
    if (scenario.recovers && !run.model.closed) await recover(run)
    await close(run)
    return undefined
  } catch (error) {
    const wrong = error instanceof Error ? error.message : String(error)
    return `${run.steps.join('\n  ')}\nbut\n  ${wrong.replaceAll('\n', '\n  ')}`
  } finally {
    run.stop()
  }
}

/** @param replay which steps of a sequence are taken, by the report of a failure */
function sequences(replay: string | undefined): fc.Arbitrary<Iterable<Step>> {
  const any = fc.oneof(...callerSteps, ...poolSteps, ...worldSteps)
  return fc.commands([any], { maxCommands: 100, size: 'max', ...(replay !== undefined && { replayPath: replay }) })
}
