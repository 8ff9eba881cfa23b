// Which statements come again, on whichever connection of a pool: only those are worth preparing.

/** This time included. The first time says nothing, and some come twice in a process's life. */
const OFTEN = 3
/** How many texts are remembered for each that a connection may keep prepared. */
const REMEMBERED = 4
/** A longer one, as an insert of many rows, is rarely the same again, and is memory for both sides. */
const LONGEST = 8_192

export class Repeats {
  /** How many a connection may keep; 0: none is prepared. */
  readonly max: number
  /** Grows when a plan turned out to be out of date: those made before may be, too. */
  era = 0
  readonly #suspects = new Set<string>()
  #recent = new Map<string, number>()
  #earlier = new Map<string, number>()

  constructor(max: number) {
    this.max = max
  }

  /** One that was refused within a transaction, and may have been so because of what it meant when it was prepared. */
  suspect(text: string): void {
    if (this.#suspects.size >= this.max) this.#suspects.clear()
    this.#suspects.add(text)
  }

  isSuspect(text: string): boolean {
    return this.#suspects.size > 0 && this.#suspects.has(text)
  }

  /** Counts it. */
  isOften(text: string): boolean {
    if (text.length > LONGEST) return false
    const times = (this.#recent.get(text) ?? this.#earlier.get(text) ?? 0) + 1
    if (this.#recent.size >= REMEMBERED * this.max) {
      this.#earlier = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(text, times)
    return times >= OFTEN
  }
}
