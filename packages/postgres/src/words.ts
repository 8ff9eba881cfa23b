// The words of PostgreSQL for what core asks for.

import {
  describeGiven,
  InvalidOptionsError,
  type OptionProblem,
  pathTo,
  type TransactionSettings,
} from '@moorings/core'

/** An identifier, whatever is in it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A literal, whatever is in it, and whether or not `standard_conforming_strings` is on. */
function literal(text: string): string {
  const doubled = text.replaceAll("'", "''")
  return text.includes('\\') ? `E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`
}

const isolationLevels = ['serializable', 'repeatable read', 'read committed', 'read uncommitted'] as const
const accessModes = ['read only', 'read write'] as const

const limits = [
  ['statementTimeoutMs', 'statement_timeout'],
  ['lockTimeoutMs', 'lock_timeout'],
  ['idleTimeoutMs', 'idle_in_transaction_session_timeout'],
] as const

/** SET would make one name of a list of them, and cut a name that is too long; `set_config` takes both as they are. */
const needsCall = (name: string) =>
  lists.test(name) || name.split('.').some((part) => Buffer.byteLength(part) > MAX_NAME_BYTES)
const lists = /^(search_path|temp_tablespaces|(session|local|shared)_preload_libraries|unix_socket_directories)$/i

/** As the server counts milliseconds. */
const MAX_MS = 2 ** 31 - 1
/** A longer name is cut by the server, and may then be another one's. */
const MAX_NAME_BYTES = 63

/**
 * BEGIN and everything that is set for the transaction, in the words an application's log should show.
 *
 * @throws InvalidOptionsError that names everything the server could not take
 */
export function beginStatement(settings: TransactionSettings = {}): string {
  const { modes, statements } = checked(settings)
  return [modes === '' ? 'begin' : `start transaction ${modes}`, ...statements].join('; ')
}

/**
 * The same as it is sent: one text of several statements behind a bare BEGIN, so that the transaction has failed if one of
 * them is refused. A refused `START TRANSACTION READ WRITE` would have begun none, and what was sent behind it would run
 * outside of any.
 *
 * @throws InvalidOptionsError
 */
export function beginText(settings: TransactionSettings = {}): string {
  if (isEmpty(settings)) return bareBegin
  const { modes, statements } = checked(settings)
  return [bareBegin, ...(modes === '' ? [] : [`set transaction ${modes}`]), ...statements].join('; ')
}

/** The text of a transaction without settings of its own. */
export const bareBegin = 'begin'

function isEmpty(settings: TransactionSettings): boolean {
  for (const _ in settings) return false
  return true
}

/** All of it becomes part of a statement's text, so it is checked here, whoever has typed it. */
function checked(settings: TransactionSettings): { readonly modes: string; readonly statements: readonly string[] } {
  const problems: OptionProblem[] = []
  const modes = modesOf(settings, problems)
  const statements: string[] = []
  for (const [option, name] of limits) {
    const ms = settings[option]
    if (ms === undefined) continue
    if (!Number.isInteger(ms) || ms < 0 || ms > MAX_MS) {
      problems.push({ path: option, given: describeGiven(ms), allowed: `an integer from 0 to ${MAX_MS}` })
    }
    statements.push(`set local ${name} = ${ms}`)
  }
  statements.push(...assignmentsOf(settings.settings, problems))
  // The last one: what it may not set, whoever it acts for may.
  if (settings.role !== undefined) statements.push(`set local role ${quoted(roleOf(settings.role, problems))}`)
  if (problems.length > 0) throw new InvalidOptionsError(problems)
  return { modes, statements }
}

function modesOf({ isolationLevel, accessMode, deferrable }: TransactionSettings, problems: OptionProblem[]): string {
  const modes: string[] = []
  const oneOf = (path: string, given: string, allowed: readonly string[]): string => {
    if (!allowed.includes(given)) problems.push({ path, given: describeGiven(given), allowed: allowed.join(', ') })
    return given
  }
  if (isolationLevel !== undefined) {
    modes.push(`isolation level ${oneOf('isolationLevel', isolationLevel, isolationLevels)}`)
  }
  if (accessMode !== undefined) modes.push(oneOf('accessMode', accessMode, accessModes))
  if (deferrable !== undefined) modes.push(deferrable ? 'deferrable' : 'not deferrable')
  return modes.join(' ')
}

/** By one query for all of them. Their values are nobody's to read in an error: they may be about somebody. */
function assignmentsOf(settings: TransactionSettings['settings'], problems: OptionProblem[]): string[] {
  if (settings === undefined) return []
  const given: unknown = settings
  if (typeof given !== 'object' || given === null) {
    problems.push({ path: 'settings', given: describeGiven(given), allowed: 'an object of settings by name' })
    return []
  }
  const calls: string[] = []
  for (const [name, value] of Object.entries<unknown>(settings)) {
    const path = pathTo('settings', name.replaceAll('\0', ''))
    if (name === '' || name.includes('\0')) {
      problems.push({ path, given: 'this name', allowed: "a setting's name, without zero byte" })
    } else if (/^(role|session_authorization)$/i.test(name)) {
      problems.push({ path, given: 'this name', allowed: 'a setting that says not as whom to act: that is `role`' })
    } else if (isSetting(value)) {
      const text = literal(String(value))
      // SET takes no snapshot: the statement behind it may be a LOCK, or choose the isolation.
      if (needsCall(name)) calls.push(`select pg_catalog.set_config(${literal(name)}, ${text}, true)`)
      else calls.push(`set local ${name.split('.').map(quoted).join('.')} = ${text}`)
    } else {
      const allowed = 'a string without zero byte, a finite number or a boolean'
      problems.push({ path, given: describeGiven(value, typeof value === 'string'), allowed })
    }
  }
  return calls
}

function isSetting(value: unknown): value is string | number | boolean {
  if (typeof value === 'string') return !value.includes('\0')
  return typeof value === 'boolean' || Number.isFinite(value)
}

/** NONE, also in quotes, is no role for PostgreSQL but a way back to the one that logged in: not what anybody asks for. */
function roleOf(role: unknown, problems: OptionProblem[]): string {
  const fits = typeof role === 'string' && role !== '' && role !== 'none' && !role.includes('\0')
  if (fits && Buffer.byteLength(role) <= MAX_NAME_BYTES) return role
  const allowed = `a role's name, of at most ${MAX_NAME_BYTES} bytes, not "none"`
  problems.push({ path: 'role', given: describeGiven(role), allowed })
  return ''
}

/** The modes of `sql.begin('isolation level serializable read only', …)`, as BEGIN's grammar has them. */
export function parseModes(modes: string): TransactionSettings {
  const settings: TransactionSettings = {}
  const rest = modes
    .toLowerCase()
    .replace(/[,\s]+/g, ' ')
    .replace(/^ ?(transaction|work)\b/, '')
    .replace(/isolation level (serializable|repeatable read|read committed|read uncommitted)/, (_, level) => {
      settings.isolationLevel = isolationLevels.find((known) => known === level)
      return ''
    })
    .replace(/read (only|write)/, (_, mode) => {
      settings.accessMode = mode === 'only' ? 'read only' : 'read write'
      return ''
    })
    .replace(/(not )?deferrable/, (_, not) => {
      settings.deferrable = not === undefined
      return ''
    })
  if (rest.trim() === '') return settings
  throw new InvalidOptionsError([
    {
      path: 'begin',
      given: JSON.stringify(modes),
      allowed: 'transaction modes: isolation level …, read only, read write, deferrable, not deferrable',
    },
  ])
}
