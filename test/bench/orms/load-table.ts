// What came of a load, as a person reads it: ratios first, as the rest is this machine's and today's.

import { aligned, range } from '../table.js'
import type { LoadResult, LoadRow } from './measure.js'

const columns = ['ratio', '', 'ops/s', '', 'CPU ratio', '', 'CPU us/op', 'p50 ms', 'p99 ms', 'RSS MB', 'heap MB']

/** Higher is better for what is done in a second, lower for all the others. */
export function loadTable({ family, title, callers, wire, rows }: LoadResult): string {
  const heading = `${family}: ${title}, ${callers} ${callers === 1 ? 'caller' : 'callers'}, ${wire}`
  return `${heading}\n${aligned([['', ...columns], ...rows.map(cells)])}`
}

function cells({ subject, ratio, perSecond, cpuRatio, cpu, p50Ms, p99Ms, rss, heap }: LoadRow): string[] {
  return [
    subject,
    ratio.median.toFixed(2),
    range(ratio, 2),
    perSecond.median.toFixed(0),
    range(perSecond, 0),
    told(cpuRatio?.median, 2),
    cpuRatio === undefined ? '' : range(cpuRatio, 2),
    told(cpu?.median, 1),
    told(p50Ms, 2),
    told(p99Ms, 2),
    told(rss === undefined ? undefined : rss / 2 ** 20, 0),
    told(heap === undefined ? undefined : heap / 2 ** 20, 1),
  ]
}

function told(value: number | undefined, digits: number): string {
  return value?.toFixed(digits) ?? '–'
}
