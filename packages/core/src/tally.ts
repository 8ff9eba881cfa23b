// Counts things of which there may be any number, in bounded memory: those that were seen most often are kept, of the
// others only how many they were.

/** Something that was counted. Times are those of the wall clock, in milliseconds since 1970, as of `Date.now()`. */
export interface Counted {
  count: number
  readonly firstSeenAt: number
  lastSeenAt: number
}

export class Tally<Thing> {
  readonly #limit: number
  readonly #kept = new Map<string, Counted & { readonly thing: Thing }>()
  #others = 0

  /** @param limit how many things are kept */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Counts the thing of this name, which is made when it is first seen. */
  note(name: string, make: () => Thing, now: number): Counted & { readonly thing: Thing } {
    const known = this.#kept.get(name)
    if (known !== undefined) {
      known.count++
      known.lastSeenAt = now
      return known
    }
    if (this.#kept.size >= this.#limit) this.#forget()
    const entry = { thing: make(), count: 1, firstSeenAt: now, lastSeenAt: now }
    this.#kept.set(name, entry)
    return entry
  }

  lastSeenAt(name: string): number | undefined {
    return this.#kept.get(name)?.lastSeenAt
  }

  /** The rarest; of those that are equally rare the one that was not seen for longest. */
  #forget(): void {
    let rarest: readonly [string, Counted] | undefined
    for (const entry of this.#kept) {
      const [, { count, lastSeenAt }] = entry
      const than = rarest?.[1]
      if (than === undefined || count < than.count || (count === than.count && lastSeenAt < than.lastSeenAt)) {
        rarest = entry
      }
    }
    if (rarest === undefined) return
    this.#others += rarest[1].count
    this.#kept.delete(rarest[0])
  }

  /** The most frequent first. */
  get entries(): readonly (Readonly<Counted> & { readonly thing: Thing })[] {
    return [...this.#kept.values()].sort((a, b) => b.count - a.count || b.lastSeenAt - a.lastSeenAt)
  }

  /** How often those were seen that are not kept. */
  get others(): number {
    return this.#others
  }

  reset(): void {
    this.#kept.clear()
    this.#others = 0
  }
}
