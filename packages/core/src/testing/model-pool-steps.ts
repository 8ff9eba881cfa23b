// The pool is told things as a whole.

import fc from 'fast-check'
import type { Endpoint } from '../driver.js'
import type { ConnectionSelector } from '../pool/setup.js'
import type { ModelRun } from './model-run.js'
import { closeTimeoutMs, sizes } from './model-scenario.js'
import { nothing, nth, pick, step, type WeightedStep } from './model-step.js'

/** Where connections lead: the fake driver's usual place, or another. */
export const endpoint: fc.Arbitrary<Endpoint> = fc
  .constantFrom('db.test', 'other.test')
  .map((host) => ({ host, port: 5432 }))

type Which = { readonly nth: number } | { readonly endpoint: Endpoint } | undefined

const which: fc.Arbitrary<Which> = fc.oneof(
  nothing,
  nth.map((nth) => ({ nth })),
  endpoint.map((endpoint) => ({ endpoint })),
)

function selector({ model }: ModelRun, which: Which): ConnectionSelector | undefined {
  if (which === undefined || 'endpoint' in which) return which
  return { id: pick([...model.lives.keys()], which.nth) ?? 999 }
}

const refuseAfterMs = fc.constantFrom(60_000, 300, 0)

export const poolSteps: readonly WeightedStep[] = [
  step(6, 'resize to', fc.oneof(sizes, fc.record({ max: fc.integer({ min: 1, max: 4 }) })), {
    does: (run, size) => run.resize(size),
  }),
  step(4, 'invalidate', which, { does: (run, which) => run.replace('invalidate', selector(run, which)) }),
  step(4, 'evict', which, { does: (run, which) => run.replace('evict', selector(run, which)) }),
  step(2, 'suspend, refusing after', refuseAfterMs, { does: ({ errands }, ms) => errands.suspend(ms) }),
  step(14, 'resume', nothing, {
    when: ({ phase }) => phase === 'suspended',
    does: ({ setup }) => setup.pool.resume(),
  }),
  step(2, 'drain', fc.record({ timeoutMs: fc.constantFrom(100, 1_000), refuseAfterMs }), {
    does: ({ errands }, { timeoutMs, refuseAfterMs }) => errands.drain(timeoutMs, refuseAfterMs),
  }),
  step(2, 'start, failing fast:', fc.boolean(), { does: ({ errands }, failFast) => errands.start(failFast) }),
  step(4, 'health', nothing, {
    when: ({ scenario, sight }) => scenario.pool.queue !== 'adaptive' || sight.stats().idle === 0,
    does: ({ errands }) => errands.health(),
  }),
  step(1, 'close within', fc.constantFrom(closeTimeoutMs, 0, 700), {
    does: ({ errands }, ms) => void errands.close(ms),
  }),
]
