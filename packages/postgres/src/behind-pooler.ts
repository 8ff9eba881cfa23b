// Where a pooler lends a server's session for one transaction only, what a statement leaves on it is lost to whoever has
// sent it, and met by whoever is lent that session next. Such a statement is known here by its text, before it is sent.

import { type Endpoint, PoolerError, type SessionState } from '@moorings/core'
import { describeEndpoint } from './options.js'
import { bare, sessionLock, temporary } from './session-state.js'

/** The one look that every statement gets. */
const telling = /advisory_lock|set_config|temp|\b(?:listen|hold|set|prepare)\b/i
/** A program, which is not carried out with this statement. */
const dollarQuoted = /\$(\w*)\$[\s\S]*?\$\1\$/g
/** For longer than the transaction, as far as that is certain. */
const lastingConfig = /set_config"?\s*\((?:[^()'\\]|'[^'\\]*')*,\s*(?:is_local\s*(?:=>|:=)\s*)?false\s*\)/i
const longest = 16_384
const listens = /(?:^|;)\s*listen\b/i
const holds = /(?:^|;)\s*declare\b[^;]*\bwith\s+hold\b/i
const prepares = /(?:^|;)\s*prepare\b(?!\s+transaction\b)/i
const sets = /(?:^|;)\s*set\s+(?:session\s+(?!characteristics\b|authorization\b))?([\w".]+)/gi
const dropsOnCommit = /\bon\s+commit\s+drop\b/i
const several = /;\s*\S/
/** Not for the session, or settings that poolers keep for each of their clients: PgBouncer does so for these. */
const kept = new Set([
  ...['local', 'transaction', 'constraints'],
  ...['client_encoding', 'names', 'datestyle', 'timezone', 'time', 'standard_conforming_strings', 'application_name'],
])

/**
 * What a statement would leave on its session; undefined for nothing, or where that is not certain.
 *
 * @param inTransaction what is temporary may be meant for that, and be dropped in it
 */
export function leaves(whole: string, inTransaction: boolean): SessionState | undefined {
  if (!telling.test(whole)) return undefined
  const text = bare(whole).replaceAll(dollarQuoted, '')
  if (sessionLock.test(text)) return 'locks'
  if (listens.test(text)) return 'listens'
  if (holds.test(text)) return 'cursors'
  // A closer look at a text of any length could take as long as it likes.
  if (text.length <= longest && lastingConfig.test(text)) return 'settings'
  for (const [, name = ''] of text.matchAll(sets)) {
    if (!kept.has(name.replaceAll('"', '').toLowerCase())) return 'settings'
  }
  // Several statements in one text are a transaction of their own.
  if (inTransaction || several.test(text)) return undefined
  if (prepares.test(text)) return 'other'
  return temporary.test(text) && !dropsOnCommit.test(text) ? 'temporary-tables' : undefined
}

const instead: Readonly<Record<SessionState | 'session', readonly [what: string, instead: string]>> = {
  session: [
    'A session was asked for',
    'Use a transaction: in it there are pg_advisory_xact_lock(), SET LOCAL or its `settings`, and temporary tables ON COMMIT DROP',
  ],
  locks: ['A lock of the session', 'Use pg_advisory_xact_lock() in a transaction'],
  listens: ['LISTEN was asked for', 'Nothing that is notified would arrive'],
  settings: [
    'SET for the session',
    'Use SET LOCAL, or `settings` and `role` of a transaction; for all sessions ALTER ROLE … SET or ALTER DATABASE … SET',
  ],
  'temporary-tables': ['A temporary table', 'Create it in a transaction, ON COMMIT DROP'],
  cursors: ['A cursor WITH HOLD', 'Read it in a transaction, or stream the query'],
  other: ['PREPARE', 'Run the statement itself'],
}

export function refusal(needs: SessionState | 'session', endpoint: Endpoint): PoolerError {
  const [what, advice] = instead[needs]
  return new PoolerError(
    `${what}, and ${describeEndpoint(endpoint)} leads through a pooler that lends a session of the server for one transaction only. ${advice}. Or connect past the pooler, or to its session mode. Nothing was sent`,
    { needs },
  )
}
