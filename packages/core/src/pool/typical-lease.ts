// How long leases take of late, all but the longest quarter: what a caller needs to have left when it is given one.
//
// A quantile in one number, moved up or down by every lease, so that a report which runs for an hour counts as one lease
// and no more (after the "frugal" estimates of Q. Ma, S. Muthukrishnan, M. Sandler, Frugal Streaming for Estimating
// Quantiles, 2013; https://arxiv.org/abs/1407.1121). Its steps are factors: it is as quick at 1 ms as at 1 s.

const STEP = 1.1
/** One step up is three down: it comes to rest where a quarter of all is above. */
const STEP_UP = STEP ** 3
const LEAST_MS = 0.1

export class TypicalLease {
  /** In an array: V8 allocates at every change of a property that is no small integer. */
  readonly #ms = new Float64Array([LEAST_MS])

  get ms(): number {
    return this.#ms[0] ?? LEAST_MS
  }

  note(heldMs: number): void {
    const { ms } = this
    this.#ms[0] = heldMs > ms ? Math.min(heldMs, ms * STEP_UP) : Math.max(LEAST_MS, ms / STEP)
  }
}
