// The process of one pool: lets its callers come when it is its turn.

import { peers } from '../pool-peers.js'
import { quantile } from '../spread.js'
import { letCome } from './arrivals.js'
import { arrivals, type Order, type Turn } from './crowd.js'

const [name = ''] = process.argv.slice(2)
const peer = peers[name]?.(arrivals.connections)
if (peer === undefined) throw new Error(`There is no pool "${name}"`)
const asked = peer

async function turn(milliseconds: number): Promise<Turn> {
  const took: number[] = []
  const seconds = await letCome(asked, arrivals, milliseconds, took)
  const sorted = Float64Array.from(took).sort()
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((part) => quantile(sorted, part))
  return { perSecond: took.length / seconds, p50, p95, p99, longest: sorted.at(-1) }
}

async function end(): Promise<void> {
  await asked.end()
  process.disconnect()
}

process.on('message', (order: Order) => {
  void (order.ask === 'end' ? end() : turn(order.milliseconds).then((answer) => process.send?.(answer)))
})
