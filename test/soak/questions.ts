// What must hold after a soak, whatever has happened in it.

import { taken } from './call.js'
import type { SoakResult } from './soak.js'

/**
 * What the process may weigh more after so many operations than before. Measured without a leak it is some 200 kB after
 * ten thousand and under 400 kB after a hundred thousand, as V8 goes on learning about its code. A leak of 100 bytes an
 * operation would be 1 MB, and 10 MB.
 */
export function allowedBytes(operations: number): number {
  return 500_000 + 10 * operations
}

/** What Kysely writes to the console when a query that nobody waits for any more fails, in a black hole for one. */
const toldByKysely = /^`\w+` failed in the background after abortion: .*\n/gm

/** With fewer operations nothing could be told from the noise. */
const leastToWeigh = 5_000

export function questions(found: Omit<SoakResult, 'findings'>): string[] {
  const { after, before, backends, end } = found
  const { counts, tally } = after
  const findings = [...tally.findings]
  if (tally.wrong > tally.findings.length) findings.push(`… ${tally.wrong} such findings in all`)
  const ask = (fine: boolean, finding: string) => {
    if (!fine) findings.push(finding)
  }

  ask(tally.started === tally.settled, `${tally.started - tally.settled} operations have not settled`)
  ask(counts.leased === 0, `${counts.leased} leases are out`)
  // One whose connection was lost is not counted as out, but has to come back all the same.
  ask(counts.acquired === counts.returned, `of ${counts.acquired} leases ${counts.returned} came back`)
  ask(counts.waiting === 0, `${counts.waiting} callers wait`)
  ask(counts.connecting === 0, `${counts.connecting} connects are under way`)
  ask(
    counts.created - counts.closed === counts.idle,
    `${counts.created} connections made, ${counts.closed} closed, and ${counts.idle} idle`,
  )
  ask(backends.atRest === counts.idle, `the pool counts ${counts.idle} connections, the server ${backends.atRest}`)

  for (const [kind, rows] of Object.entries(expectedRows(found))) {
    const seen = found.rows[kind] ?? 0
    ask(seen >= rows.least && seen <= rows.most, `${seen} rows are ${kind}, not ${rows.least} to ${rows.most}`)
  }

  const operations = tally.settled - before.tally.settled
  const grown = after.heapBytes - before.heapBytes
  if (operations >= leastToWeigh) {
    const allowed = allowedBytes(operations)
    ask(
      grown <= allowed,
      `the heap grew by ${grown} bytes in ${operations} operations, of which ${allowed} are allowed`,
    )
  }

  const output = end.output.replaceAll(toldByKysely, '')
  ask(end.how === 'code 0' && output === '', `the process under load ended with ${end.how} ${output}`.trim())
  const left = end.report?.left ?? ['no report']
  ask(left.length === 0, `the closed pool has left: ${left.join(', ')}`)
  ask(backends.closed === 0, `${backends.closed} backends outlive the closed pool`)
  return findings
}

interface Range {
  readonly least: number
  readonly most: number
}

/** Each row that was acknowledged, perhaps one whose acknowledgement was lost, and no other. */
function expectedRows({ after, rows }: Omit<SoakResult, 'findings'>): Record<string, Range> {
  const { acknowledged, uncertain } = after.tally
  const kinds = new Set([...Object.keys(rows), ...Object.keys(acknowledged), ...Object.keys(uncertain)])
  return Object.fromEntries(
    [...kinds].map((kind) => {
      const least = kind === taken ? 1 : (acknowledged[kind] ?? 0)
      return [kind, { least, most: least + (uncertain[kind] ?? 0) }]
    }),
  )
}
