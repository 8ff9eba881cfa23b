// The process that reads one size of result in one way, so that what it takes of memory at most is that result's.

import { getHeapStatistics } from 'node:v8'
import type { Cost, Order } from './rows.js'
import { ways } from './ways.js'

/** Between two looks at the heap while a result comes in. */
const LOOK_MS = 5

async function costOf({ way: wanted, url, rows, warmUpMs, turnMs }: Order): Promise<Cost> {
  const way = ways.find(({ name }) => name === wanted)
  if (way === undefined) throw new Error(`There is no way "${wanted}"`)
  const reader = await way.open(url)
  let heap = 0
  const look = () => {
    heap = Math.max(heap, getHeapStatistics().used_heap_size)
  }
  const readFor = async (asked: number, milliseconds: number) => {
    const begun = performance.now()
    let times = 0
    do {
      const came = await reader.read(asked, look)
      // Nobody is fast by leaving something out.
      if (came !== asked) throw new Error(`${came} rows came instead of ${asked}`)
      times++
    } while (performance.now() - begun < milliseconds)
    return (performance.now() - begun) / times
  }
  // By a small result, as what it takes should not be seen.
  await readFor(Math.min(rows, 100), warmUpMs)
  const looking = setInterval(look, LOOK_MS)
  heap = 0
  const milliseconds = await readFor(rows, turnMs)
  clearInterval(looking)
  const rss = process.resourceUsage().maxRSS * 1024
  await reader.close()
  return { milliseconds, rss, heap }
}

process.once('message', (order: Order) => {
  void costOf(order).then((cost) => process.send?.(cost, () => process.disconnect()))
})
// Whoever asked is gone.
process.on('disconnect', () => process.exit())
