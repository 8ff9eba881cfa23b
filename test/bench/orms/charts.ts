// The results as charts: one for each family and load, with a group of bars for each setting.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { svg } from './chart.js'
import type { LoadResult } from './measure.js'

/** Into files such as `drizzle-select.svg`. What was not measured is not in them. */
export async function writeCharts(folder: string, results: readonly LoadResult[]): Promise<void> {
  const byFile = new Map<string, LoadResult[]>()
  for (const result of results) {
    const file = `${result.family}-${result.load}.svg`
    byFile.set(file, [...(byFile.get(file) ?? []), result])
  }
  await mkdir(folder, { recursive: true })
  for (const [file, ofIt] of byFile) await writeFile(join(folder, file), chartOf(ofIt))
}

function chartOf(results: readonly LoadResult[]): string {
  const [first] = results
  if (first === undefined) throw new Error('There is nothing to draw')
  const subjects = first.rows.filter(({ bound }) => !bound).map(({ subject }) => subject)
  return svg({
    title: `${first.family}: ${first.title}`,
    subtitle: `operations a second, as a ratio to ${subjects[0]}, by callers × wire`,
    subjects,
    groups: results.map(({ callers, wire, rows }) => ({
      label: `${callers} × ${wire}`,
      bars: subjects.map((name) => rows.find(({ subject }) => subject === name)?.ratio),
    })),
  })
}
