// Where the primary's log had come to, and when. What a standby has replayed of it tells up to which moment it shows
// everything: without comparing two servers' clocks, and also when it has lost touch with its primary and cannot know.

interface Sample {
  readonly position: bigint
  readonly at: number
}

export class Positions {
  readonly #keepMs: number
  readonly #samples: Sample[] = []

  /** @param keepMs for how long one is of use */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** @param at no later than it was read */
  note(position: bigint, at: number): void {
    const samples = this.#samples
    const last = samples.at(-1)
    // Another primary, whose log goes on from where it was promoted.
    if (last !== undefined && position < last.position) samples.length = 0
    samples.push({ position, at })
    while ((samples[0]?.at ?? at) < at - this.#keepMs) samples.shift()
  }

  /** The last known moment of which whoever has come that far shows everything; undefined when that is too long ago. */
  shownBy(position: bigint): number | undefined {
    return this.#samples.findLast((sample) => sample.position <= position)?.at
  }
}
