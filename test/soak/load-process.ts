// The process under load: does what it is asked to, and tells how far it is. Needs --expose-gc.

import { report, url } from '../integration/children/stage.js'
import { Load } from './load.js'
import type { LoadSettings, Order } from './messages.js'

const progressEveryMs = 3_000

const settings: LoadSettings = JSON.parse(process.argv[2] ?? '{}')
const load = new Load(url, settings)

async function carryOut(order: Order): Promise<void> {
  if (order.ask === 'stop') return load.stop()
  if (order.ask === 'end') {
    await load.close()
    ending = true
    return report()
  }
  if (order.ask === 'rest') return tell({ answer: await load.rest() })
  const progress = setInterval(() => tell({ progress: load.progress() }), progressEveryMs)
  await load.run(order.from, order.count)
  clearInterval(progress)
  tell({ answer: load.progress() })
}

function tell(message: object): void {
  process.send?.(message)
}

let ending = false
process.on('message', (order: Order) => void carryOut(order))
// Whoever asked is gone: nobody would end this any more.
process.on('disconnect', () => {
  if (!ending) process.exit(1)
})
// The terminal tells the whole group; when to stop is the parent's to say.
process.on('SIGINT', () => {})
