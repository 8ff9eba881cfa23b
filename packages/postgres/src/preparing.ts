// Which statements a connection prepares by itself, without anybody having asked for it: what comes again, in a session
// in which names mean what they meant when it was set up.
//
// The library can forget none of them: when there are as many as there may be, others go unprepared; and where a new
// connection would do better, because other statements come now, this one is worn.

import { isRead } from './about-rows.js'
import { isPrepared, type LibraryStatement, textGiven } from './library.js'
import type { Names } from './names.js'
import type { Repeats } from './repeats.js'

/** One that could not even be parsed is not tried for ever. */
const TRIES = 3
/** So many unprepared ones, for each that may be prepared, are looked at before the connection is worn. */
const MISSES = 4
/** All columns of something: one more makes its plan useless, and the transaction with it. As in `a.*`, not in `count(*)`. */
const allColumns = /(?:^|[\s,.])\*/

export class Preparing {
  readonly #repeats: Repeats
  readonly #names: Pick<Names, 'moved'>
  /** Those that the server has, and whether they ask for all columns. */
  readonly #kept = new Map<string, boolean>()
  /** Those that it has, but perhaps with a plan that it may not use any more. */
  readonly #doubtful = new Set<string>()
  /** Those that are not to be prepared here again. */
  readonly #barred = new Set<string>()
  readonly #tries = new Map<string, number>()
  /** Names made on the server. */
  #made = 0
  #era: number
  #misses = 0
  #missed = new Set<string>()
  /** Of those that are kept, what was asked for since the first miss. */
  #used = new Set<string>()
  /** Whether a new connection would have prepared what this one cannot any more. */
  worn = false

  constructor(repeats: Repeats, names: Pick<Names, 'moved'>) {
    this.#repeats = repeats
    this.#names = names
    this.#era = repeats.era
  }

  /** Decides it for a statement whose caller has not, before it is given to the library. */
  choose(query: LibraryStatement, inTransaction: boolean): boolean {
    const text = textGiven(query)
    if (text === undefined || !this.#isToBe(text, query, inTransaction)) return false
    query.options.prepare = true
    query.options.simple = false
    return true
  }

  /**
   * In a transaction only what is sure not to end it: a plan that is out of date is an error, which the library repairs for
   * a statement on its own.
   */
  #isToBe(text: string, { options }: LibraryStatement, inTransaction: boolean): boolean {
    const { max, era } = this.#repeats
    if (max === 0 || this.#names.moved) return false
    if (this.#era !== era) this.#doubt(era)
    if (inTransaction && this.#repeats.isSuspect(text)) return false
    const starred = this.#kept.get(text)
    if (starred !== undefined) {
      if (this.#misses > 0) this.#used.add(text)
      return !(starred && inTransaction)
    }
    if (this.#doubtful.has(text)) return !inTransaction
    // Without parameters it may be several statements, which cannot be prepared; and the library's result of one that has no
    // rows tells whether it was.
    if (options.simple === true && !isRead(text)) return false
    if (!this.#repeats.isOften(text) || (inTransaction && allColumns.test(text))) return false
    if (this.#made < max && !this.#barred.has(text)) return true
    this.#miss(text)
    return false
  }

  /** It was given to the library, which knows by now whether the server has it. */
  given(query: LibraryStatement): void {
    if (!isPrepared(query)) return
    const kept = query.prepared === true
    if (!kept) this.#made++
    const text = textGiven(query)
    if (text === undefined || this.#kept.has(text) || this.#doubtful.has(text)) return
    const tries = kept ? 0 : (this.#tries.get(text) ?? 0) + 1
    if (kept) this.#kept.set(text, allColumns.test(text))
    if (tries >= TRIES) this.#barred.add(text)
    if (kept || tries >= TRIES) this.#tries.delete(text)
    else this.#tries.set(text, tries)
  }

  /** It was carried out, if need be with a new plan. */
  carriedOut(query: LibraryStatement): void {
    if (this.#doubtful.size === 0 || !isPrepared(query)) return
    const text = textGiven(query)
    if (text !== undefined && this.#doubtful.delete(text)) this.#kept.set(text, allColumns.test(text))
  }

  /** The library prepares one anew. @param outdated because its plan was out of date: those of others may be as well */
  renewed(outdated: boolean): void {
    this.#made++
    if (outdated) this.#repeats.era++
  }

  /** One means something else by now: its parameters have other types. Those of others may, too. */
  outdated(query: LibraryStatement): void {
    const text = textGiven(query)
    if (text !== undefined) {
      this.#kept.delete(text)
      this.#doubtful.delete(text)
      this.#barred.add(text)
    }
    this.#repeats.era++
  }

  /** The same perhaps, or its values were wrong: within a transaction that cannot be found out. */
  suspect(query: LibraryStatement): void {
    const text = textGiven(query)
    if (text !== undefined) this.#repeats.suspect(text)
  }

  /** Names in what was prepared until now may mean something else, and nobody would tell. */
  bar(): void {
    for (const text of [...this.#kept.keys(), ...this.#doubtful]) this.#barred.add(text)
    this.#kept.clear()
    this.#doubtful.clear()
    this.#tries.clear()
  }

  #doubt(era: number): void {
    this.#era = era
    for (const text of this.#kept.keys()) this.#doubtful.add(text)
    this.#kept.clear()
  }

  #miss(text: string): void {
    const { max } = this.#repeats
    this.#misses++
    if (this.#missed.size <= max) this.#missed.add(text)
    if (this.#misses < MISSES * max) return
    // Only if all that is asked for would find its place on a new one: else that would be worn as soon.
    this.worn ||= this.#used.size + this.#missed.size <= max
    this.#misses = 0
    this.#missed = new Set()
    this.#used = new Set()
  }
}
