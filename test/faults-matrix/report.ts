// The matrix as a person reads it, and as docs/faults.md has it.

import type { Cell, Timing } from './cell.js'
import { workers } from './cell.js'
import type { Fault } from './faults.js'
import type { Measures } from './measures.js'

export interface Row {
  readonly fault: Fault
  /** By the systems' names. */
  readonly cells: ReadonlyMap<string, Cell>
}

export interface Surroundings {
  readonly timing: Timing
  /** Of PostgreSQL, Node and the systems. */
  readonly versions: string
  readonly machine: string
}

/** One line for one cell. */
export function cellLine(fault: Fault, system: string, cell: Cell): string {
  return `${fault.name}: ${system}: ${'failed' in cell ? `FAILED: ${cell.failed}` : plain(summary(cell))}`
}

export function report(rows: readonly Row[], surroundings: Surroundings): string {
  const systems = [...new Set(rows.flatMap(({ cells }) => [...cells.keys()]))]
  return [...head(surroundings), ...glance(rows, systems), ...rows.flatMap(details)].join('\n')
}

function head({ timing, versions, machine }: Surroundings): string[] {
  const { limitMs, graceMs, afterMs } = timing
  return [
    '<!-- Written by `npm run faults:report`. Do not edit. -->',
    '',
    '# Faults',
    '',
    'What becomes of an application when its database, or the way to it, fails: with Moorings, and with what the ORMs have',
    'without it. Each fault is real: processes are killed, stopped and started, standbys promoted, bytes swallowed by a proxy',
    `that stands between. Measured with ${versions}, on ${machine}.`,
    '',
    `Each system runs in a process of its own, with ${workers} connections at most and ${workers} callers. By turns they append a`,
    'row to a log, which is one statement, and move money from one account to another, which is a transaction of three',
    `statements; each insert takes 10 ms. Every limit that a system has for waiting is set to ${seconds(limitMs)}. A caller who`,
    `has waited for ${seconds(limitMs)} goes on with something else; who gets an error does it again, three times in all, unless`,
    'the error says that nobody knows whether it was done, as only those of Moorings do. Idempotency is left to the system:',
    `nothing in the tables keeps a row from being there twice. After the fault the load goes on for ${seconds(afterMs)}; then`,
    'every connection is ended, and what the callers were told is held against the rows that are there.',
    '',
    '- **done**: what callers take for done, in one of its calls. **errors**: calls that ended with an error.',
    '- **worst**: the longest call that ended.',
    '- **back**: from the end of the fault (the database answers again, or the standby is promoted) to the first success.',
    `- **hung**: calls that had not ended ${seconds(limitMs + graceMs)} after they began.`,
    '- **uncaught**: exceptions and rejections that nobody could catch. Each would have ended the process.',
    '- **lost**: acknowledged, and not there. **duplicated**: there more than once. **torn**: balances that are not what the',
    '  transfers that are there add up to.',
    '',
  ]
}

function glance(rows: readonly Row[], systems: readonly string[]): string[] {
  const lines = rows.map(({ fault, cells }) => {
    const texts = systems.map((system) => {
      const cell = cells.get(system)
      if (cell === undefined) return ''
      return 'failed' in cell ? 'not measured' : summary(cell)
    })
    return [`[${fault.name}](#${anchor(fault)})`, ...texts]
  })
  return [
    '## At a glance',
    '',
    'Errors, and back after; what should not be is in bold.',
    '',
    ...table(['', ...systems], lines),
    '',
  ]
}

function details({ fault, cells }: Row): string[] {
  const columns = [
    '',
    'calls',
    'done',
    'errors',
    'worst',
    'back',
    'hung',
    'uncaught',
    'lost',
    'duplicated',
    'torn',
    'most said',
  ]
  const lines = [...cells].map(([system, cell]) => {
    if ('failed' in cell) return [system, `not measured: ${escaped(cell.failed)}`]
    const { calls, done, errors, worstMs, backMs, hung, uncaught, lost, duplicated, torn, said } = cell
    const [[most, times] = ['', 0]] = Object.entries(said)
    const numbers = [calls, done, errors, seconds(worstMs), backMs === undefined ? '**never**' : seconds(backMs)]
    const flaws = [hung, uncaught, lost, duplicated, torn].map((count) => (count > 0 ? `**${count}**` : '0'))
    return [system, ...numbers.map(String), ...flaws, most === '' ? '' : `${times} × ${escaped(most)}`]
  })
  return [`## ${fault.name[0]?.toUpperCase()}${fault.name.slice(1)}`, '', fault.what, '', ...table(columns, lines), '']
}

function summary(measures: Measures): string {
  const { errors, backMs, hung, uncaught, lost, duplicated, torn } = measures
  const flaws = Object.entries({ hung, uncaught, lost, duplicated, torn })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `**${count} ${name}**`)
  const back = backMs === undefined ? '**never back**' : seconds(backMs)
  return [errors === 1 ? '1 error' : `${errors} errors`, back, ...flaws].join(', ')
}

function table(columns: readonly string[], lines: readonly (readonly string[])[]): string[] {
  const line = (texts: readonly string[]) => `| ${texts.join(' | ')} |`
  return [line(columns), line(columns.map(() => '---')), ...lines.map(line)]
}

function seconds(ms: number): string {
  return ms < 100 ? `${Math.max(1, Math.round(ms))} ms` : `${Number((ms / 1_000).toFixed(ms < 10_000 ? 1 : 0))} s`
}

/** As GitHub makes them from headings. */
function anchor({ name }: Fault): string {
  return name
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-')
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}

function plain(markdown: string): string {
  return markdown.replaceAll('**', '')
}
