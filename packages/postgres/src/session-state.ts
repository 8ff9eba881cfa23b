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

  /** A statement is on its way. What outlives even one that fails is marked now. */
  sent(text: string): void {
    if (telling.test(text)) this.#dirty |= leftByText(text)
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

  /** What is there is how the session should be. */
  keep(): void {
    this.#kept |= this.#dirty
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

/** White space or a comment. Bounded wherever it is repeated, as the closer looks must stay linear in the text. */
const gap = String.raw`(?:\s|--[^\n]{0,200}\n|/\*(?:[^*]|\*(?!/)){0,200}\*/)`

// Not pg_advisory_xact_lock, which ends with the transaction.
const sessionLock = /pg_(?:try_)?advisory_lock/i

// CREATE TEMPORARY TABLE and its like, SELECT … INTO TEMP, and whatever names the schema of such tables. Not INSERT INTO
// a table of that name.
const temporary = new RegExp(
  [
    'pg_temp',
    String.raw`\btemp(?:orary)?${gap}{1,500}(?:table|view|sequence|recursive)\b`,
    String.raw`(?<!\b(?:insert|merge)\s+)\binto${gap}{1,500}(?:(?:local|global)${gap}{1,500})?temp(?:orary)?${gap}{1,500}[\w"]`,
  ].join('|'),
  'i',
)

const setConfig = /set_config/gi
// As far as that can be seen without parsing: no parentheses inside, no escapes in its literals, and a plain `true`.
const localSetConfig = /set_config"?\s*\((?:[^()'\\]|'[^'\\]*')*,\s*(?:is_local\s*(?:=>|:=)\s*)?true\s*\)/gi

function leftByText(text: string): number {
  let left = 0
  if (sessionLock.test(text)) left |= bits.locks
  if (temporary.test(text)) left |= bits['temporary-tables']
  if (count(text, setConfig) > count(text, localSetConfig)) left |= bits.settings
  return left
}

/** A DO block is answered by one tag, whatever it does. */
function leftByBlock(text: string): number {
  return (/\bset\b/i.test(text) ? bits.settings : 0) | (/\blisten\b/i.test(text) ? bits.listens : 0)
}

// SET where a statement begins, and then, unless that is a setting's own name, LOCAL or TRANSACTION.
const setStatement = new RegExp(
  String.raw`(?:^|;)${gap}{0,500}set\b(${gap}{1,500}(?:local|transaction)\b(?!${gap}{0,500}(?:=|\.|to\b)))?`,
  'gi',
)

/** Whether each SET of a text that was answered by so many lasts until the end of its transaction and no longer. */
function endsWithTransaction(text: string, sets: number): boolean {
  const found = [...text.matchAll(setStatement)]
  return found.length >= sets && found.every(([, local]) => local !== undefined)
}

function count(text: string, what: RegExp): number {
  return text.match(what)?.length ?? 0
}
