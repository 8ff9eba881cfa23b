// A run as a person reads it.

import type { RunResult } from './run.js'
import { counted } from './verdict.js'

/** Findings told in words; of the rest only the number is. */
const inWords = 5

export function resultLines(title: string, result: RunResult): string {
  const { verdict, history, commits, struck, crashes, seconds } = result
  const { findings, told, unknownButThere } = verdict
  const doubt = told.unknown > 0 ? ` (${unknownButThere} of them there)` : ''
  const lines = [
    '',
    title,
    `  ${history.length} transfers in ${seconds.toFixed(1)} s, ${commits} COMMITs sent, ${crashes} crashes`,
    `  told: acknowledged ${told.acknowledged}, rejected ${told.rejected}, unknown ${told.unknown}${doubt}`,
    `  rejected with: ${list(errorsOf(result))}`,
    `  faults: ${list(struck)}`,
    `  found: ${list(counted(findings))}`,
    ...findings.slice(0, inWords).map(({ kind, text }) => `    ${kind}: ${text}`),
  ]
  if (findings.length > inWords) lines.push(`    … ${findings.length - inWords} more`)
  return lines.join('\n')
}

/** By what they begin with: a name, usually. */
function errorsOf({ history }: RunResult): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { error } of history) {
    const name = error?.slice(0, 70)
    if (name !== undefined) counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

function list(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts).sort(([, a], [, b]) => b - a)
  return entries.map(([name, count]) => `${name} ${count}`).join(', ') || 'none'
}
