// Looks for a server that will do on several endpoints side by side: the first that fits has won. One that refuses, or
// has another role, is asked again while others have not answered yet, because a standby may be promoted meanwhile.

import { backoffDelay, connectBackoff } from '../backoff.js'
import type { Deadlines } from '../deadlines.js'
import type { MooringsError } from '../errors.js'

/** How long something that will do is held back for something better. */
const SPARE_MS = 500

/** What came of one attempt. */
export type Finding<C> =
  | { readonly fits: C }
  /** It will do if nothing better comes. */
  | { readonly spare: C }
  | { readonly failed: MooringsError }

export interface RaceParts<Place, C> {
  readonly deadlines: Deadlines
  readonly random: () => number
  /** The others, when those entered so far were not enough. Asked once. */
  readonly others: () => readonly Place[]
  /** One attempt. Never rejects, and ends soon after its signal fires. */
  readonly look: (place: Place, signal: AbortSignal) => Promise<Finding<C>>
  /** A connection that nobody needs. */
  readonly dismiss: (connection: C) => void
}

export type Outcome<C> = { readonly won: C } | { readonly failures: readonly MooringsError[] }

export class Race<Place, C> {
  readonly #parts: RaceParts<Place, C>
  readonly #over = new AbortController()
  /** Those that have not answered once. */
  readonly #unanswered = new Set<Place>()
  readonly #failures = new Map<Place, MooringsError>()
  #asked = false
  #spare: C | undefined
  #end: (outcome: Outcome<C>) => void = () => {}

  constructor(parts: RaceParts<Place, C>) {
    this.#parts = parts
  }

  /**
   * @param lateMs after which the others enter as well, when the first have not answered
   * @param signal ends it: then it is lost
   */
  run(first: readonly Place[], lateMs: number, signal: AbortSignal): Promise<Outcome<C>> {
    const { deadlines } = this.#parts
    const late = deadlines.add(lateMs, () => this.#askOthers(), false)
    const abort = () => this.#end({ failures: [...this.#failures.values()] })
    signal.addEventListener('abort', abort, { once: true })
    return new Promise((resolve) => {
      this.#end = (outcome) => {
        if (this.#over.signal.aborted) return
        this.#over.abort()
        deadlines.delete(late)
        signal.removeEventListener('abort', abort)
        const spare = this.#spare
        if (spare !== undefined && !('won' in outcome && outcome.won === spare)) this.#parts.dismiss(spare)
        resolve(outcome)
      }
      if (signal.aborted) abort()
      else this.#enter(first)
      if (first.length === 0) this.#askOthers()
    })
  }

  #askOthers(): void {
    if (this.#asked || this.#over.signal.aborted) return
    this.#asked = true
    this.#enter(this.#parts.others())
    this.#endIfAnswered()
  }

  #enter(places: readonly Place[]): void {
    for (const place of places) this.#unanswered.add(place)
    for (const place of places) void this.#lane(place)
  }

  async #lane(place: Place): Promise<void> {
    const { look, dismiss } = this.#parts
    const { signal } = this.#over
    for (let failures = 1; !signal.aborted; failures++) {
      const found = await look(place, signal)
      if (signal.aborted) {
        if (!('failed' in found)) dismiss('fits' in found ? found.fits : found.spare)
        return
      }
      if ('fits' in found) return this.#end({ won: found.fits })
      this.#unanswered.delete(place)
      if ('spare' in found) return this.#keep(found.spare)
      this.#failures.set(place, found.failed)
      this.#endIfAnswered()
      await this.#pause(failures)
    }
  }

  /** Something better may come from those that have not answered yet, for a while. */
  #keep(spare: C): void {
    if (this.#spare !== undefined) this.#parts.dismiss(spare)
    else {
      this.#spare = spare
      this.#parts.deadlines.add(SPARE_MS, () => this.#end({ won: spare }), false)
    }
    this.#askOthers()
    this.#endIfAnswered()
  }

  #endIfAnswered(): void {
    if (this.#unanswered.size > 0 || this.#over.signal.aborted) return
    if (!this.#asked) this.#askOthers()
    else if (this.#spare !== undefined) this.#end({ won: this.#spare })
    else this.#end({ failures: [...this.#failures.values()] })
  }

  #pause(failures: number): Promise<void> {
    const { deadlines, random } = this.#parts
    const { signal } = this.#over
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const over = () => {
        deadlines.delete(deadline)
        signal.removeEventListener('abort', over)
        resolve()
      }
      const deadline = deadlines.add(backoffDelay(connectBackoff, failures, random), over, false)
      signal.addEventListener('abort', over, { once: true })
    })
  }
}
