// The words of PostgreSQL for what core asks for.

import { InvalidOptionsError, type TransactionSettings } from '@moorings/core'

/** An identifier, whatever is in it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

const isolationLevels = ['serializable', 'repeatable read', 'read committed', 'read uncommitted'] as const
const accessModes = ['read only', 'read write'] as const

/** BEGIN with its modes. They become part of the statement's text, so they are checked here, whoever has typed them. */
export function beginStatement(settings: TransactionSettings = {}): string {
  const { isolationLevel, accessMode, deferrable } = settings
  if (isolationLevel === undefined && accessMode === undefined && deferrable === undefined) return 'begin'
  const words = ['start transaction']
  if (isolationLevel !== undefined) {
    words.push('isolation level', oneOf('isolationLevel', isolationLevel, isolationLevels))
  }
  if (accessMode !== undefined) words.push(oneOf('accessMode', accessMode, accessModes))
  if (deferrable !== undefined) words.push(deferrable ? 'deferrable' : 'not deferrable')
  return words.join(' ')
}

function oneOf(path: string, given: string, allowed: readonly string[]): string {
  if (allowed.includes(given)) return given
  throw new InvalidOptionsError([{ path, given: JSON.stringify(given), allowed: allowed.join(', ') }])
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
