// What was left on a session that the next borrower would notice, known without asking the server: from the tags its
// commands were answered with, from their texts where no tag tells, and from what a borrower has declared. And the one
// text that undoes it.

import { describeGiven, InvalidOptionsError, type SessionState } from '@moorings/core'
import { tagged } from './wire.js'

const bits = { settings: 1, locks: 2, 'temporary-tables': 4, listens: 8, cursors: 16, other: 32 } as const
// A word of the contract that has no bit fails to compile here.
const words: Readonly<Record<SessionState, number>> = bits

/**
 * In the order of DISCARD ALL, which would also forget the statements that the library has prepared. RESET ALL leaves the
 * role alone; RESET ROLE goes back to the one the session began with, which setting the authorization takes away.
 */
const undoing: readonly (readonly [bit: number, text: string])[] = [
  [bits.cursors, 'close all'],
  [bits.settings, 'set session authorization default; reset role; reset all'],
  [bits.listens, 'unlisten *'],
  // By its full name: a search_path may have put another in front.
  [bits.locks, 'select pg_catalog.pg_advisory_unlock_all()'],
  [bits['temporary-tables'], 'discard temp'],
]

/** The marks of one session. Where it is not sure that nothing was left, it was: then returning costs one round trip. */
export class SessionMarks {
  #dirty = 0
  /** What its set-up did. It is undone with the rest, as the set-up, which is run again then, expects a blank session. */
  #kept = 0

  get state(): 'clean' | 'dirty' | 'spoilt' {
    return this.#dirty === 0 ? 'clean' : (this.#dirty & bits.other) === 0 ? 'dirty' : 'spoilt'
  }

  /** Whether a setting is not what it was. */
  get settings(): boolean {
    return (this.#dirty & bits.settings) !== 0
  }

  /** Whether there may be temporary tables. */
  get temporary(): boolean {
    return (this.#dirty & bits['temporary-tables']) !== 0
  }

  /** One simple query that undoes what is there; empty if there is nothing that can be undone. */
  get undo(): string {
    if (this.#dirty === 0) return ''
    const left = this.#dirty | this.#kept
    return undoing.flatMap(([bit, text]) => ((left & bit) === 0 ? [] : [text])).join('; ')
  }

  /** Whether what the set-up did goes with it. */
  get undoesSetUp(): boolean {
    return this.#dirty !== 0 && this.#kept !== 0
  }

  /** @throws InvalidOptionsError when there is no such word */
  declare(left: SessionState): void {
    if (!Object.hasOwn(words, left)) {
      const allowed = `one of ${Object.keys(words).join(', ')}`
      throw new InvalidOptionsError([{ path: 'declare', given: describeGiven(left), allowed }])
    }
    this.#dirty |= words[left]
  }

  /** A statement is on its way. What outlives even one that fails is marked now. @returns whether there is anything to it */
  sent(text: string): boolean {
    const tells = telling.test(text)
    if (tells) this.#dirty |= leftByText(text)
    return tells
  }

  /**
   * A statement was answered with tags worth looking at.
   *
   * @param tags of {@link tagged}
   * @param sets how many of them were SET
   */
  answered(tags: number, sets: number, text: string): void {
    if (sets > 0 && !endsWithTransaction(text, sets)) this.#dirty |= bits.settings
    // Back to what the session began with, which is not what its set-up has made of it.
    if ((tags & tagged.reset) !== 0) this.#dirty |= this.#kept & bits.settings
    if ((tags & tagged.listen) !== 0) this.#dirty |= bits.listens
    if ((tags & tagged.declare) !== 0 && /hold/i.test(text)) this.#dirty |= bits.cursors
    if ((tags & tagged.block) !== 0) this.#dirty |= leftByBlock(text)
    if ((tags & (tagged.prepare | tagged.load)) !== 0) this.#dirty |= bits.other
  }

  /** A pooler has lent the session to others: all that is left of it is what the pooler itself keeps for its clients. */
  keepSettingsOnly(): void {
    this.#dirty &= bits.settings
    this.#kept &= bits.settings
  }

  /** What is there stays. @param setUp whether it is how the session should be */
  keep(setUp: boolean): void {
    if (setUp) this.#kept |= this.#dirty
    this.#dirty = 0
  }

  /** {@link undo} was carried out; the marks it made itself go with the others. */
  undone(): void {
    this.#dirty &= bits.other
    this.#kept = 0
  }
}

// --- what the texts tell ---

// The one look that every statement gets, about a nanosecond a character; what is found is looked at closer. There is no
// length from which on it stops: sending a long text costs far more.
const telling = /advisory_lock|set_config|temp/i

// Not pg_advisory_xact_lock, which ends with the transaction.
export const sessionLock = /pg_(?:try_)?advisory_lock/i

// CREATE TEMPORARY TABLE and its like, SELECT … INTO TEMP, and whatever names the schema of such tables. Not INSERT INTO
// a table of that name.
// Each part is looked for where its word stands and no further than the white space behind it, so that the look is linear
// in the text whatever that is.
export const temporary =
  /pg_temp|\btemp(?:orary)?\s+(?:table|view|sequence|recursive)\b|(?<!\b(?:insert|merge)\s+)\binto\s+(?:(?:local|global)\s+)?temp(?:orary)?\s+[\w"]/i

const setConfig = /set_config/i
const setConfigs = /set_config/gi
const longest = 16_384
// As far as that can be seen without parsing: no parentheses inside, no escapes in its literals, and a plain `true`.
const localSetConfig = /set_config"?\s*\((?:[^()'\\]|'[^'\\]*')*,\s*(?:is_local\s*(?:=>|:=)\s*)?true\s*\)/gi

function leftByText(whole: string): number {
  const text = bare(whole)
  let left = 0
  if (sessionLock.test(text)) left |= bits.locks
  if (temporary.test(text)) left |= bits['temporary-tables']
  // A closer look at a text of any length could take as long as it likes.
  if (setConfig.test(text) && (text.length > longest || count(text, setConfigs) > count(text, localSetConfig))) {
    left |= bits.settings
  }
  return left
}

/** A DO block is answered by one tag, whatever it does. */
function leftByBlock(text: string): number {
  return (/\bset\b/i.test(text) ? bits.settings : 0) | (/\blisten\b/i.test(text) ? bits.listens : 0)
}

// SET where a statement begins, and then, unless that is a setting's own name, LOCAL or TRANSACTION.
const setStatement = /(?:^|;)\s*set\b(\s+(?:local|transaction)\b(?!\s*(?:=|\.|to\b)))?/gi

// A literal, an identifier, a comment or a dollar-quoted text begins here.
const opening = /['"]|--|\/\*|\$(?:[a-z_]\w*)?\$/gi
const commentMark = /\/\*|\*\//g

/** The text without its comments, and with nothing in its literals; what is dollar-quoted may be a program, and stays. */
export function bare(text: string): string {
  const parts: string[] = []
  let at = 0
  for (;;) {
    opening.lastIndex = at
    const found = opening.exec(text)
    if (found === null) return parts.join('') + text.slice(at)
    const { 0: mark, index } = found
    parts.push(text.slice(at, index))
    if (mark === '--') {
      at = endAt(text.indexOf('\n', index), 0, text)
      parts.push(' ')
    } else if (mark === '/*') {
      at = endOfComment(text, index)
      parts.push(' ')
    } else if (mark === "'") {
      at = endOfLiteral(text, index)
      parts.push("''")
    } else {
      at = endAt(text.indexOf(mark, index + mark.length), mark.length, text)
      parts.push(text.slice(index, at))
    }
  }
}

function endAt(index: number, length: number, text: string): number {
  return index < 0 ? text.length : index + length
}

/** Comments of PostgreSQL nest. */
function endOfComment(text: string, start: number): number {
  commentMark.lastIndex = start + 2
  for (let depth = 1; depth > 0; ) {
    const mark = commentMark.exec(text)
    if (mark === null) return text.length
    depth += mark[0] === '/*' ? 1 : -1
    if (depth === 0) return mark.index + 2
  }
  return text.length
}

/** A quote is doubled inside; behind an E it may be escaped as well. */
function endOfLiteral(text: string, start: number): number {
  const escapes = /(?:^|\W)e$/i.test(text.slice(Math.max(0, start - 2), start))
  for (let at = start + 1; ; ) {
    const quote = text.indexOf("'", at)
    if (quote < 0) return text.length
    let slashes = 0
    if (escapes) while (text[quote - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 1) at = quote + 1
    else if (text[quote + 1] === "'") at = quote + 2
    else return quote + 1
  }
}

/** Whether each SET of a text that was answered by so many lasts until the end of its transaction and no longer. */
function endsWithTransaction(text: string, sets: number): boolean {
  const found = [...bare(text).matchAll(setStatement)]
  return found.length >= sets && found.every(([, local]) => local !== undefined)
}

function count(text: string, what: RegExp): number {
  return text.match(what)?.length ?? 0
}
