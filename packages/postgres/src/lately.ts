// What a connection was doing a moment ago: as seen by somebody else's deadlock, of which one hears when it is over.

/** A statement that is longer is forgotten with its end. */
const LONGEST_KEPT = 10_000
/** The end of a deadlock reaches both of its sides at about the same time, and the one that goes on has gone on by then. */
const NEW_MS = 10
/** A COMMIT may wait for somebody as well, for the sake of deferred constraints, but hardly ever does. */
const NEW_COMMIT_MS = 500

const end = /^\s*(?:commit|end)\b/i

export class Lately {
  #startedAt = 0
  #previous = ''
  /** The one before that. */
  #before = ''

  get startedAt(): number {
    return this.#startedAt
  }

  started(now: number): void {
    this.#startedAt = now
  }

  ended(text: string): void {
    this.#before = this.#previous
    this.#previous = text.length > LONGEST_KEPT ? '' : text
  }

  /** @returns the statement that was under way, rather than one that has only just been begun; undefined if not known */
  at(now: number, current: string): string | undefined {
    const isNew = now - this.#startedAt < (end.test(current) ? NEW_COMMIT_MS : NEW_MS)
    // Where the victim is slow to tell, the one that goes on may have come to its end by then.
    const previous = end.test(this.#previous) ? this.#before : this.#previous
    const text = current === '' || isNew ? previous : current
    return text === '' ? undefined : text
  }
}
