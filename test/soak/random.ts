// Random decisions that can be had again from their seed (mulberry32).

/** Each call gives the next number, from 0 up to but not including 1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One of them, each as likely as its share says. */
export function draw<T extends { readonly share: number }>(all: readonly T[], random: () => number): T {
  let left = random() * all.reduce((sum, { share }) => sum + share, 0)
  for (const one of all) {
    left -= one.share
    if (left < 0) return one
  }
  throw new Error('there is nothing to draw from')
}

export function shuffled<T>(all: readonly T[], random: () => number): T[] {
  return all
    .map((one) => ({ one, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one)
}
