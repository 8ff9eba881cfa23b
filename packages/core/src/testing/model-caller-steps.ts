// Callers come, wait, hold what they are lent, and give it back.

import fc from 'fast-check'
import type { PoolModel } from './model.js'
import { uses } from './model-callers.js'
import { nothing, nth, pick, step, type WeightedStep } from './model-step.js'

const somebodyWaits = ({ line }: PoolModel) => line.length > 0
const somethingIsHeld = ({ holders }: PoolModel) => holders.size > 0

export const callerSteps: readonly WeightedStep[] = [
  step(40, 'acquire', nothing, { does: ({ callers }) => void callers.acquire() }),
  step(6, 'acquire for', fc.record({ timeoutMs: fc.constantFrom(30, 1, 2_000), brief: fc.boolean() }), {
    does: ({ callers }, asking) => void callers.acquire(asking),
  }),
  step(2, 'acquire with a signal that has fired', nothing, {
    does: ({ callers }) => void callers.acquire({ aborted: true }),
  }),
  step(6, 'tryAcquire', nothing, { does: ({ callers }) => callers.tryAcquire() }),
  step(8, 'lease for a body', nothing, { does: ({ callers }) => callers.lease() }),
  step(6, 'lease for a body that acquires another', nothing, { does: ({ callers }) => callers.lease(true) }),
  step(6, 'acquire within the body of holder', nth, {
    when: somethingIsHeld,
    does({ callers }, nth) {
      const outer = pick(callers.inBodies, nth)
      if (outer !== undefined) callers.acquireWithin(outer)
    },
  }),
  step(8, 'abort waiter', nth, {
    when: somebodyWaits,
    does({ callers }, nth) {
      const caller = pick(callers.waiting, nth)
      if (caller !== undefined) callers.abort(caller)
    },
  }),
  step(36, 'release', fc.record({ nth, twice: fc.nat({ max: 4 }).map((dice) => dice === 4) }), {
    when: somethingIsHeld,
    does({ callers }, { nth, twice }) {
      const caller = pick(callers.holding, nth)
      if (caller !== undefined) callers.release(caller, twice)
    },
  }),
  step(12, 'have a holder leave', fc.record({ nth, what: fc.constantFrom(...uses) }), {
    when: somethingIsHeld,
    does({ callers }, { nth, what }) {
      const caller = pick(callers.holding, nth)
      if (caller !== undefined) callers.use(caller, what)
    },
  }),
  step(4, 'invalidate the lease of holder', nth, {
    when: somethingIsHeld,
    does({ callers }, nth) {
      const caller = pick(callers.holding, nth)
      if (caller !== undefined) callers.invalidate(caller)
    },
  }),
]
