// Whether names in a statement mean what they meant when the session was set up. Where another search_path holds, or a
// temporary table stands in front of another, a statement that was prepared before would go on meaning the old ones, or its
// parameters would have types of theirs.

import { bare, type SessionMarks } from './session-state.js'
import type { BackendReader } from './wire.js'
import { bareBegin } from './words.js'

// The role as well: its schema is in the search_path as "$user".
const moves =
  /\bset\s+(?:(?:session|local)\s+)?(?:"?search_path\b|"?role\b|schema\b|(?:session\s+)?authorization\b)|\breset\s+(?:"?search_path\b|"?role\b|session\b|all\b)|\bdiscard\s+all\b/i
const setConfigs = /set_config"?\s*\(\s*(?:'([^']*)'\s*,)?/gi
const movingSetting = /^(?:search_path|role|session_authorization)$/i

export class Names {
  readonly #marks: Pick<SessionMarks, 'settings' | 'temporary'>
  readonly #reader: Pick<BackendReader, 'transactionStatus'>
  #moved = false
  /** A transaction is on its way to the server that moves them. */
  #beginning = false

  constructor(marks: Pick<SessionMarks, 'settings' | 'temporary'>, reader: Pick<BackendReader, 'transactionStatus'>) {
    this.#marks = marks
    this.#reader = reader
  }

  /** What one cannot see, as in a function of the application's that sets a search_path, does not count. */
  get moved(): boolean {
    if (this.#marks.temporary) return true
    if (!this.#moved) return false
    const open = this.#reader.transactionStatus !== 'idle'
    if (open) this.#beginning = false
    // What SET LOCAL has moved is back with the end of the transaction, other settings with the session's reset.
    else if (!this.#beginning && !this.#marks.settings) this.#moved = false
    return this.#moved
  }

  /** A transaction begins with these statements. */
  begins(text: string): void {
    if (text === bareBegin || (!moves.test(text) && !callsMove(text))) return
    this.#moved = true
    this.#beginning = true
  }

  /** A statement was carried out that sets something, by its tag. */
  set(text: string): void {
    // Without comments between its words; but what is in a literal may be a program.
    if (moves.test(text) || moves.test(bare(text))) this.#moved = true
  }

  /** A statement is sent that calls `set_config`. */
  calls(text: string): void {
    if (callsMove(text)) this.#moved = true
  }
}

/** Unless it is another setting's plain name. */
function callsMove(text: string): boolean {
  for (const [, name] of text.matchAll(setConfigs)) {
    if (name === undefined || movingSetting.test(name)) return true
  }
  return false
}
