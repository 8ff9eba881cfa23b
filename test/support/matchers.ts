// Ready answers to "is this the message?", for the proxy's rules.

import type { Message } from './framing.js'
import type { ConnectionState } from './session.js'

export type Matcher = (message: Message, connection: ConnectionState) => boolean

/**
 * To the server: a message that executes COMMIT or END, as a Query, unnamed or prepared, alone or among other statements
 * of one Query. To the client: the CommandComplete of a commit that took place (a failed transaction answers ROLLBACK).
 */
export const isCommit: Matcher = (message, { executes }) =>
  message.direction === 'to-client'
    ? commandTag(message) === 'COMMIT'
    : executes !== undefined && statementsOf(executes).some((sql) => commit.test(sql))

/** To the server: a message that executes SQL which the pattern fits. */
export function executes(pattern: RegExp): Matcher {
  return (_, connection) => connection.executes !== undefined && pattern.test(connection.executes)
}

/** To the client: a CommandComplete whose tag (`INSERT 0 1`) begins so. */
export function completes(tag: string): Matcher {
  return (message) => commandTag(message)?.startsWith(tag) ?? false
}

/** Any message of that name. */
export function isNamed(name: string): Matcher {
  return (message) => message.name === name
}

/** The tag of a CommandComplete. */
export function commandTag({ direction, name, head }: Message): string | undefined {
  if (direction !== 'to-client' || name !== 'CommandComplete') return undefined
  return head.toString('latin1', 0, head.indexOf(0))
}

// COMMIT PREPARED is another thing: it needs no transaction and answers with its own tag.
const commit = /^\s*(commit|end)(\s+(work|transaction))?(\s+and(\s+no)?\s+chain)?\s*$/i

// In these a semicolon or the word commit means nothing: literals, quoted names, dollar quotes, comments.
const quoted = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-z_]*)\$[\s\S]*?\$\1\$/gi
const comment = /--[^\n]*|\/\*[\s\S]*?\*\//g

function statementsOf(sql: string): string[] {
  return sql.replaceAll(quoted, '?').replaceAll(comment, ' ').split(';')
}
