// The database has its moods, and time passes.

import fc from 'fast-check'
import { AuthenticationError, StatementError } from '../errors.js'
import type { FakeConnection, Operation } from './fake-connection.js'
import { refusal } from './fake-driver.js'
import type { PoolModel } from './model.js'
import { endpoint } from './model-pool-steps.js'
import type { ModelRun } from './model-run.js'
import { nth, pick, step, type WeightedStep } from './model-step.js'

const rough = ({ scenario }: PoolModel) => !scenario.calm

const operations: Operation[] = ['ping', 'ping', 'ping', 'reset', 'reset', 'close', 'begin', 'statement', 'cancel']

function ofThePool({ setup: { driver }, model }: ModelRun, nth: number): FakeConnection | undefined {
  const living = driver.open.filter(({ id }) => model.lives.has(id))
  return pick(living, nth)
}

export const worldSteps: readonly WeightedStep[] = [
  step(8, 'let connects be', fc.constantFrom('ok', 'ok', 'deaf', 'obedient', 'refused', 'wrong password'), {
    when: rough,
    does({ setup: { driver }, model }, mood) {
      if (mood === 'ok' || mood === 'deaf' || mood === 'obedient') driver.connects = mood
      else if (mood === 'refused') driver.connects = refusal()
      else {
        driver.connects = new AuthenticationError('password authentication failed', { code: '28P01' })
        model.refusesUs = true
      }
    },
  }),
  step(12, 'let connect arrive:', nth, {
    when: rough,
    does: ({ setup: { driver } }, nth) => void pick(driver.pending, nth)?.succeed(),
  }),
  step(5, 'let connect fail:', nth, {
    when: rough,
    does: ({ setup: { driver } }, nth) => pick(driver.pending, nth)?.fail(),
  }),
  step(6, 'lose connection', nth, { when: rough, does: (run, nth) => ofThePool(run, nth)?.lose() }),
  step(
    14,
    'on connection',
    fc.record({ nth, next: fc.constantFrom(...operations), is: fc.constantFrom('held', 'refused') }),
    {
      when: rough,
      does: (run, { nth, next, is }) =>
        ofThePool(run, nth)?.next(next, is === 'held' ? is : new StatementError('refused')),
    },
  ),
  step(10, 'let an answer come:', nth, {
    when: rough,
    does({ setup: { driver } }, nth) {
      const waiting = driver.connections.flatMap((connection) => connection.waiting)
      pick(waiting, nth)?.ok()
    },
  }),
  step(2, 'lead connects to', endpoint, {
    does({ setup: { driver } }, endpoint) {
      driver.endpoint = endpoint
    },
  }),
  step(34, 'pass', fc.constantFrom(1, 10, 30, 70, 200, 1_100, 1_100), { does: (run, ms) => run.pass(ms) }),
  step(2, 'stall', fc.constantFrom(30, 100, 600), { does: (run, ms) => run.stall(ms) }),
]
